"""Every place of the product that has something synced, by name: a function, numbered where it does so more than once."""

import ast
from collections.abc import Container, Iterator
from functools import cache
from pathlib import Path

import service

ROOT = Path(service.__file__).parent
WRITERS = (
    "service.index.files",
    "service.index.copies",
)  # they sync for others: whoever asks them is the place
_SYNC = "os.fsync"


@cache
def sites() -> dict[tuple[str, int], str]:
    """(Module, line) -> the place's name, for every line of a call that syncs."""
    found: dict[tuple[str, int], str] = {}
    for path in sorted(ROOT.rglob("*.py")):
        module = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
        if module not in WRITERS:
            for name, call in _named(module, ast.parse(path.read_text())):
                found |= {(module, line): name for line in range(call.lineno, (call.end_lineno or 0) + 1)}
    return found


def _named(module: str, tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    names = _names_of_the_writers(tree)
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        calls = sorted(_calls(function, names), key=lambda call: (call.lineno, call.col_offset))
        for number, call in enumerate(calls, 1):
            place = f"{module.removeprefix('service.')}.{function.name}"
            yield place + (f" {number}" if len(calls) > 1 else ""), call


def _names_of_the_writers(tree: ast.Module) -> set[str]:
    """What a module calls the functions that sync, as it has imported them."""
    names = {_SYNC}
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom):
            continue
        for alias in node.names:
            called = alias.asname or alias.name
            if node.module in WRITERS and alias.name in syncing(node.module):
                names.add(called)
            elif f"{node.module}.{alias.name}" in WRITERS:
                names |= {f"{called}.{name}" for name in syncing(f"{node.module}.{alias.name}")}
    return names


@cache
def syncing(writer: str) -> frozenset[str]:
    """The functions of a writer that sync, or call one that does."""
    tree = ast.parse((ROOT.parent / f"{writer.replace('.', '/')}.py").read_text())
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    found = _names_of_the_writers(tree)
    while more := {name for name in functions.keys() - found if any(_calls(functions[name], found))}:
        found |= more
    return frozenset(found & functions.keys())


def _calls(function: ast.FunctionDef, names: Container[str]) -> Iterator[ast.Call]:
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in names:
            yield node
