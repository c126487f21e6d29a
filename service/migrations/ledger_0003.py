"""Another model: which space a generation's vectors are in, and what is prepared beside the live segments."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add tables and a column; every collection has had one space so far."""
    collection = sa.ForeignKeyConstraint(["collection_id"], ["collections.id"])
    op.create_table(
        "spaces",
        sa.Column("collection_id", sa.String(length=32), nullable=False),
        sa.Column("from_generation", sa.BigInteger(), nullable=False),
        sa.Column("space", sa.JSON(), nullable=False),
        sa.Column("weights", sa.String(length=20), nullable=False),
        sa.Column("job_id", sa.String(length=40), nullable=True),
        collection,
        sa.PrimaryKeyConstraint("collection_id", "from_generation"),
    )
    op.execute(
        "INSERT INTO spaces (collection_id, from_generation, space, weights)"
        " SELECT id, 0, space, weights FROM collections"
    )
    op.create_table(
        "prepared",
        sa.Column("job_id", sa.String(length=40), nullable=False),
        sa.Column("version_id", sa.BigInteger(), nullable=False),
        sa.Column("collection_id", sa.String(length=32), nullable=False),
        sa.Column("position", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("chunks", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("done", sa.Boolean(), nullable=False),
        sa.Column("recut_id", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.String(length=40), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("first_segment", sa.BigInteger(), nullable=True),
        sa.Column("last_segment", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("job_id", "version_id"),
    )
    op.add_column("segments", sa.Column("prepared_by", sa.String(length=40), nullable=True))
