"""Retention: which generations are kept, since when files are unneeded, and checkpoints without their records."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add a table, columns and an index."""
    op.create_table(
        "retained",
        sa.Column("collection_id", sa.String(length=32), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("collection_id", "generation"),
    )
    op.add_column("garbage", sa.Column("boot", sa.String(length=40), server_default="", nullable=False))
    op.add_column("garbage", sa.Column("boot_seconds", sa.Float(), server_default="0", nullable=False))
    op.create_index(
        "checkpoints_in_short",
        "checkpoints",
        ["collection_id", "generation", "kind", "job_id", "at", "pinned"],
    )
