"""What a job would take away, as the guard has weighed it."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add a column."""
    op.add_column("jobs", sa.Column("deletions", sa.JSON(), nullable=True))
