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
from service.maintenance.looking_back import Past
from service.maintenance.replay import Replayed

UNKNOWN_PATH = (
    "(unknown since the ledger was rebuilt)"  # the next job with the source's name says where it is
)
_FILES = ("faiss", "chunks", "codes")


@dataclass(frozen=True, slots=True)
class Found:
    """A collection's folder, read."""

    name: str
    collection_id: str
    chain: Chain
    present: Replayed
    past: Past
    token: int  # the highest that any file bears
    segment: int  # the highest number


def put_collection(c: Connection, found: Found) -> None:
    """Everything that its commit records say, and what is left of it on the disk."""
    now, present, mine = utc_now(), found.present, {"collection_id": found.collection_id}
    spaces = [(since, _space(said), str(said.get("weights", ""))) for since, said in present.spaces]
    _, space, weights = spaces[-1]
    anew.put(c, "collections", [{
        "id": found.collection_id, "name": found.name, "space": space, "weights": weights, "settings": {},
        "kept_from": present.generation, "generation": present.generation, "batch": present.batch,
        "documents": len(present.visible.open), "vectors": present.vectors, "last_saved": present.at, "created_at": now,
        "next_doc_id": max(present.documents, default=0) + 1,
        "next_version_id": present.next_version,
        "next_segment_id": found.segment + 1,
    }])  # fmt: skip
    anew.put(c, "leases", [mine | {"token": found.token + RAISED_TOKENS, "holder": ""}])
    starts = [0, *(since for since, *_ in spaces[1:])]
    told = (
        {"from_generation": since, "space": said, "weights": w}
        for since, (_, said, w) in zip(starts, spaces, strict=True)
    )
    anew.put(c, "spaces", (mine | each for each in told))
    sources = _put_sources(c, found)
    anew.put(c, "documents", _documents(found, sources))
    _put_versions(c, found)
    _put_segments(c, found)
    anew.put(c, "retained", (mine | {"generation": generation} for generation in found.past.generations))
    anew.put(c, "checkpoints", _checkpoints(found))


def _space(said: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in said.items() if name != "fingerprint"}


def _put_versions(c: Connection, found: Found) -> None:
    """What is neither visible nor complete is not gone on with: its items are gone."""
    mine = {"collection_id": found.collection_id}
    spans = (
        {"version_id": n, "from_generation": begin, "to_generation": end}
        for n, begin, end, _ in found.past.versions()
    )
    anew.put(c, "version_spans", (mine | span for span in spans))
    known = sorted({number for number, *_ in found.past.versions()})
    rows = ({**found.present.versions[n], "version_id": n, "state": "complete"} for n in known)
    anew.put(c, "versions", (mine | row for row in rows))


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
    """Those of the generations that are whole; what is left of others is garbage from now on."""
    mine, past = {"collection_id": found.collection_id}, found.past
    kept = list(past.segments())
    spans = (
        {"segment_id": n, "from_generation": begin, "to_generation": end, **said}
        for n, begin, end, said in kept
    )
    anew.put(c, "segment_spans", (mine | span for span in spans))
    known = {number for number, *_ in kept}
    left = {number: _left_of(files, past) for number, files in sorted(found.present.files.items())}
    rows = (_segment(n, found.present.files[n], past, n in known) for n in left if n in known or left[n])
    anew.put(c, "segments", (mine | row for row in rows))
    waiting = [name for number, names in left.items() if number not in known for name in names]
    waiting += sorted(_unneeded_lives(found, {said["live"]["name"] for *_, said in kept if said["live"]}))
    anew.put(c, "garbage", (mine | {"file": name, "unneeded_since": utc_now()} for name in waiting))


def _left_of(files: dict[str, Any], past: Past) -> list[str]:
    return [files[kind]["name"] for kind in _FILES if past.has(files[kind])]


def _unneeded_lives(found: Found, needed: set[str]) -> set[str]:
    said = [
        told["live"]
        for *_, told in found.present.rows.ended
        if told is not None and found.past.has(told["live"])
    ]
    return {live["name"] for live in said} - needed


def _segment(number: int, files: dict[str, Any], past: Past, is_needed: bool) -> dict[str, Any]:
    columns = {name: files[name] for name in ("first_batch", "last_batch", "rows", "faiss", "chunks")}
    token = int(str(files["faiss"]["name"]).rpartition("-t")[2].partition(".")[0])
    codes = files["codes"] if past.has(files["codes"]) else None
    state = "committed" if is_needed else "garbage"
    return {"segment_id": number, "token": token, "state": state, "codes": codes, **columns}


def _checkpoints(found: Found) -> Iterator[dict[str, Any]]:
    """The chain itself: every record with its bytes, so that a damaged file can be written anew again."""
    whole = set(found.past.generations)
    following = [*found.chain.records[1:], None]
    told = zip(found.chain.records, found.chain.stored, found.present.points, following, strict=True)
    for record, stored, counts, after in told:
        documents, vectors, settled = counts
        size = sum(each[kind]["bytes"] for each in record.segments_opened for kind in ("faiss", "chunks"))
        yield {
            "collection_id": found.collection_id, "generation": record.generation, "batch": record.batch,
            "kind": record.kind, "job_id": record.job, "file": stored.name, "sha256": stored.sha256,
            "record": zlib.compress(encode(record), 1), "size_bytes": size + stored.bytes, "documents": documents,
            "vectors": vectors, "settled": settled, "seconds": 0.0, "at": record.at,
            # As the switch to another space did: the old one is kept until somebody says otherwise.
            "pinned": after is not None and after.kind == "reindex" and record.generation in whole,
        }  # fmt: skip
