"""Maintenance: tasks, names that were in use, what may be collected, derived codes of segments."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add tables and columns."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "tasks",
        sa.Column("number", number, nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("collection_id", sa.String(length=32), nullable=False),
        sa.Column("collection", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("token", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("attempts", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.Column("error", sa.JSON(), nullable=True),
        sa.Column("not_before", sa.String(length=40), nullable=True),
        sa.Column("created_at", sa.String(length=40), nullable=False),
        sa.Column("started_at", sa.String(length=40), nullable=True),
        sa.Column("finished_at", sa.String(length=40), nullable=True),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id"),
    )
    still_open = sa.text("state IN ('queued', 'running')")
    op.create_index(
        "open_tasks", "tasks", ["collection_id"], sqlite_where=still_open, postgresql_where=still_open
    )
    op.create_table(
        "names",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "garbage",
        sa.Column("collection_id", sa.String(length=32), nullable=False),
        sa.Column("file", sa.String(length=100), nullable=False),
        sa.Column("unneeded_since", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("collection_id", "file"),
    )
    op.add_column(
        "collections", sa.Column("state", sa.String(length=12), server_default="active", nullable=False)
    )
    op.add_column("collections", sa.Column("kept_from", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("segments", sa.Column("codes", sa.JSON(), nullable=True))
