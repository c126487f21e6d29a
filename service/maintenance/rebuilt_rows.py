"""The rows of one collection in a ledger that is made anew, from what its folder says."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from service.core.keys import root_of
from service.index.commit_record import Chain, encode
from service.ledger import anew
from service.ledger.backup import RAISED_TOKENS
from service.ledger.database import utc_now
from service.maintenance.replay import Replayed

UNKNOWN_PATH = (
    "(unknown since the ledger was rebuilt)"  # the next job with the source's name says where it is
)


@dataclass(frozen=True, slots=True)
class Found:
    """A collection's folder, read."""

    name: str
    collection_id: str
    chain: Chain
    present: Replayed
    token: int  # the highest that any file bears
    segment: int  # the highest number


def put_collection(c: Connection, found: Found) -> None:
    """All of them; its generation is not 0."""
    now, present, mine = utc_now(), found.present, {"collection_id": found.collection_id}
    space = {name: value for name, value in (present.space or {}).items() if name != "fingerprint"}
    weights = str(space.get("weights", ""))
    anew.put(c, "collections", [{
        "id": found.collection_id, "name": found.name, "space": space, "weights": weights, "settings": {},
        "kept_from": present.generation, "generation": present.generation, "batch": present.batch,
        "documents": len(present.live), "vectors": present.vectors, "last_saved": present.at, "created_at": now,
        "next_doc_id": max(present.documents, default=0) + 1,
        "next_version_id": max(present.versions, default=0) + 1,
        "next_segment_id": found.segment + 1,
    }])  # fmt: skip
    anew.put(c, "leases", [mine | {"token": found.token + RAISED_TOKENS, "holder": ""}])
    anew.put(c, "spaces", [mine | {"from_generation": 0, "space": space, "weights": weights}])
    sources = _put_sources(c, found)
    anew.put(c, "documents", _documents(found, sources))
    versions = present.versions.items()
    anew.put(
        c,
        "versions",
        (mine | {"version_id": n} | _known(version, n in present.live) for n, version in versions),
    )
    live = ({"version_id": n, "from_generation": present.generation} for n in sorted(present.live))
    anew.put(c, "version_spans", (mine | each for each in live))
    _put_segments(c, found)
    anew.put(c, "checkpoints", _checkpoints(found))


def _known(version: dict[str, Any], is_live: bool) -> dict[str, Any]:
    """What is neither visible nor complete is not gone on with: its items are gone."""
    state = "complete" if version["state"] == "complete" or is_live else "abandoned"
    return {**version, "state": state}


def _put_sources(c: Connection, found: Found) -> dict[str, int]:
    """Root -> number here. Not by the numbers in the records: every rebuild gives others."""
    numbers: dict[str, int] = {}
    for document in found.present.documents.values():
        root = root_of(document["key"])
        if root not in numbers:
            row = {
                "collection_id": found.collection_id,
                "type": "library",
                "root": root,
                "path": UNKNOWN_PATH,
            }
            numbers[root] = anew.put_source(c, row)
    return numbers


def _documents(found: Found, sources: dict[str, int]) -> Iterator[dict[str, Any]]:
    for doc_id, document in sorted(found.present.documents.items()):
        source_id = sources[root_of(document["key"])]
        yield {**document, "collection_id": found.collection_id, "doc_id": doc_id, "source_id": source_id}


def _put_segments(c: Connection, found: Found) -> None:
    mine, present = {"collection_id": found.collection_id}, found.present
    for number, said in sorted(present.segments.items()):
        token = int(str(said["faiss"]["name"]).rpartition("-t")[2].partition(".")[0])
        files = {"faiss": said["faiss"], "chunks": said["chunks"]}
        columns = ("first_batch", "last_batch", "rows")
        row = {
            "segment_id": number,
            "token": token,
            "state": "committed",
            **{n: said[n] for n in columns},
            **files,
        }
        anew.put(c, "segments", [mine | row])
        span = {"segment_id": number, "from_generation": present.opened_at[number]}
        anew.put(c, "segment_spans", [mine | span | {"live": said["live"], "live_rows": said["live_rows"]}])


def _checkpoints(found: Found) -> Iterator[dict[str, Any]]:
    """The chain itself: every record with its bytes, so that a damaged file can be written anew again."""
    for record, stored, counts in zip(
        found.chain.records, found.chain.stored, found.present.points, strict=True
    ):
        documents, vectors, settled = counts
        size = sum(each[kind]["bytes"] for each in record.segments_opened for kind in ("faiss", "chunks"))
        yield {
            "collection_id": found.collection_id, "generation": record.generation, "batch": record.batch,
            "kind": record.kind, "job_id": record.job, "file": stored.name, "sha256": stored.sha256,
            "record": zlib.compress(encode(record), 1), "size_bytes": size + stored.bytes, "documents": documents,
            "vectors": vectors, "settled": settled, "seconds": 0.0, "at": record.at,
        }  # fmt: skip
