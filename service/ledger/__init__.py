"""The ledger: who holds what, what was asked, what is committed. SQL through SQLAlchemy Core only."""
