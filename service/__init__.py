"""Tidestone turns sources of documents into verified, searchable collections."""

__version__ = "0.1.0"
