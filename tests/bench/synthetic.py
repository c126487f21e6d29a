"""A collection of made-up chunks, committed by the engine's own committer."""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np

from service.core.space import Space
from service.engine.commit import Committer
from service.engine.draft import Batch, Draft, Outcome, Place, Row
from service.engine.jobs import Jobs, Order
from service.engine.lease import Lease, Observer, Wanted
from service.engine.merge import merge_if_needed
from service.engine.owner import Owner
from service.engine.recover import recover
from service.engine.settings import EngineSettings
from service.engine.state import CollectionState
from service.index.files import make_folder
from service.ledger import items, jobs
from service.ledger.database import Ledger, sqlite_url, store_identity
from service.ledger.migrate import migrate
from service.ports import Float32Vector, Piece

DIMENSIONS = 384
SPACE = Space("synthetic", "float", DIMENSIONS, "mean", True, "", "", 512)
_CHUNKS_PER_DOCUMENT = 10
_TEXT = "A made-up chunk has about as many characters as one of real text, so that its file is as large. " * 9

Texts = Callable[[int], list[str]]


@dataclass
class Grown:
    """One collection in a ledger of its own, under a lease; it grows by batches of new documents."""

    ledger: Ledger
    settings: EngineSettings
    state: CollectionState
    lease: Lease
    owner: Owner

    @property
    def committer(self) -> Committer:
        return Committer(self.ledger, self.lease, self.state)

    def next_batch(self, rows: int, chunks: int = _CHUNKS_PER_DOCUMENT, texts: Texts | None = None) -> Batch:
        """`rows` chunks of new documents of `chunks` each, whose items are in flight, ready to commit."""
        number = self.state.generation
        names = [f"{number:06}-{n:04}.txt" for n in range(rows // chunks)]
        with self.ledger.write() as c:
            found = [{"folder": "made", "name": name, "stamp": "1:1:1:1"} for name in names]
            items.add(c, self.owner.job_id, "upsert", found)
            pending = items.next_pending(c, self.owner.job_id, "upsert", len(names), "")
            items.start(c, [item.id for item in pending])
        vectors = np.random.default_rng(number).standard_normal((rows, DIMENSIONS), dtype=np.float32)
        batch = Batch()
        for first, item in zip(range(0, rows, chunks), pending, strict=True):
            own = texts(chunks) if texts else made_up(item.name, chunks)
            _add_document(batch, item.id, item.name, vectors[first : first + chunks], own)
        return batch

    def commit(self, batch: Batch) -> None:
        """Exactly what an ingestion does at a checkpoint, merges aside."""
        self.committer.commit(batch, self.owner)

    def merge(self) -> None:
        """As an ingestion does before it adds a segment."""
        limit = self.settings.max_live_segments
        while merge_if_needed(self.ledger, self.lease, self.state, self.owner, limit):
            pass


@contextmanager
def collection(folder: Path, rows: int, rows_per_commit: int) -> Iterator[Grown]:
    """A new collection that has grown to `rows` chunks."""
    folder.mkdir()
    settings = EngineSettings(folder, min_free_bytes=0)
    ledger = Ledger.open(sqlite_url(folder))
    migrate(ledger)
    grown = _begin(ledger, settings)
    for _ in range(rows // rows_per_commit):
        grown.merge()
        grown.commit(grown.next_batch(rows_per_commit))
    try:
        yield grown
    finally:
        grown.state.close()
        grown.lease.release()
        ledger.close()


def _begin(ledger: Ledger, settings: EngineSettings) -> Grown:
    order = Order("bench", settings.data_dir, "bench")
    job_id = Jobs(ledger, settings, lambda: (SPACE, "f32")).create(order)["id"]
    folder = settings.folder("bench")
    for made in (folder.parent, folder):
        make_folder(made)
    with ledger.write() as c:
        store_id = store_identity(c).store_id
        job = jobs.get(c, job_id)
    lease = Lease.take(ledger, Observer(), Wanted(job.collection_id, job.id), folder, "bench")
    assert lease is not None, "nobody else knows this ledger"
    with ledger.read() as c:
        state = CollectionState.load(c, job.collection_id, folder, store_id)
    recover(ledger, lease, state)  # makes the folders
    return Grown(ledger, settings, state, lease, Owner(job.id, job.service, job.source_id, "bench"))


def made_up(name: str, count: int) -> list[str]:
    """Chunks of a document that differ in their beginnings."""
    return [f"{name} {ordinal} {_TEXT}" for ordinal in range(count)]


def _add_document(batch: Batch, item_id: int, name: str, vectors: Float32Vector, texts: list[str]) -> None:
    digest = hashlib.sha256(name.encode()).hexdigest()
    ends = list(accumulate(map(len, texts)))
    piece = Piece("", name, {"filename": name}, digest, 0, "".join(texts), 0, (), True)
    draft = Draft.of(item_id, Place("made", name, "", f"bench/made/{name}"), piece)
    draft.chunks = draft.embedded = len(vectors)
    draft.stamp, draft.file_sha256, draft.committed_prefix = "1:1:1:1", digest, digest
    draft.ended = True
    for ordinal, (text, end, vector) in enumerate(zip(texts, ends, vectors, strict=True)):
        future: Future[Float32Vector] = Future()
        future.set_result(vector)
        batch.rows.append(Row(draft, ordinal, end - len(text), end, 240, "", text, digest, future, False))
    batch.finished.append(draft)
    batch.outcomes.append(Outcome(item_id, "done"))
    batch.count("done")
    batch.count("chunks", len(vectors))
