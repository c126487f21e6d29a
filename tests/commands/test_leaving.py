"""The commands that look ahead, take documents out, let them in again, and delete a collection."""

from pathlib import Path

import pytest

from tests.running import REPOSITORY, Place
from tests.test_cli import Here


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.write(4)
    done = made.run("ingest", "library")
    assert done.returncode == 0, done.stderr
    return made


def test_from_a_plan_to_the_end_of_a_collection(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place.folder)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    for name, value in place.settings.items():
        monkeypatch.setenv(name, value)
    here = Here(capsys, monkeypatch)

    (place.library / "0004.txt").write_text("One more document, which is not in yet.")
    planned = here.ask("plan", "library")
    assert (planned["add"]["paths"], planned["unchanged"]) == (["0004.txt"], 4)
    code, out, _ = here("plan", "library")
    assert (code, "add     0004.txt" in out) == (0, True)

    [out_of_it] = here.ask("delete", "library/0000.txt")["tasks"]
    assert out_of_it["result"]["verified"]
    [purged] = here.ask("delete", "--purge", "library/0001.txt")["tasks"]
    assert (purged["kind"], purged["result"]["verified"]) == ("purge", True)
    assert len(here.ask("documents", "--state", "withdrawn")["documents"]) == 2
    assert here("delete", "library/nothing.txt")[0] == 1
    assert here("restore-document", "library/0003.txt")[0] == 1
    assert here.ask("restore-document", "library/0000.txt")["tasks"][0]["state"] == "done"

    assert here.ask("drop", "default")["state"] == "done"
    assert here.ask("status")["collections"] == []
    assert not (place.data / "collections" / "default").exists()
    assert here("drop", "default")[0] == 1
