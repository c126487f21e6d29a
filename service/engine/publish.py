"""Publish the newest generation, and remember in the ledger that it is out."""

from service.engine.lease import Lease
from service.engine.state import CollectionState
from service.errors import LeaseLost, TryAgain
from service.failpoints import reach
from service.index import manifest
from service.ledger import collections, segments
from service.ledger.database import Ledger

WAIT_SECONDS = 0.5  # for the folder's lock; not again and again, since a frozen predecessor may keep it


def publish(ledger: Ledger, lease: Lease, state: CollectionState) -> bool:
    """Write the manifest if what is there is older or damaged; whether it is out.

    A failure is no failure of the commit, which counts already: the holder tries again. Raises LeaseLost.
    """
    reach("publish.before")
    wait_seconds = 0.0 if state.publish_failed else WAIT_SECONDS
    try:
        manifest.publish(state.folder, _manifest(ledger, state), wait_seconds)
    except TryAgain:
        state.publish_failed = True
        return False
    state.published, state.publish_failed = state.generation, False
    with lease.write() as c:
        collections.change(c, state.id, published_generation=state.generation)
    reach("publish.after")
    return True


def _manifest(ledger: Ledger, state: CollectionState) -> manifest.Manifest:
    with ledger.read() as c:
        newest = segments.list_checkpoints(c, state.id, limit=manifest.KEPT_CHECKPOINTS)
        row = collections.by_id(c, state.id)
        opened = {live.segment_id: live.from_generation for live in segments.live(c, state.id)}
    if row.generation != state.generation:
        raise LeaseLost(f"A successor has committed generation {row.generation} of {state.name!r}.")
    return manifest.Manifest(
        collection=state.name,
        collection_id=state.id,
        generation=state.generation,
        space=manifest.describe(state.space),
        dimensions=state.space.dimensions,
        metric="cosine" if state.space.normalised else "l2",
        segments=[
            manifest.SegmentEntry(
                first_batch=segment.first_batch,
                last_batch=segment.last_batch,
                generation=opened[segment.segment_id],
                rows=segment.rows,
                faiss=segment.faiss,
                chunks=segment.chunks,
                live=segment.live,
                codes=segment.codes,
            )
            for segment in state.segments
        ],
        checkpoints=[
            manifest.CheckpointEntry(
                batch=point.batch,
                generation=point.generation,
                file=point.file,
                sha256=point.sha256,
                size_bytes=point.size_bytes,
                timestamp=point.at,
            )
            for point in reversed(newest)
        ],
        documents=row.documents,
        vectors=row.vectors,
        last_saved=row.last_saved or "",
    )
