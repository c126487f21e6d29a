"""Real English text without a network: the documentation that comes with Python and the locked packages."""

import ast
import importlib.util
import random
import sysconfig
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path
from pydoc_data.topics import topics

_PACKAGES = ("sqlalchemy", "numpy", "pydantic", "click", "rich", "alembic")  # those with much to say
_LEAST_CHARACTERS = 400  # of a docstring: shorter ones are seldom prose
_FILE_CHARACTERS = (1_000, 20_000)
_FILES_PER_FOLDER = 40
_NOT_DOCUMENTATION = {"test", "tests", "idlelib", "site-packages", "dist-packages", "lib2to3"}


def paragraphs(characters: int) -> Iterator[str]:
    """Paragraphs, each once, in an order that is always the same, until `characters` have been given.

    They are the same wherever Python and the packages have the same versions. Raises ValueError when there
    are not enough of them.
    """
    given, seen = 0, set[str]()
    for text in _texts():
        for paragraph in text.split("\n\n"):
            if paragraph in seen:
                continue
            seen.add(paragraph)
            yield paragraph
            given += len(paragraph) + 2
            if given >= characters:
                return
    raise ValueError(f"This Python's documentation has {given} characters, {characters} were asked for.")


def write_library(folder: Path, characters: int) -> int:
    """Write about `characters` of text as files of 1 to 20 KB, some dozens to a folder; returns how many."""
    draw, number, size = random.Random(7), 0, 0
    parts: list[str] = []
    wanted = 0.0
    for paragraph in paragraphs(characters):
        wanted = wanted or draw.triangular(*_FILE_CHARACTERS, 4_000)
        parts.append(paragraph)
        size += len(paragraph) + 2
        if size >= wanted:
            number += 1
            _write(folder, number, parts)
            parts, size, wanted = [], 0, 0.0
    return number


def _write(folder: Path, number: int, parts: list[str]) -> None:
    path = folder / f"{number // _FILES_PER_FOLDER:03}" / f"{number:05}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join(parts))


def _texts() -> Iterator[str]:
    yield from topics.values()
    roots = [Path(sysconfig.get_path("stdlib"))]
    for name in _PACKAGES:
        found = importlib.util.find_spec(name)
        if found is not None and found.origin is not None:
            roots.append(Path(found.origin).parent)
    for root in roots:
        for path in sorted(root.rglob("*.py")):
            if not _NOT_DOCUMENTATION & set(path.relative_to(root).parts):
                yield from _docstrings(path)


def _docstrings(path: Path) -> Iterator[str]:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, kinds):
            text = cleandoc(ast.get_docstring(node, clean=False) or "")
            if len(text) >= _LEAST_CHARACTERS:
                yield text
