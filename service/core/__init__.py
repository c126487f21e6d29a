"""DECIDES: pure functions and values, standard library only."""
