"""What every parser promises, whatever the format."""

import random
from pathlib import Path

from service.errors import DocumentFailed, SkipDocument
from service.parsers.parsed import BadRecord, Parsed, Raw
from service.parsers.registry import family, parser
from service.parsers.sniff import sniff

WORDS = ("The tide gauge at the North Mole", "was read at dawn and at dusk")


def parse(name: str, data: bytes) -> list[Parsed | BadRecord]:
    """Sniff and parse, as the sandbox's child does."""
    raw = Raw(Path("library/folder") / name, data, "")
    found, text = sniff(raw)
    return list(parser(family(found))(Raw(raw.path, data, text)))


class ParserContract:
    """Subclasses name a file, its family, and make a document that holds WORDS."""

    name: str
    family: str
    trials = 25

    def sample(self) -> bytes:
        raise NotImplementedError

    def test_its_files_are_known_by_their_content(self) -> None:
        raw = Raw(Path(self.name), self.sample(), "")
        assert sniff(raw)[0] == self.family

    def test_the_words_come_out_in_order(self) -> None:
        (found,) = parse(self.name, self.sample())
        assert isinstance(found, Parsed)
        places = [" ".join(found.text.split()).find(words) for words in WORDS]
        assert -1 not in places
        assert places == sorted(places)

    def test_parsing_twice_gives_the_same(self) -> None:
        assert parse(self.name, self.sample()) == parse(self.name, self.sample())

    def test_metadata_are_strings(self) -> None:
        (found,) = parse(self.name, self.sample())
        assert isinstance(found, Parsed)
        assert all(
            isinstance(value, str) for value in (found.title, *found.metadata, *found.metadata.values())
        )

    def test_a_cut_off_file_is_an_outcome_never_a_surprise(self) -> None:
        data, chance = self.sample(), random.Random(1)
        for _ in range(self.trials):
            self._survives(data[: chance.randrange(len(data))])

    def test_a_file_with_wrong_bytes_is_an_outcome_never_a_surprise(self) -> None:
        data, chance = self.sample(), random.Random(2)
        for _ in range(self.trials):
            broken = bytearray(data)
            for _ in range(chance.randint(1, 20)):
                broken[chance.randrange(len(data))] = chance.randrange(256)
            self._survives(bytes(broken))

    def test_foreign_bytes_under_its_name_are_an_outcome_never_a_surprise(self) -> None:
        for data in (b"\0" * 500, random.Random(3).randbytes(500), b"plain words under a false name"):
            self._survives(data)

    def _survives(self, data: bytes) -> None:
        try:
            parse(self.name, data)
        except (SkipDocument, DocumentFailed) as outcome:
            assert outcome.reason  # noqa: PT017 - either way is fine, as long as it says why
