"""Search over what is published, wherever it has moved to."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from service.engine.search import Query, Search
from service.errors import BadRequest, Corrupt, NotFound, SpaceMismatch
from service.ledger import collections, segments, spaces
from service.selftest.fake_embedder import FAKE_SPACE, FakeEmbedder
from tests.engine.world import World


@pytest.fixture
def search(world: World) -> Iterator[Search]:
    made = Search(world.ledger, world.settings, lambda: world.embedder)
    yield made
    made.close()


def texts(search: Search, text: str, k: int = 1) -> list[str]:
    return [hit["text"] for hit in search.search("docs", Query(text=text, k=k))["hits"]]


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)


def suspects(world: World) -> list[bool]:
    with world.ledger.read() as c:
        return [row.suspect for row in segments.live(c, collections.by_name(c, "docs").id)]


def test_an_open_collection_follows_what_is_published(world: World, search: Search) -> None:
    world.write("a.txt", "alpha, the only one")
    world.run()
    assert texts(search, "beta, the second one") == ["alpha, the only one"]
    world.write("b.txt", "beta, the second one")
    world.run()
    assert texts(search, "beta, the second one") == ["beta, the second one"]


def test_text_is_compared_with_what_is_published_not_with_what_the_ledger_has_switched_to(
    world: World, search: Search
) -> None:
    world.write("a.txt", "alpha, the only one")
    world.run()
    world.embedder = FakeEmbedder(replace(FAKE_SPACE, model="fake@1"))
    with world.ledger.write() as c:  # between the commit of a switch and its publishing
        row = collections.by_name(c, "docs")
        spaces.begin(c, row.id, row.generation + 1, asdict(world.embedder.space), "f32")
    with pytest.raises(SpaceMismatch, match="model"):
        search.search("docs", Query(text="alpha"))


def test_a_collection_without_a_checkpoint_has_no_hits(world: World, search: Search) -> None:
    world.jobs.create(world.order())
    assert search.search("docs", Query(text="anything"))["hits"] == []
    with pytest.raises(NotFound):
        search.search("nobody", Query(text="anything"))


def test_a_query_is_one_text_or_one_vector_of_the_right_length(world: World, search: Search) -> None:
    world.write("a.txt", "alpha, the only one")
    world.run()
    nan = [float("nan")] * FAKE_SPACE.dimensions
    for query in (Query(), Query("a", [1.0]), Query(vector=[1.0]), Query(vector=nan), Query("long " * 999)):
        with pytest.raises(BadRequest):
            search.search("docs", query)


def test_a_model_of_another_space_never_answers(world: World) -> None:
    world.write("a.txt", "alpha, the only one")
    world.run()
    other = FakeEmbedder(replace(FAKE_SPACE, model="other@1"))
    with pytest.raises(SpaceMismatch):
        texts(Search(world.ledger, world.settings, lambda: other), "alpha")


def test_the_embedder_is_made_for_the_first_text_and_ended_with_the_search(world: World) -> None:
    made: list[FakeEmbedder] = []

    def make() -> FakeEmbedder:
        made.append(FakeEmbedder())
        return made[-1]

    world.write("a.txt", "alpha, the only one")
    world.run()
    search = Search(world.ledger, world.settings, make)
    search.search("docs", Query(vector=[1.0] * FAKE_SPACE.dimensions))
    assert made == []
    texts(search, "one")
    texts(search, "two")
    assert len(made) == 1
    search.close()
    assert made[0]._closed


def test_a_damaged_file_is_never_answered_from_and_is_under_suspicion(world: World, search: Search) -> None:
    world.write("a.txt", "alpha, the only one")
    world.run()
    flip_a_byte(next(world.files.glob("segments/*.faiss")))
    with pytest.raises(Corrupt):
        texts(search, "alpha")
    assert suspects(world) == [True]


def test_damage_in_a_newer_generation_leaves_the_older_one_in_use(world: World, search: Search) -> None:
    world.write("a.txt", "alpha, the only one")
    world.run()
    texts(search, "alpha")
    world.write("b.txt", "beta, the second one")
    world.run()
    flip_a_byte(max(world.files.glob("segments/*.faiss")))
    answer = search.search("docs", Query(text="beta, the second one"))
    assert [hit["text"] for hit in answer["hits"]] == ["alpha, the only one"]
    assert answer["generation"] < answer["published_generation"]
    assert suspects(world) == [False, True]
    world.write("c.txt", "gamma, the third one")
    world.run()
    assert texts(search, "beta, the second one") == ["beta, the second one"], "the next job repairs it"


def test_a_lost_manifest_is_told_as_damage(world: World, search: Search) -> None:
    world.write("a.txt", "alpha, the only one")
    world.run()
    (world.files / "manifest.json").unlink()
    with pytest.raises(Corrupt):
        texts(search, "alpha")
