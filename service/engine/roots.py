"""Which folder a job reads, and under which name its documents' keys begin."""

import os.path
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from service.core.names import storable_name
from service.errors import BadRequest


class Location(NamedTuple):
    """A folder below a named root, from which its documents' keys begin."""

    path: Path  # of the root: absolute and real
    root: str
    folder: str = ""  # relative to the root, as the ledger names it; "" for the root itself


def locate(roots: Mapping[str, Path], path: Path, root: str | None) -> Location:
    """The folder that somebody on this machine means, who is not bound to the library roots. Raises BadRequest."""
    folder = path.resolve()
    around = {name: at for name, at in roots.items() if folder.is_relative_to(at.resolve())}
    return resolve(around, root, folder)


def resolve(roots: Mapping[str, Path], root: str | None = None, path: str | Path | None = None) -> Location:
    """The folder that is meant. Raises BadRequest.

    `roots` are the configured library roots, name -> absolute path. Where there are any, nothing outside them
    can be named, whatever `..` and symbolic links say. A relative `path` begins at a configured root: at `root`,
    or at the only one. An absolute `path` may bear a `root` name of its own and is that root; by default it belongs
    to the innermost configured root around it, or is a root with its folder's name.
    """
    real_roots = {name: _real(folder) for name, folder in roots.items()}
    base = _base(real_roots, root, path)
    folder = _real((base or Path("/")) / (path or ""))
    if base is not None and not folder.is_relative_to(base):
        raise BadRequest(f"{str(path)!r} leads out of the library root {str(base)!r}.")
    around = [name for name, at in real_roots.items() if folder.is_relative_to(at)]
    if real_roots and not around:
        raise BadRequest(f"{str(path)!r} is in none of the library roots ({_names(roots)}).")
    if not folder.is_dir():
        what = ", but a file: name the folder it is in" if folder.is_file() else " that can be seen from here"
        raise BadRequest(f"{str(folder)!r} is not a folder{what}.")
    innermost = max(around, key=lambda name: len(real_roots[name].parts), default=None)
    named = root or innermost
    if named is None or named not in real_roots:
        return Location(folder, named or folder.name or "root")
    inside = folder.relative_to(real_roots[named]).as_posix()
    return Location(real_roots[named], named, "" if inside == "." else storable_name(inside))


def _base(real_roots: Mapping[str, Path], root: str | None, path: str | Path | None) -> Path | None:
    """The configured root at which `path` begins; None: it is absolute and only has to be in any of them."""
    if root is not None and (not root.strip(".") or "/" in root or not root.isprintable() or len(root) > 200):
        raise BadRequest(f"{root!r} cannot name a root: use 1 to 200 printable characters without a slash.")
    if root is not None and root in real_roots:
        return real_roots[root]
    if path is not None and Path(path).is_absolute():
        return None
    if not real_roots:
        raise BadRequest("Give the absolute path of the folder to ingest: no library roots are configured.")
    if root is not None:
        raise BadRequest(f"There is no library root {root!r}; configured: {_names(real_roots)}.")
    if len(real_roots) > 1:
        raise BadRequest(f"Say which library root is meant: {_names(real_roots)}.")
    return next(iter(real_roots.values()))


def _real(path: Path) -> Path:
    try:
        return Path(os.path.realpath(path))
    except ValueError as error:  # a NUL, or half of a surrogate pair
        raise BadRequest(f"{str(path)!r} cannot be a path.") from error


def _names(roots: Mapping[str, Path]) -> str:
    return ", ".join(sorted(roots))
