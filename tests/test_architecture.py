"""Imports go one way, as the picture of the rooms in the README says; and nothing that is loaded can run code."""

import ast
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

SERVICE = Path(__file__).parent.parent / "service"
ROOMS = """
errors bounds failpoints children reader logs pid1 migrations __init__ <-
core <- errors
ports <- core errors
index <- core errors failpoints reader children
ledger <- core errors failpoints
engine <- core ports errors failpoints index ledger reader
sources parsers embedders <- core ports errors children
maintenance <- engine core ports errors failpoints index ledger reader children
web <- engine maintenance core errors bounds
sections <- bounds
settings <- errors sections
data_folder <- errors index ledger settings
configured_model <- core errors embedders sections settings
supervisor <- engine ledger core errors
client <- web core bounds errors
app <- core ports errors engine maintenance ledger index sources parsers embedders web settings sections supervisor data_folder \
configured_model
cli commands selftest __main__ serving working <- everything
"""
ROWS = [row.split("<-") for row in ROOMS.strip().splitlines()]
MAY = {room: set(right.split()) for left, right in ROWS for room in left.split()}
BARE = {"core": set(), "errors": set(), "ports": {"numpy"}, "reader": {"numpy", "faiss"}}
FILES = {path.relative_to(SERVICE).with_suffix(""): path for path in SERVICE.rglob("*.py")}
MODULES = {name: ast.parse(path.read_text()) for name, path in FILES.items()}
# Who gives orders, tells what was seen, or takes the lease; everybody else in these rooms works under one.
WITHOUT_A_LEASE = """
engine: jobs lease search sweep waiting worker
maintenance: collector departures generations keeper merger orders rebuild reindex_order scrubber verify
"""
PICKLES = {"pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle"}


def imported(module: Path) -> Iterator[str]:
    """Full names, wherever in the file: late imports and those for type checkers count too."""
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def targets(module: Path) -> set[Path]:
    """The service's own modules among them."""
    paths = [Path(*name.split(".")[1:]) for name in imported(module) if name.startswith("service.")]
    return {next((p for p in (path, path.parent) if p in MODULES), Path("__init__")) for path in paths} - {
        module
    }


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_imports_and_calls_only_what_its_room_may(module: Path) -> None:
    room = module.parts[0]
    others = {target.parts[0] for target in targets(module)} - {room, "__init__"}
    assert others <= MAY[room] or MAY[room] == {"everything"}
    foreign = {name.split(".")[0] for name in imported(module)} - {
        "service",
        *sys.stdlib_module_names - PICKLES,
    }
    assert foreign <= BARE.get(room, foreign - PICKLES)
    assert module.name != "__init__" or not list(imported(module)), "no re-exports"
    for node in ast.walk(MODULES[module]):
        assert not (isinstance(node, ast.Name) and node.id in ("eval", "exec", "__import__"))
        assert not isinstance(node, ast.keyword) or ast.unparse(node) != "allow_pickle=True"


def test_what_works_under_a_lease_writes_to_the_ledger_under_it() -> None:
    """Its late writes, when it wakes after a freeze, must not happen: Lease.write is for them."""
    for line in WITHOUT_A_LEASE.strip().splitlines():
        room, names = line.split(":")
        writers = {
            m.name for m in MODULES if m.parts[0] == room and "edger.write()" in ast.unparse(MODULES[m])
        }
        assert writers == set(names.split())


def test_no_module_imports_itself_by_a_detour() -> None:
    TopologicalSorter({module: targets(module) for module in MODULES}).prepare()
