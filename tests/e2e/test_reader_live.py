"""The RAG API's side: another user on a read-only mount, all through a real ingestion with merges."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.serving import ROOT, serving
from tests.e2e.test_pause import SAMPLES


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may look into, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="tidestone-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_every_answer_is_that_of_brute_force_over_the_generation_it_reports(open_folder: Path) -> None:
    library, mount = open_folder / "library", open_folder / "mount"
    shutil.copytree(SAMPLES / "instruments", library / "instruments")
    mount.mkdir()
    few = {"TIDESTONE_INDEX__MAX_LIVE_SEGMENTS": "3"}
    with serving(open_folder / "data", **few) as service:
        first = service.start(library, batch_size=1)
        assert service.finish(first)["state"] == "succeeded"
        collection = open_folder / "data/collections/default"
        command = [sys.executable, "-m", "tests.e2e.checking", str(mount), str(collection)]
        with subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as reader:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "ready\n"
            shutil.copytree(SAMPLES / "handbook", library / "handbook")
            (library / "instruments" / "tide-gauge-calibration.md").write_text(
                "Another text about tide gauges."
            )
            second = service.start(library, batch_size=1)
            assert service.finish(second)["state"] == "succeeded"
            kinds = {
                point["kind"]
                for point in service.http.get("/v1/collections/default/checkpoints").json()["checkpoints"]
            }
            said, _ = reader.communicate("stop\n")
    found = json.loads(said)
    assert "merge" in kinds
    assert found["generations"] > 5
    assert found["answers"] > 50
    assert found["wrong"] == []
