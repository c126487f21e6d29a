"""The shapes of requests, checked, and of answers, documented."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.bounds import MOST_CHARACTERS, MOST_DOCUMENTS, MOST_HITS, MOST_WORKERS
from service.core.job import State

Name = Annotated[str, Field(min_length=1, max_length=200)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class LibrarySource(_Body):
    """A folder: a configured library root, a folder inside one, or (where none is configured) any absolute path."""

    type: Literal["library"]
    path: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    root: Name | None = None


class JobOrder(_Body):
    """A job to be made."""

    collection: str = "default"
    source: LibrarySource
    mode: Literal["incremental", "fresh"] = "incremental"
    deletes: Literal["off", "safe", "confirmed"] | None = None  # as configured
    deletes_digest: Annotated[str, Field(max_length=64)] = ""
    batch_size: Annotated[int, Field(ge=1, le=MOST_DOCUMENTS)] | None = None
    workers: Annotated[int, Field(ge=1, le=MOST_WORKERS)] | None = None
    start_paused: bool = False

    @model_validator(mode="after")
    def _confirmation_names_what_it_confirms(self) -> Self:
        if (self.deletes == "confirmed") != bool(self.deletes_digest):
            raise ValueError("deletes = confirmed and the deletes_digest, as the job told it, go together")
        return self


class ReindexOrder(_Body):
    """Further wishes of who orders it."""

    start_paused: bool = False


class SearchQuery(_Body):
    """A text, or a vector of the collection's space; `where`: metadata values that a document must have."""

    text: Annotated[str, Field(min_length=1, max_length=MOST_CHARACTERS)] | None = None
    vector: Annotated[list[float], Field(min_length=1, max_length=65_536)] | None = None
    k: Annotated[int, Field(ge=1, le=MOST_HITS)] = 10
    where: dict[str, str] = {}

    @model_validator(mode="after")
    def _asks_one_thing(self) -> Self:
        if (self.text is None) == (self.vector is None):
            raise ValueError("give either a text or a vector")
        if self.text is not None and not self.text.strip():
            raise ValueError("the text is blank")
        return self


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Progress(_Answer):
    """Counts only grow while a job runs; `total` is null until the listing is complete."""

    discovered: int
    total: int | None
    settled: int
    done: int
    unchanged: int
    skipped: int
    failed: int
    known_failed: int
    deleted: int
    chunks: int
    chunks_reused: int
    bytes: int
    tokens: int
    crawl_last_id: (
        int | None
    )  # every document up to this id is settled, so far; null where nothing is crawled
    chunked_last_id: int
    indexed_last_id: int
    rate_per_second: float
    eta_seconds: float | None


class Can(_Answer):
    """Which verbs would change something now."""

    pause: bool
    resume: bool
    cancel: bool
    retry: bool


class Source(_Answer):
    type: str
    root: str
    path: str  # of the root
    folder: str  # below it, of a job that looks at no more than that


class Job(_Answer):
    """One run of a source into a collection."""

    id: str
    collection: str
    source: Source
    options: dict[str, Any]
    state: State
    desired_state: Literal["running", "paused", "cancelled"]
    stage: str
    phase: str
    reason: dict[str, Any] | None
    attempt: int
    version: int
    progress: Progress
    deletes_withheld: dict[str, Any] | None
    folders_unreadable: dict[str, Any] | None  # count, and the first of them with their reasons
    last_checkpoint: dict[str, Any] | None
    paused_at_checkpoint: int | None
    can: Can
    links: dict[str, str]
    created_at: str
    started_at: str | None
    updated_at: str
    wished_at: str | None
    finished_at: str | None


class JobPage(_Answer):
    jobs: list[Job]
    next: str | None


class Item(_Answer):
    """One document that a job has something to do with."""

    id: int
    path: str
    op: str
    state: str
    attempts: int
    tries: int
    not_before: str | None
    reason: str | None
    detail: str | None


class ItemPage(_Answer):
    items: list[Item]
    next: str | None


class Checkpoint(_Answer):
    generation: int
    batch: int
    kind: str
    job_id: str | None
    file: str
    sha256: str
    size_bytes: int
    documents: int
    vectors: int
    seconds: float
    pinned: bool
    at: str


class CheckpointPage(_Answer):
    checkpoints: list[Checkpoint]
    next: str | None


class Collection(_Answer):
    name: str
    id: str
    state: Literal["active", "deleting"]
    generation: int
    published_generation: int
    documents: int
    vectors: int
    tombstones: int
    segments: int
    size_bytes: int
    checkpoints: int
    last_saved: str | None
    documents_by_state: dict[str, int]
    space: dict[str, Any]
    created_at: str


class Collections(_Answer):
    collections: list[Collection]


class Generation(_Answer):
    """What to load (published), and what is true (committed)."""

    collection: str
    published: int
    committed: int


class Chunk(_Answer):
    ordinal: int
    start: int
    tokens: int
    text: str


class Document(_Answer):
    """A document: whether it is in, and as what; with its chunks when it is asked for alone."""

    doc_id: int
    key: str
    state: str
    reason: str | None
    detail: str | None
    title: str | None
    version_id: int | None
    chunks: int
    bytes: int
    generation: int
    updated_at: str
    content_sha256: str | None
    file_sha256: str | None
    contents: list[Chunk] | None = None


class DocumentPage(_Answer):
    documents: list[Document]
    next: str | None


class Hit(_Answer):
    """A chunk that was found; a higher score is nearer."""

    score: float
    key: str
    doc_id: int
    title: str
    text: str
    ordinal: int
    version: int
    metadata: dict[str, str]


class Found(_Answer):
    collection: str
    published_generation: int
    generation: int
    hits: list[Hit]


class Verified(_Answer):
    """The report of a verification."""

    collection: str
    generation: int
    valid: bool
    problems: list[dict[str, str]]
    files_checked: int
    documents: int
    vectors: int
    checkpoint: dict[str, Any] | None


class Task(_Answer):
    """A maintenance task and its receipt."""

    id: str
    collection: str
    kind: str
    options: dict[str, Any]
    state: str
    attempts: int
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    links: dict[str, str]


class TaskPage(_Answer):
    tasks: list[Task]
    next: str | None


class Withdrawn(_Answer):
    """A document is out: `verified`, by opening what is published afresh and searching it with `searched` vectors."""

    task: str
    verified: bool
    generation: int
    searched: int
    segments_rewritten: int | None = None  # of a purge
    quarantined_removed: list[str] | None = None


class PlannedFiles(_Answer):
    """How many, and the first of them."""

    files: int
    paths: list[str]


class PlannedRemoval(PlannedFiles):
    """Documents that would go; `withheld`: more than the guard lets pass, unless their digest is confirmed."""

    documents: int
    digest: str
    withheld: bool


class Plan(_Answer):
    """What a job would do; `bytes` of the files that it would read, `estimate_seconds` from what jobs took so far."""

    collection: str
    source: Source
    discovered: int
    add: PlannedFiles
    update: PlannedFiles
    unchanged: int
    known_failed: int
    remove: PlannedRemoval
    folders_unreadable: dict[str, Any] | None
    bytes: int
    estimate_seconds: float | None
