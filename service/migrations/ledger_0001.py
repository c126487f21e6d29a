"""The first schema of the ledger."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make every table."""
    op.create_table(
        "collections",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("space", sa.JSON(), nullable=False),
        sa.Column("weights", sa.String(length=20), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("generation", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("published_generation", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("batch", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("documents", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("vectors", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("next_doc_id", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("next_version_id", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("next_segment_id", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("last_saved", sa.String(length=40), nullable=True),
        sa.Column("created_at", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("collection_id", sa.String(length=32), nullable=True),
        sa.Column("job_id", sa.String(length=40), nullable=True),
        sa.Column("job_version", sa.BigInteger(), nullable=True),
        sa.Column("type", sa.String(length=40), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("at", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("events_of_a_job", "events", ["job_id", "job_version"], unique=False)
    op.create_table(
        "idempotency",
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("body_sha256", sa.String(length=64), nullable=False),
        sa.Column("response", sa.JSON(), nullable=False),
        sa.Column("at", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "metrics",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("labels", sa.String(length=200), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name", "labels"),
    )
    op.create_table(
        "store",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("store_id", sa.String(length=32), nullable=False),
        sa.Column("format", sa.Integer(), nullable=False),
        sa.CheckConstraint("id = 1", name="one_store"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.String(length=80), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("host", sa.String(length=200), nullable=False),
        sa.Column("started_at", sa.String(length=40), nullable=False),
        sa.Column("beat_at", sa.String(length=40), nullable=False),
        sa.Column("ended_at", sa.String(length=40), nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "checkpoints",
        sa.Column("collection_id", sa.String(length=32), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("job_id", sa.String(length=40), nullable=True),
        sa.Column("file", sa.String(length=100), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("documents", sa.BigInteger(), nullable=False),
        sa.Column("vectors", sa.BigInteger(), nullable=False),
        sa.Column("settled", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("pinned", sa.Boolean(), server_default=sa.text("0"), nullable=False),
        sa.Column("at", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(
            ["collection_id"],
            ["collections.id"],
        ),
        sa.PrimaryKeyConstraint("collection_id", "generation"),
    )
    op.create_table(
        "leases",
        sa.Column("collection_id", sa.String(length=32), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.String(length=80), nullable=False),
        sa.Column("job_id", sa.String(length=40), server_default="", nullable=False),
        sa.Column("lock_host", sa.String(length=40), server_default="", nullable=False),
        sa.Column("beat", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["collection_id"],
            ["collections.id"],
        ),
        sa.PrimaryKeyConstraint("collection_id"),
    )
    op.create_table(
        "segment_spans",
        sa.Column("collection_id", sa.String(length=32), nullable=False),
        sa.Column("segment_id", sa.BigInteger(), nullable=False),
        sa.Column("from_generation", sa.BigInteger(), nullable=False),
        sa.Column("to_generation", sa.BigInteger(), nullable=True),
        sa.Column("live", sa.JSON(), nullable=True),
        sa.Column("live_rows", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["collection_id"],
            ["collections.id"],
        ),
        sa.PrimaryKeyConstraint("collection_id", "segment_id", "from_generation"),
    )
    op.create_index(
        "open_segments",
        "segment_spans",
        ["collection_id", "segment_id"],
        unique=False,
        sqlite_where=sa.text("to_generation IS NULL"),
        postgresql_where=sa.text("to_generation IS NULL"),
    )
    op.create_table(
        "segments",
        sa.Column("collection_id", sa.String(length=32), nullable=False),
        sa.Column("segment_id", sa.BigInteger(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("first_batch", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("last_batch", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("rows", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("faiss", sa.JSON(), nullable=True),
        sa.Column("chunks", sa.JSON(), nullable=True),
        sa.Column("suspect", sa.Boolean(), server_default=sa.text("0"), nullable=False),
        sa.Column("verified_at", sa.String(length=40), nullable=True),
        sa.ForeignKeyConstraint(
            ["collection_id"],
            ["collections.id"],
        ),
        sa.PrimaryKeyConstraint("collection_id", "segment_id"),
    )
    op.create_table(
        "sources",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("collection_id", sa.String(length=32), nullable=False),
        sa.Column("type", sa.String(length=20), nullable=False),
        sa.Column("root", sa.String(length=200), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["collection_id"],
            ["collections.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("one_source_per_root", "sources", ["collection_id", "type", "root"], unique=True)
    op.create_table(
        "version_spans",
        sa.Column("collection_id", sa.String(length=32), nullable=False),
        sa.Column("version_id", sa.BigInteger(), nullable=False),
        sa.Column("from_generation", sa.BigInteger(), nullable=False),
        sa.Column("to_generation", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["collection_id"],
            ["collections.id"],
        ),
        sa.PrimaryKeyConstraint("collection_id", "version_id", "from_generation"),
    )
    op.create_table(
        "versions",
        sa.Column("collection_id", sa.String(length=32), nullable=False),
        sa.Column("version_id", sa.BigInteger(), nullable=False),
        sa.Column("doc_id", sa.BigInteger(), nullable=False),
        sa.Column("content_sha256", sa.String(length=64), nullable=False),
        sa.Column("recipe", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("chunks", sa.BigInteger(), nullable=False),
        sa.Column("prefix_sha256", sa.String(length=64), nullable=False),
        sa.Column("first_batch", sa.BigInteger(), nullable=False),
        sa.Column("last_batch", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["collection_id"],
            ["collections.id"],
        ),
        sa.PrimaryKeyConstraint("collection_id", "version_id"),
    )
    op.create_index(
        "unfinished_versions",
        "versions",
        ["collection_id"],
        unique=False,
        sqlite_where=sa.text("state IN ('unfinished')"),
        postgresql_where=sa.text("state IN ('unfinished')"),
    )
    op.create_index("versions_of_a_document", "versions", ["collection_id", "doc_id"], unique=False)
    op.create_table(
        "documents",
        sa.Column("collection_id", sa.String(length=32), nullable=False),
        sa.Column("doc_id", sa.BigInteger(), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("record", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("stamp", sa.String(length=100), server_default="", nullable=False),
        sa.Column("file_sha256", sa.String(length=64), server_default="", nullable=False),
        sa.Column("content_sha256", sa.String(length=64), server_default="", nullable=False),
        sa.Column("recipe", sa.String(length=16), server_default="", nullable=False),
        sa.Column("described_sha256", sa.String(length=64), server_default="", nullable=False),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("version_id", sa.BigInteger(), nullable=True),
        sa.Column("chunks", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("generation", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("updated_at", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(
            ["collection_id"],
            ["collections.id"],
        ),
        sa.ForeignKeyConstraint(
            ["source_id"],
            ["sources.id"],
        ),
        sa.PrimaryKeyConstraint("collection_id", "doc_id"),
    )
    op.create_index(
        "documents_by_content", "documents", [sa.literal_column("substr(content_sha256, 1, 8)")], unique=False
    )
    op.create_index(
        "documents_of_a_folder",
        "documents",
        ["source_id", "folder", "record", "name", "stamp", "state", "recipe", "generation"],
        unique=False,
    )
    op.create_index("one_document_per_key", "documents", ["collection_id", "key"], unique=True)
    op.create_table(
        "jobs",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("collection_id", sa.String(length=32), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("service", sa.String(length=20), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=30), nullable=False),
        sa.Column("desired_state", sa.String(length=20), nullable=False),
        sa.Column("stage", sa.String(length=20), server_default="", nullable=False),
        sa.Column("phase", sa.String(length=20), server_default="backfilling", nullable=False),
        sa.Column("reason", sa.JSON(), nullable=True),
        sa.Column("attempt", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("losses", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("worker_id", sa.String(length=80), nullable=True),
        sa.Column("discovered", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=True),
        sa.Column("done", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unchanged", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("skipped", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("failed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("known_failed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("deleted", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("chunks", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("chunks_reused", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("deletes_withheld", sa.JSON(), nullable=True),
        sa.Column("folders_unreadable", sa.JSON(), nullable=True),
        sa.Column("checkpoint", sa.JSON(), nullable=True),
        sa.Column("paused_at_checkpoint", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.String(length=40), nullable=False),
        sa.Column("started_at", sa.String(length=40), nullable=True),
        sa.Column("leased_at", sa.String(length=40), nullable=True),
        sa.Column("updated_at", sa.String(length=40), nullable=False),
        sa.Column("wished_at", sa.String(length=40), nullable=True),
        sa.Column("finished_at", sa.String(length=40), nullable=True),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'pausing', 'paused', 'cancelling', 'cancelled', 'interrupted', 'succeeded', 'completed_with_errors', 'failed')",
            name="known_state",
        ),
        sa.ForeignKeyConstraint(
            ["collection_id"],
            ["collections.id"],
        ),
        sa.ForeignKeyConstraint(
            ["source_id"],
            ["sources.id"],
        ),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id"),
    )
    op.create_index(
        "one_unfinished_job",
        "jobs",
        ["collection_id", "source_id"],
        unique=True,
        sqlite_where=sa.text(
            "state IN ('queued', 'running', 'pausing', 'paused', 'cancelling', 'interrupted')"
        ),
        postgresql_where=sa.text(
            "state IN ('queued', 'running', 'pausing', 'paused', 'cancelling', 'interrupted')"
        ),
    )
    op.create_table(
        "items",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("job_id", sa.String(length=40), nullable=False),
        sa.Column("op", sa.String(length=10), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("stamp", sa.String(length=100), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("attempts", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("spared", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("asked", sa.Boolean(), server_default=sa.text("0"), nullable=False),
        sa.Column("tries", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("not_before", sa.String(length=40), nullable=True),
        sa.Column("reason", sa.String(length=40), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["jobs.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "failed_items",
        "items",
        ["job_id", "id"],
        unique=False,
        sqlite_where=sa.text("state IN ('failed', 'skipped')"),
        postgresql_where=sa.text("state IN ('failed', 'skipped')"),
    )
    op.create_index(
        "open_items",
        "items",
        ["job_id", "op", "id"],
        unique=False,
        sqlite_where=sa.text("state IN ('pending', 'in_flight')"),
        postgresql_where=sa.text("state IN ('pending', 'in_flight')"),
    )
