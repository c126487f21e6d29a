"""The commands as processes: what they print, how they exit, what signals and crashes leave behind."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from service.app import make_jobs
from service.cli import main
from service.data_folder import open_ledger
from service.engine.jobs import Jobs
from service.ledger.migrate import FOLDER
from service.ledger.revision import newest_revision
from service.settings import load
from tests.running import FROZEN_AFTER_A_COMMIT, REPOSITORY, Place, ended, frozen, newest_job

DOCUMENTS = 20
HUGE = "9" * 23  # more than the ledger's 64 bits


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with closing(
        Place(tmp_path, {"INGESTION_BATCH_SIZE": "4", "TIDESTONE_EMBEDDING__CHILDREN": "1"})
    ) as made:
        made.write(DOCUMENTS, sentences=8)
        yield made


@pytest.fixture
def jobs(place: Place) -> Iterator[Jobs]:
    """The place's jobs, seen from this process."""
    settings = load({"service.data_dir": place.data})
    with closing(open_ledger(settings)) as ledger:
        yield make_jobs(settings, ledger)


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Seven documents, one of them empty; only looked at."""
    made = Place(tmp_path_factory.mktemp("ingested"))
    made.write(6)
    (made.library / "empty.txt").touch()
    done = made.run("ingest", "library")
    assert done.returncode == 0, done.stderr
    made.settings["FIRST_RUN"] = done.stdout
    return made


class Here:
    """A command in this very process, which spares its start; not for those that answer signals."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys, self._monkeypatch = capsys, monkeypatch

    def __call__(self, *arguments: str) -> tuple[int | str | None, str, str]:
        """(exit status, stdout, stderr)."""
        self._monkeypatch.setattr(sys, "argv", ["tidestone", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        return (caught.value.code, *self._capsys.readouterr())

    def ask(self, *arguments: str) -> Any:
        code, out, err = self(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)


@pytest.fixture
def here(ingested: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Here:
    monkeypatch.chdir(ingested.folder)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    for name, value in ingested.settings.items():
        monkeypatch.setenv(name, value)
    return Here(capsys, monkeypatch)


def test_the_closing_summary_counts_documents_checkpoints_time_and_vectors(ingested: Place) -> None:
    told = ingested.settings["FIRST_RUN"]
    assert "succeeded: 6 done, 1 skipped" in told
    for line in (r"documents +6 now, 6 in the", r"vectors +6", r"checkpoints +1 now", r"duration", r"rate"):
        assert re.search(rf"^{line}", told, re.MULTILINE), told


def test_with_json_there_is_one_object_on_stdout_and_nothing_else(place: Place) -> None:
    done = place.run("ingest", "library", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert (report["job"]["state"], report["documents"]) == ("succeeded", DOCUMENTS)
    assert 2 <= report["checkpoints"] == report["collection"]["checkpoints"] <= DOCUMENTS // 4
    again = json.loads(place.run("ingest", "library", "--json").stdout)
    assert (again["job"]["progress"]["unchanged"], again["documents"], again["checkpoints"]) == (
        DOCUMENTS,
        0,
        0,
    )


def test_failed_documents_are_told_and_end_in_exit_code_3(place: Place) -> None:
    (place.library / "broken.pdf").write_bytes(b"%PDF-1.7\nthis is no more than a beginning")
    done = place.run("ingest", "library")
    assert done.returncode == 3
    assert "failed: broken.pdf:" in done.stderr
    retried = place.run("retry")
    assert (retried.returncode, "queued" in retried.stdout) == (0, True)


def test_every_command_that_looks_says_it_in_json(ingested: Place, here: Here) -> None:
    status = here.ask("status")
    assert [c["documents"] for c in status["collections"]] == [6]
    assert here.ask("status", status["jobs"][0]["id"])["state"] == "succeeded"
    assert len(here.ask("documents")["documents"]) == 7
    document = here.ask("documents", "library/0001.txt")
    assert document["contents"][0]["text"] == (ingested.library / "0001.txt").read_text()
    assert here.ask("search", "a seal in the sea", "-k", "2")["hits"][0]["key"].startswith("library/")
    assert here.ask("verify")["valid"]
    assert [point["generation"] for point in here.ask("checkpoints")["checkpoints"]] == [1]
    assert here.ask("config")["embedding.model_path"]["origin"] == "TIDESTONE_EMBEDDING__MODEL_PATH"
    assert here.ask("model", "show")["dimensions"] == 384


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("status",), "succeeded"),
        (("documents",), "library/0005.txt"),
        (("documents", "library/empty.txt"), "skipped"),
        (("documents", "1"), "tokens"),
        (("search", "ferry"), "chunk 0"),
        (("verify",), "is valid: 6 documents"),
        (("checkpoints",), "ingest"),
        (("config",), "TIDESTONE_EMBEDDING__MODEL_PATH"),
        (("model", "show"), "fingerprint"),
    ],
)
def test_every_command_that_looks_says_it_in_words(command: tuple[str, ...], words: str, here: Here) -> None:
    code, out, err = here(*command)
    assert (code, words in out, err) == (0, True, ""), out


def test_verify_exits_1_when_a_byte_has_changed(place: Place) -> None:
    place.run("ingest", "library")
    victim = sorted(place.data.rglob("*.faiss"))[0]
    data = bytearray(victim.read_bytes())
    data[-1] ^= 1
    victim.chmod(0o644)
    victim.write_bytes(data)
    done = place.run("verify")
    assert (done.returncode, "NOT valid" in done.stdout, victim.name in done.stdout) == (1, True, True)


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (("status", "job-x"), 1, "no job 'job-x'"),
        (("verify", "-c", "none"), 1, "no collection 'none'"),
        (("pause",), 2, "Name the job to pause"),
        (("ingest", "library", "--resume"), 2, "nothing to resume"),
        (("ingest", "library", "--resume", "--fresh"), 2, "exclude each other"),
        (("ingest", "library", "--deletes", "confirmed"), 2, "--deletes-digest"),
        (("ingest", "nowhere"), 2, "not a folder"),
        (("ingest", "library", "-c", "Bad Name"), 2, "cannot name a collection"),
        (("search", "x", "-c", "none"), 1, "no collection 'none'"),
        (("search", ""), 2, "blank"),
        (("search", " \t"), 2, "blank"),
        (("search", "x" * 100_001), 2, "100000"),
        (("search", "x", "-k", "1001"), 2, "-k takes 1 to 1000"),
        (("search", "x", "-k", "0"), 2, "-k takes 1 to 1000"),
        (("ingest", "library", "--workers", "65"), 2, "--workers takes 1 to 64"),
        (("ingest", "library", "--batch-size", "100001"), 2, "--batch-size takes 1 to 100000"),
        (("ingest", "library", "--batch-size", HUGE), 2, "--batch-size takes 1 to 100000"),
        (("status", "--limit", HUGE), 2, "--limit takes 1 to 1000"),
        (("checkpoints", "--limit", "1001"), 2, "--limit takes 1 to 1000"),
        (("documents", "-n", HUGE), 2, "--limit takes 1 to 1000"),
        (("documents", "--cursor", HUGE), 2, "is not a cursor"),
        (("documents", "--cursor", "²"), 2, "is not a cursor"),
        (("documents", HUGE), 2, "--key"),
        (("documents", "0"), 2, "--key"),
        (("documents", "²"), 1, "no document '²'"),
        (("documents", "999"), 1, "no document 999"),
        (("documents", "--key", "1"), 1, "no document '1'"),
        (("documents", "1", "--key", "1"), 2, "exclude each other"),
        (("documents", "1", "--state", "failed"), 2, "leave --state"),
        (("documents", "\udcff"), 2, "not UTF-8"),
        (("ingest", "libr\udce4ry"), 2, "not UTF-8"),
        (("backup", "/dev/null/backups"), 1, "Not a directory: '/dev/null/backups'"),
        (("model", "build", "--into", "/dev/null/models"), 1, "Not a directory: '/dev/null/models'"),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(
    command: tuple[str, ...], code: int, said: str, here: Here
) -> None:
    ended_with, out, err = here(*command)
    assert (ended_with, out, len(err.splitlines())) == (code, "", 1)
    assert said in err


def test_a_document_whose_key_looks_like_an_id_is_found_by_its_key(here: Here) -> None:
    by_id = here.ask("documents", "1")
    assert here.ask("documents", "--key", by_id["key"]) == by_id


def test_looking_makes_no_ledger_where_there_is_none(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = here("status")
    assert (code, (tmp_path / "data").exists(), str(tmp_path / "data") in err) == (1, False, True)


def test_without_a_model_ingest_says_how_to_get_one(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDESTONE_EMBEDDING__MODEL_PATH", "auto")
    code, _, err = here("model", "show")
    assert (code, "tidestone model build" in err) == (1, True)


def test_status_loads_neither_faiss_nor_a_model_nor_the_web(ingested: Place) -> None:
    code = (
        "import sys; from service.cli import app; app(['status'], standalone_mode=False); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ingested.folder,
        env={**os.environ, **ingested.settings, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = done.stdout.splitlines()[-1].split()
    heavy = {"faiss", "llama_cpp", "numpy", "alembic", "fastapi", "uvicorn", "gguf", "structlog"}
    assert heavy & set(loaded) == set()


def test_the_newest_schema_is_the_one_that_alembic_would_apply() -> None:
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(FOLDER), version_locations=[str(FOLDER)])
    assert scripts.get_current_head() == newest_revision()


def test_ctrl_c_ends_with_a_checkpoint_and_the_same_command_goes_on(place: Place) -> None:
    process = frozen(place.start("ingest", "library", **FROZEN_AFTER_A_COMMIT))
    process.send_signal(signal.SIGINT)
    code, out, err = ended(process, signal.SIGCONT)
    assert (code, "interrupted" in out) == (130, True), err
    assert "the same command goes on" in err
    report = place.ask("ingest", "library")
    assert report["job"]["id"] in out
    assert (report["job"]["progress"]["done"], report["collection"]["documents"]) == (DOCUMENTS, DOCUMENTS)


def test_after_kill_9_the_same_command_goes_on_from_the_last_checkpoint(place: Place, jobs: Jobs) -> None:
    process = place.start("ingest", "library", TIDESTONE_FAILPOINTS="ledger.before=kill@2")
    assert ended(process)[0] == -signal.SIGKILL
    killed = newest_job(jobs)
    report = place.ask("ingest", "library")
    assert (report["job"]["id"], report["documents"]) == (
        killed["id"],
        DOCUMENTS - killed["progress"]["done"],
    )
    assert killed["progress"]["done"] > 0
    assert place.ask("verify")["documents"] == DOCUMENTS


def test_a_pause_from_elsewhere_ends_the_command_and_only_resume_undoes_it(place: Place) -> None:
    process = frozen(place.start("ingest", "library", **FROZEN_AFTER_A_COMMIT))
    paused = place.ask("pause")
    assert paused["state"] == "pausing"
    code, out, err = ended(process, signal.SIGCONT)
    assert (code, "paused" in out, f"tidestone resume {paused['id']}" in err) == (130, True, True)
    assert place.run("ingest", "library").returncode == 130
    assert place.ask("ingest", "library", "--resume")["job"]["id"] == paused["id"]


def test_a_second_command_follows_and_takes_over_when_the_first_is_killed(place: Place, jobs: Jobs) -> None:
    first = frozen(place.start("ingest", "library", **FROZEN_AFTER_A_COMMIT))
    second = place.start("ingest", "library")
    assert second.stderr is not None
    second.stderr.readline()  # it has looked, and follows
    assert newest_job(jobs)["attempt"] == 1
    first.kill()
    code, out, err = ended(second)
    assert (code, f"{DOCUMENTS} in the collection" in out) == (0, True), err
    assert newest_job(jobs)["attempt"] == 2


def test_ctrl_c_while_following_only_detaches(place: Place) -> None:
    first = frozen(place.start("ingest", "library", **FROZEN_AFTER_A_COMMIT))
    second = place.start("ingest", "library")
    assert second.stderr is not None
    second.stderr.readline()  # it has looked, and follows
    code, out, err = ended(second, signal.SIGINT)
    assert (code, "running" in out, "goes on without this command" in err) == (130, True, True)
    code, out, err = ended(first, signal.SIGCONT)
    assert (code, "succeeded" in out) == (0, True), err


def test_withheld_deletes_are_told_with_the_options_that_carry_them_out(place: Place) -> None:
    place.ask("ingest", "library")
    for path in sorted(place.library.iterdir())[: DOCUMENTS // 2]:
        path.unlink()
    done = place.run("ingest", "library")
    told = re.search(r"(--deletes confirmed) (--deletes-digest) (\w+)", done.stderr)
    assert (done.returncode, told is not None) == (3, True), done.stderr
    assert told is not None
    report = place.ask("ingest", "library", *told[1].split(), told[2], told[3])
    assert report["collection"]["documents"] == DOCUMENTS // 2


def test_checkpoint_dir_moves_ledger_and_segments_together(place: Place) -> None:
    place.ask("ingest", "library", "--checkpoint-dir", "elsewhere")
    assert not place.data.exists()
    assert (place.folder / "elsewhere" / "tidestone.db").exists()
    assert (place.folder / "elsewhere" / "collections" / "default" / "manifest.json").exists()


@pytest.mark.parametrize("command", [("ingest", "library"), ("worker",)])
def test_ingestion_can_be_switched_off(
    command: tuple[str, ...], here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDESTONE_INGESTION__ENABLED", "false")
    code, _, err = here(*command)
    assert (code, "enabled is false" in err) == (1, True)


def test_repair_is_done_at_once_and_leaves_a_receipt(ingested: Place, here: Here) -> None:
    done = here.ask("repair")
    assert (done["state"], done["result"]["segments_taken_out"]) == ("done", [])
    assert here.ask("tasks")["tasks"][0] == done


def test_a_backup_is_made_listed_and_restored_into_another_folder(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = here.ask("backup", str(tmp_path / "backups"))
    assert [each["folder"] for each in here.ask("backups", str(tmp_path / "backups"))["backups"]] == [
        made["folder"]
    ]
    again = tmp_path / "again"
    back = here.ask("restore", made["folder"], "--into", str(again))
    assert back["collections"] == {
        "default": {"generation": made["collections"]["default"], "published": True}
    }
    code, _, err = here("restore", made["folder"], "--into", str(again))
    assert (code, "move the folder away" in err) == (1, True)
    monkeypatch.setenv("TIDESTONE_SERVICE__DATA_DIR", str(again))
    assert here.ask("verify")["valid"]


def test_a_lost_ledger_is_said_to_be_lost_and_made_anew(place: Place) -> None:
    place.write(3)
    assert place.run("ingest", "library").returncode == 0
    for path in place.data.glob("tidestone.db*"):
        path.unlink()
    refused = place.run("ingest", "library")
    assert (refused.returncode, "tidestone repair --rebuild" in refused.stderr) == (1, True)
    assert place.run("repair", "--rebuild").returncode == 0
    assert place.run("verify").returncode == 0
    again = place.run("ingest", "library", "--json")
    assert (again.returncode, json.loads(again.stdout)["job"]["progress"]["done"]) == (0, 0)
