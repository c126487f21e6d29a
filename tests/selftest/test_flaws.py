"""The self-test is worth something: a flaw in the code is found, by the blow that meets it."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.selftest.running import report_of, selftest
from tests.test_guards import copy_of_the_code

pytestmark = pytest.mark.timeout(900)  # a busy machine may take long; nothing else depends on its speed


@dataclass(frozen=True)
class Flaw:
    """Code that is replaced by worse code, the blow that meets it, and what is then reported."""

    name: str
    file: str
    changes: tuple[tuple[str, str], ...]
    blow: str
    reported: tuple[str, ...]  # any of these


FLAWS = [
    Flaw(
        name="the ledger is written before the files",
        file="service/engine/commit.py",
        changes=(
            (
                '        reach("ledger.before")\n',
                "        paths = [state.folder / segment.faiss.name for segment in written.opened]\n"
                "        late = {path: path.read_bytes() for path in paths}\n"
                "        for path in late:\n"
                "            path.unlink()\n",
            ),
            (
                '        reach("ledger.after")\n',
                '        reach("ledger.after")\n'
                "        for path, data in late.items():\n"
                "            path.write_bytes(data)\n",
            ),
        ),
        blow="first:ledger.after=kill@2",  # there every early commit has vectors
        reported=("unreadable",),
    ),
    Flaw(
        name="a token is not checked",
        file="service/ledger/leases.py",
        changes=(
            (
                "    if changed != 1:\n        raise LeaseLost",
                "    if changed is None:\n        raise LeaseLost",
            ),
        ),
        blow="later:ledger.before=stop@2",
        reported=("doubled",),
    ),
    Flaw(
        name="what a dead worker had in hand counts as done",
        file="service/ledger/items.py",
        changes=(
            (
                'c.execute(update(items).where(mine).values(state="pending"))',
                'c.execute(update(items).where(mine).values(state="skipped"))',
            ),
        ),
        blow="first:ledger.before=kill@2",
        reported=("lost",),
    ),
    Flaw(
        name="orphans stay",
        file="service/engine/recover.py",
        changes=(("        if name not in known:\n", "        if name not in known and not name:\n"),),
        blow="later:ledger.before=kill@2",
        reported=("manual",),
    ),
]


@pytest.mark.parametrize("flaw", FLAWS, ids=lambda flaw: flaw.name)
def test_a_flaw_is_noticed(flaw: Flaw, tmp_path: Path) -> None:
    copy_of_the_code(tmp_path)
    path = tmp_path / flaw.file
    code = path.read_text()
    for old, new in flaw.changes:
        assert code.count(old) == 1, f"{flaw.file} has changed: mend the table"
        code = code.replace(old, new)
    path.write_text(code)
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
        compiled.unlink()
    done = selftest("--crash", "--repeat", flaw.blow, "--json", code=tmp_path)
    report = report_of(done)
    assert done.returncode == 1
    assert any(report[kind] for kind in flaw.reported), report
    assert [finding["repeat"] for finding in report["findings"]] == [flaw.blow]
