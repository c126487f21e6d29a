"""Every family of formats keeps the parsers' contract."""

import json

from service.parsers.registry import FAMILIES
from tests.contracts.parser import WORDS, ParserContract
from tests.parsers import makers


class TestText(ParserContract):
    name, family = "log.txt", "text"

    def sample(self) -> bytes:
        return "\n".join(WORDS).encode()


class TestMarkdown(TestText):
    name = "log.md"


class TestHtml(ParserContract):
    name, family = "page.html", "html"

    def sample(self) -> bytes:
        paragraphs = "".join(f"<p>{words}, and somebody wrote it down.</p>" for words in WORDS)
        return (
            f"<!doctype html><html><head><title>Log</title></head><body>{paragraphs}</body></html>".encode()
        )


class TestJson(ParserContract):
    name, family = "log.json", "json"

    def sample(self) -> bytes:
        return json.dumps({"title": "Log", "content": "\n".join(WORDS), "year": 1911}).encode()


class TestJsonLines(ParserContract):
    name, family = "log.jsonl", "jsonl"

    def sample(self) -> bytes:
        return json.dumps({"id": 7, "text": "\n".join(WORDS)}).encode()


class TestCsv(ParserContract):
    name, family = "log.csv", "csv"

    def sample(self) -> bytes:
        return f'first,second\n"{WORDS[0]}","{WORDS[1]}"\n'.encode()


class TestPdf(ParserContract):
    name, family = "log.pdf", "pdf"

    def sample(self) -> bytes:
        return makers.pdf([[WORDS[0]], [WORDS[1]]], title="Log")


class TestDocx(ParserContract):
    name, family = "log.docx", "docx"

    def sample(self) -> bytes:
        return makers.word(WORDS, title="Log")


class TestPptx(ParserContract):
    name, family = "log.pptx", "pptx"

    def sample(self) -> bytes:
        return makers.slides(WORDS)


class TestXlsx(ParserContract):
    name, family = "log.xlsx", "xlsx"

    def sample(self) -> bytes:
        return makers.sheets({"Log": [WORDS, (1911, None)]})


class TestEpub(ParserContract):
    name, family = "log.epub", "epub"

    def sample(self) -> bytes:
        return makers.book([f"<p>{words}</p>" for words in reversed(WORDS)])


def test_every_family_has_its_contract() -> None:
    kept = {suite.family for suite in ParserContract.__subclasses__()}
    assert kept == {family.name for family in FAMILIES}
