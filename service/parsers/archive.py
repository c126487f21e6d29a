"""Zip archives of XML that are not believed: bombs are refused, and damage is named."""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from lxml import etree

from service.errors import DocumentFailed
from service.parsers.parsed import DAMAGED, OUT_OF_MEMORY

MOST_EXPANDED_BYTES = 400_000_000

# What zipfile, the XML parsers and the libraries above them let through when a file is not what they expect;
# the standard library's XML errors are SyntaxErrors.
DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, struct.error, etree.LxmlError, SyntaxError, EOFError, OSError),
    *(LookupError, ValueError, TypeError, AttributeError, AssertionError, NotImplementedError),
)


def open_archive(data: bytes) -> zipfile.ZipFile:
    """Raises DocumentFailed(out_of_memory) for an archive that says it expands beyond `MOST_EXPANDED_BYTES`.

    zipfile never expands a member beyond the size its directory gives, so the sum holds.
    """
    archive = zipfile.ZipFile(io.BytesIO(data))
    expanded = sum(info.file_size for info in archive.infolist())
    if expanded > MOST_EXPANDED_BYTES:
        raise DocumentFailed(OUT_OF_MEMORY, f"it would expand from {len(data)} to {expanded} bytes")
    return archive


@contextmanager
def damage_named(*own: type[Exception]) -> Iterator[None]:
    """Turn what a library raises over a damaged file, its `own` errors included, into DocumentFailed."""
    try:
        yield
    except (*own, *DAMAGE) as error:
        if "memory" in str(error).lower():  # what libxml2 and expat say when an allocation fails
            raise DocumentFailed(OUT_OF_MEMORY, str(error)) from error
        raise DocumentFailed(DAMAGED, f"{type(error).__name__}: {error}") from error
