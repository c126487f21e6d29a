"""Another space, with the real model and real processes: refused, prepared, killed, gone on with, switched."""

import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from service.embedders import model
from service.embedders.model import build_default_model
from service.reader import Collection
from tests.embedders.tiny_models import WIDTH, sha256_of, vocabulary_of, write_bert_folder
from tests.model import default_model
from tests.running import Place, ended

DOCUMENTS = 12
PREFIX = {"TIDESTONE_EMBEDDING__PREFIX": "passage: "}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    made.settings["TIDESTONE_INGESTION__MIN_FREE_BYTES"] = "0"
    made.write(DOCUMENTS)
    yield made
    made.close()


def test_a_collection_moves_to_another_space_through_a_kill(place: Place) -> None:
    place.ask("ingest", "library")
    opened = Collection.open(place.data / "collections" / "default")
    before = {(row.key, row.ordinal): row for row in opened.rows()}
    question = "Who counts the ships in the harbour?"

    refused = place.run("search", question, **PREFIX)
    assert (refused.returncode, "tidestone reindex" in refused.stderr) == (1, True), refused.stderr
    killed = place.start("reindex", **PREFIX, TIDESTONE_FAILPOINTS="ledger.after=kill@1")
    assert ended(killed)[0] == -signal.SIGKILL

    place.settings |= PREFIX
    report = place.ask("reindex")
    assert (report["job"]["state"], report["job"]["progress"]["done"]) == ("succeeded", DOCUMENTS)
    assert report["job"]["attempt"] == 2
    assert place.ask("verify")["valid"]
    assert opened.refresh()
    assert opened.snapshot().space["prefix"] == "passage: "
    after = {(row.key, row.ordinal): row for row in opened.rows()}
    assert {name: row.text for name, row in after.items()} == {name: row.text for name, row in before.items()}
    assert not any(np.allclose(after[name].vector, before[name].vector) for name in before)
    assert "harbour master" in place.ask("search", question)["hits"][0]["text"]


@pytest.fixture
def small_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A real model of another width, with the default one's word pieces; it has learnt nothing."""
    write_bert_folder(tmp_path / "small", vocabulary_of(default_model()))
    monkeypatch.setattr(model, "SAFETENSORS_SHA256", sha256_of(tmp_path / "small" / "model.safetensors"))
    return build_default_model(tmp_path / "small", tmp_path / "models", ["f16"])["f16"]


def test_a_collection_moves_to_a_model_of_another_width_and_back(place: Place, small_model: Path) -> None:
    place.ask("ingest", "library")
    opened = Collection.open(place.data / "collections" / "default")
    before = {(row.key, row.ordinal, row.text): row.vector for row in opened.rows()}
    large = opened.generation
    place.write(DOCUMENTS + 1)

    place.settings["TIDESTONE_EMBEDDING__MODEL_PATH"] = str(small_model)
    for command in (("ingest", "library"), ("search", "ships")):
        refused = place.run(*command)
        assert (refused.returncode, "tidestone reindex" in refused.stderr) == (1, True), refused.stderr
    assert place.ask("reindex")["job"]["state"] == "succeeded"
    place.ask("ingest", "library")
    assert opened.refresh()
    assert opened.snapshot().dimensions == WIDTH
    rows = list(opened.rows())
    assert {(row.key, row.ordinal, row.text) for row in rows} > before.keys()
    assert all(row.vector.shape == (WIDTH,) for row in rows)
    some = rows[3]  # random weights know no meaning, but the same text is always nearest to itself
    assert place.ask("search", some.text)["hits"][0]["key"] == some.key
    assert place.ask("verify")["valid"]

    preview = place.ask("rollback", str(large), "--preview")
    assert place.ask("verify")["valid"], preview
    place.settings["TIDESTONE_EMBEDDING__MODEL_PATH"] = str(default_model())
    place.ask("rollback", str(large))
    assert opened.refresh()
    after = {(row.key, row.ordinal, row.text): row.vector for row in opened.rows()}
    assert after.keys() == before.keys()
    assert all((after[name] == before[name]).all() for name in before), (
        "the vectors were kept, not made again"
    )
    place.ask("ingest", "library")
    assert "harbour master" in place.ask("search", "Who counts the ships in the harbour?")["hits"][0]["text"]
    assert place.ask("verify")["valid"]
