"""The ledger's tables."""

from sqlalchemy import (
    JSON,
    BigInteger,
    BindParameter,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
    literal_column,
    text,
)

from service.core.job import UNFINISHED, State
from service.core.upkeep import OPEN

metadata = MetaData()

_Id = BigInteger().with_variant(Integer, "sqlite")  # SQLite gives only INTEGER keys their row id


def _now_text(name: str, nullable: bool = True) -> Column[str]:
    """An ISO 8601 time in UTC; text compares and travels the same everywhere."""
    return Column(name, String(40), nullable=nullable)


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0")


def _collection() -> Column[str]:
    return Column("collection_id", String(32), ForeignKey("collections.id"), primary_key=True)


def literally(column: Column[str], *values: str) -> ColumnElement[bool]:
    """`column IN (values)` written out: SQLite uses a partial index only for its own condition, word for word."""
    written: BindParameter[str] = bindparam(None, values, expanding=True, literal_execute=True)
    return column.in_(written)


store = Table(
    "store",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("store_id", String(32), nullable=False),
    Column("format", Integer, nullable=False),
    CheckConstraint("id = 1", name="one_store"),
)

collections = Table(
    "collections",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(100), nullable=False, unique=True),
    Column("space", JSON, nullable=False),
    Column("weights", String(20), nullable=False),
    Column("settings", JSON, nullable=False),
    Column("state", String(12), nullable=False, server_default="active"),  # active, deleting
    _count("kept_from"),  # generations below it cannot be gone back to, pins aside
    _count("generation"),
    _count("published_generation"),
    _count("batch"),
    _count("documents"),
    _count("vectors"),
    Column("next_doc_id", BigInteger, nullable=False, server_default="1"),
    Column("next_version_id", BigInteger, nullable=False, server_default="1"),
    Column("next_segment_id", BigInteger, nullable=False, server_default="1"),
    _now_text("last_saved"),
    _now_text("created_at", nullable=False),
)

# Which space the vectors of a generation are in: that of the last row up to it.
spaces = Table(
    "spaces",
    metadata,
    _collection(),
    Column("from_generation", BigInteger, primary_key=True),
    Column("space", JSON, nullable=False),
    Column("weights", String(20), nullable=False),
    Column("job_id", String(40)),  # that made the switch
)

# Versions, visible when they were looked at, that a job has embedded (or begun to) in another space.
prepared = Table(
    "prepared",
    metadata,
    Column("job_id", String(40), primary_key=True),
    Column("version_id", BigInteger, primary_key=True),
    Column("collection_id", String(32), nullable=False),
    _count("position"),  # chunks of the version that are dealt with
    _count("chunks"),  # rows that they have become
    Column("done", Boolean, nullable=False),
    Column("recut_id", BigInteger),  # the version that takes its place, where a chunk was too long
    Column("reason", String(40)),  # why it cannot be embedded in that space
    Column("detail", Text),
    Column("first_segment", BigInteger),  # its rows are in segments with numbers from this one
    Column("last_segment", BigInteger),  # to this one
)

leases = Table(
    "leases",
    metadata,
    _collection(),
    Column("token", BigInteger, nullable=False),
    Column("holder", String(80), nullable=False),  # "" when free
    Column("job_id", String(40), nullable=False, server_default=""),
    Column("lock_host", String(40), nullable=False, server_default=""),  # the boot on which it holds the lock
    _count("beat"),
)

sources = Table(
    "sources",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("collection_id", String(32), ForeignKey("collections.id"), nullable=False),
    Column("type", String(20), nullable=False),
    Column("root", String(200), nullable=False),
    Column("path", Text, nullable=False),
    Index("one_source_per_root", "collection_id", "type", "root", unique=True),
)

_unfinished = text("state IN ({})".format(", ".join(f"'{state.value}'" for state in UNFINISHED)))
_states = text("state IN ({})".format(", ".join(f"'{state.value}'" for state in State)))

jobs = Table(
    "jobs",
    metadata,
    Column("number", _Id, primary_key=True),
    Column("id", String(40), nullable=False, unique=True),
    Column("collection_id", String(32), ForeignKey("collections.id"), nullable=False),
    Column("source_id", BigInteger, ForeignKey("sources.id"), nullable=False),
    Column("service", String(20), nullable=False),
    Column("options", JSON, nullable=False),
    Column("state", String(30), nullable=False),
    Column("desired_state", String(20), nullable=False),
    Column("stage", String(20), nullable=False, server_default=""),
    Column("phase", String(20), nullable=False, server_default="backfilling"),
    Column("reason", JSON),
    _count("attempt"),
    _count("losses"),  # workers lost since the last commit
    Column("version", BigInteger, nullable=False, server_default="1"),
    Column("worker_id", String(80)),
    _count("discovered"),
    Column("total", BigInteger),
    *[_count(name) for name in ("done", "unchanged", "skipped", "failed", "known_failed", "deleted")],
    *[_count(name) for name in ("chunks", "chunks_reused", "bytes", "tokens")],
    Column("deletions", JSON),  # what it would take away, as the guard has weighed it
    Column("deletes_withheld", JSON),
    Column("folders_unreadable", JSON),  # count, folders: the first of them and why
    Column("checkpoint", JSON),  # the last one: generation, at, sha256
    Column("paused_at_checkpoint", BigInteger),
    _now_text("created_at", nullable=False),
    _now_text("started_at"),
    _now_text("leased_at"),  # of the present attempt
    _now_text("updated_at", nullable=False),
    _now_text("wished_at"),
    _now_text("finished_at"),
    CheckConstraint(_states, name="known_state"),
    Index(
        "one_unfinished_job",
        "collection_id",
        "source_id",
        unique=True,
        sqlite_where=_unfinished,
        postgresql_where=_unfinished,
    ),
)

_open = text("state IN ('pending', 'in_flight')")

items = Table(
    "items",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("job_id", String(40), ForeignKey("jobs.id"), nullable=False),
    Column("op", String(10), nullable=False),  # "upsert" before "delete"
    Column("folder", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("stamp", String(100), nullable=False),
    Column("state", String(12), nullable=False),  # pending, in_flight, done, skipped, failed
    _count("attempts"),
    _count("spared"),  # unclean ends that were not counted as attempts
    Column("asked", Boolean, nullable=False, server_default=text("0")),  # to be tried again, changed or not
    _count("tries"),  # passing conditions met, for backoff
    Column("not_before", String(40)),
    Column("reason", String(40)),
    Column("detail", Text),
    Index("open_items", "job_id", "op", "id", sqlite_where=_open, postgresql_where=_open),
    Index(
        "failed_items",
        "job_id",
        "id",
        sqlite_where=text("state IN ('failed', 'skipped')"),
        postgresql_where=text("state IN ('failed', 'skipped')"),
    ),
)

# Hashes come in no order, so every new document dirties a page of their index wherever it stands: short entries keep
# the index, and with it what a commit writes, small.
content_head: ColumnElement[str] = literal_column("substr(content_sha256, 1, 8)")

documents = Table(
    "documents",
    metadata,
    _collection(),
    Column("doc_id", BigInteger, primary_key=True),
    Column("source_id", BigInteger, ForeignKey("sources.id"), nullable=False),
    Column("key", Text, nullable=False),
    Column("folder", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("record", Text, nullable=False, server_default=""),
    Column("state", String(12), nullable=False),  # indexed, skipped, failed, container, deleted, withdrawn
    Column("reason", String(40)),
    Column("detail", Text),
    Column("stamp", String(100), nullable=False, server_default=""),
    Column("file_sha256", String(64), nullable=False, server_default=""),
    Column("content_sha256", String(64), nullable=False, server_default=""),
    Column("recipe", String(16), nullable=False, server_default=""),
    Column("title", Text),
    Column("described_sha256", String(64), nullable=False, server_default=""),  # of title and metadata
    Column("version_id", BigInteger),
    _count("chunks"),
    _count("bytes"),
    Column("generation", BigInteger, nullable=False, server_default="0"),
    _now_text("updated_at", nullable=False),
    Index("one_document_per_key", "collection_id", "key", unique=True),
    # With all that a listing asks for: it reads no row of an unchanged file.
    Index(
        "documents_of_a_folder",
        *("source_id", "folder", "record", "name", "stamp", "state", "recipe", "generation"),
    ),
    Index("documents_by_content", content_head),
)

versions = Table(
    "versions",
    metadata,
    _collection(),
    Column("version_id", BigInteger, primary_key=True),
    Column("doc_id", BigInteger, nullable=False),
    Column("content_sha256", String(64), nullable=False),
    Column("recipe", String(16), nullable=False),
    Column("state", String(12), nullable=False),  # unfinished, complete, abandoned
    Column("chunks", BigInteger, nullable=False),
    Column("prefix_sha256", String(64), nullable=False),  # running hash of the chunk texts so far
    Column("first_batch", BigInteger, nullable=False),
    Column("last_batch", BigInteger, nullable=False),
    Index("versions_of_a_document", "collection_id", "doc_id"),
    Index(
        "unfinished_versions",
        "collection_id",
        sqlite_where=text("state IN ('unfinished')"),
        postgresql_where=text("state IN ('unfinished')"),
    ),
)

version_spans = Table(
    "version_spans",
    metadata,
    _collection(),
    Column("version_id", BigInteger, primary_key=True),
    Column("from_generation", BigInteger, primary_key=True),
    Column("to_generation", BigInteger),
)

segments = Table(
    "segments",
    metadata,
    _collection(),
    Column("segment_id", BigInteger, primary_key=True),
    Column("token", BigInteger, nullable=False),
    Column("state", String(12), nullable=False),  # reserved, garbage, prepared, committed
    Column("first_batch", BigInteger, nullable=False, server_default="0"),
    Column("last_batch", BigInteger, nullable=False, server_default="0"),
    _count("rows"),
    Column("faiss", JSON),  # name, sha256, bytes
    Column("chunks", JSON),
    Column("codes", JSON),  # derived from the vectors, for approximate search; null: there are none
    Column("suspect", Boolean, nullable=False, server_default=text("0")),
    _now_text("verified_at"),
    Column("prepared_by", String(40)),  # the job in whose new space its vectors are
)

segment_spans = Table(
    "segment_spans",
    metadata,
    _collection(),
    Column("segment_id", BigInteger, primary_key=True),
    Column("from_generation", BigInteger, primary_key=True),
    Column("to_generation", BigInteger),
    Column("live", JSON),  # name, sha256, bytes; null: all rows are alive
    Column("live_rows", BigInteger, nullable=False),
    Index(
        "open_segments",
        "collection_id",
        "segment_id",
        sqlite_where=text("to_generation IS NULL"),
        postgresql_where=text("to_generation IS NULL"),
    ),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    _collection(),
    Column("generation", BigInteger, primary_key=True),
    Column("batch", BigInteger, nullable=False),
    Column("kind", String(10), nullable=False),  # ingest, merge, repair, rollback
    Column("job_id", String(40)),
    Column("file", String(100), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("record", LargeBinary, nullable=False),  # the file's bytes, zlib: a damaged file is written anew
    Column("size_bytes", BigInteger, nullable=False),
    Column("documents", BigInteger, nullable=False),
    Column("vectors", BigInteger, nullable=False),
    Column("settled", BigInteger, nullable=False),  # documents this commit settled
    Column("seconds", Float, nullable=False),
    Column("pinned", Boolean, nullable=False, server_default=text("0")),
    _now_text("at", nullable=False),
    # Without the records, which are large.
    Index("checkpoints_in_short", "collection_id", "generation", "kind", "job_id", "at", "pinned"),
)

events = Table(
    "events",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("collection_id", String(32)),
    Column("job_id", String(40)),
    Column("job_version", BigInteger),
    Column("type", String(40), nullable=False),
    Column("data", JSON, nullable=False),
    _now_text("at", nullable=False),
    Index("events_of_a_job", "job_id", "job_version"),
)

metrics = Table(
    "metrics",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("labels", String(200), primary_key=True),  # "key=value,key=value", sorted
    Column("value", Float, nullable=False),
)

workers = Table(
    "workers",
    metadata,
    Column("id", String(80), primary_key=True),
    Column("pid", Integer, nullable=False),
    Column("host", String(200), nullable=False),
    _now_text("started_at", nullable=False),
    _now_text("beat_at", nullable=False),
    _now_text("ended_at"),
    Column("facts", JSON, nullable=False),
)

_still_open = text("state IN ({})".format(", ".join(f"'{state.value}'" for state in OPEN)))

# Without foreign keys: the receipt of a collection's deletion outlives the collection.
tasks = Table(
    "tasks",
    metadata,
    Column("number", _Id, primary_key=True),
    Column("id", String(40), nullable=False, unique=True),
    Column("collection_id", String(32), nullable=False),
    Column("collection", String(100), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("options", JSON, nullable=False),
    Column("state", String(12), nullable=False),
    _count("token"),  # of the lease under which it was begun
    _count("attempts"),
    Column("result", JSON),
    Column("error", JSON),  # code, message
    _now_text("not_before"),
    _now_text("created_at", nullable=False),
    _now_text("started_at"),
    _now_text("finished_at"),
    Index("open_tasks", "collection_id", sqlite_where=_still_open, postgresql_where=_still_open),
)

# Of deleted collections: neither generations nor tokens start again for a name.
names = Table(
    "names",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("generation", BigInteger, nullable=False),
    Column("token", BigInteger, nullable=False),
)

# Below a collection's `kept_from`, the generations that can still be gone back to.
retained = Table(
    "retained",
    metadata,
    Column("collection_id", String(32), primary_key=True),
    Column("generation", BigInteger, primary_key=True),
)

garbage = Table(
    "garbage",
    metadata,
    Column("collection_id", String(32), primary_key=True),
    Column("file", String(100), primary_key=True),
    _now_text("unneeded_since", nullable=False),  # for people
    Column("boot", String(40), nullable=False, server_default=""),  # of the machine that has seen it so
    Column("boot_seconds", Float, nullable=False, server_default="0"),  # then, by its monotonic clock
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("key", String(200), primary_key=True),
    Column("body_sha256", String(64), nullable=False),
    Column("response", JSON, nullable=False),
    _now_text("at", nullable=False),
)
