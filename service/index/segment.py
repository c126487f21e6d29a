"""Writing a segment: its vectors and its chunk records, two files whose rows correspond."""

from pathlib import Path

from service.index import chunkbuild, flatfile
from service.index.files import sync_folder, write_new
from service.index.records import MAX_ROWS, SegmentContents, SegmentId, WrittenSegment


def write_segment(
    root: Path, segment: SegmentId, collection_id: str, metric: str, contents: SegmentContents
) -> WrittenSegment:
    """Build both files in memory, create them below `root/segments` and sync the folder.

    Raises FileExistsError, TryAgain, and, before anything is written, what `flatfile.encode` and
    `chunkbuild.build` raise on contents that do not fit together.
    """
    rows, dimensions = contents.vectors.shape
    if rows != len(contents.chunks) or not 0 < rows <= MAX_ROWS:
        raise ValueError(f"{rows} vectors for {len(contents.chunks)} chunks; from 1 to {MAX_ROWS}")
    vectors = flatfile.encode(metric, contents.vectors)
    chunks = chunkbuild.build(meta_of(segment.number, collection_id, dimensions), contents)
    written = WrittenSegment(
        write_new(root, segment.vectors, vectors, "vectors"),
        write_new(root, segment.chunks, chunks, "chunks"),
        rows,
    )
    sync_folder(root / "segments")
    return written


def meta_of(segment: int, collection_id: str, dimensions: int) -> dict[str, str]:
    """What a `.chunks` file says of itself; segment 0: merged before it had a number."""
    return {"collection_id": collection_id, "segment": str(segment), "dimensions": str(dimensions)}
