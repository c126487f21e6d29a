"""DOES: use cases, the worker, and the order of effects."""
