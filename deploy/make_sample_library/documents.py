"""The library's PDF, docx, pptx, xlsx and epub documents, with the tide tables inside the handbook."""

import runpy
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from programs import SOURCES, book, libreoffice, pandoc, run, through_writer, workbook

SCALE = timedelta(minutes=6)

WORKBOOKS = tomllib.loads((SOURCES / "workbooks.toml").read_text("utf-8"))


def make_documents(library: Path) -> None:
    """Write every document that a program makes."""
    _handbook(library / "handbook/tidestone-handbook.pdf", library / "code/tides.py")
    svg = SOURCES / "muster-stations.svg"
    run("rsvg-convert", "--format", "pdf", "--output", library / "handbook/muster-stations.pdf", svg)
    pandoc(SOURCES / "welcome.md", library / "handbook/welcome.docx")
    through_writer(SOURCES / "echo-sounder.md", library / "instruments/echo-sounder.docx")
    through_writer(SOURCES / "radar-level-sensor.md", library / "instruments/radar-level-sensor.pdf")
    workbook(WORKBOOKS["instrument-register"], library / "instruments/instrument-register.xlsx")
    through_writer(SOURCES / "quay-wall-inspection.md", library / "reports/2022/quay-wall-inspection.pdf")
    run(
        "gs", "-q", "-dBATCH", "-dNOPAUSE", "-dSAFER", "-sDEVICE=pdfwrite",
        f"-sOutputFile={library / 'reports/2022/dredging-survey.pdf'}", SOURCES / "dredging-survey.ps",
    )  # fmt: skip
    pandoc(SOURCES / "annual-review.md", library / "reports/2023/annual-review.pptx")
    _slides_by_impress(SOURCES / "led-conversion.md", library / "reports/2024/led-conversion.pptx")
    pandoc(
        SOURCES / "coastal-primer.md",
        library / "engineering/coastal-primer.epub",
        "--metadata",
        "identifier=primer",
    )
    through_writer(SOURCES / "knots.md", library / "seamanship/knots.epub")
    workbook(WORKBOOKS["harbour-dues"], library / "data/harbour-dues.xlsx")


def _slides_by_impress(source: Path, target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        first = Path(folder, source.stem + ".pptx")
        pandoc(source, first)
        libreoffice(first, target)


def _handbook(target: Path, tides: Path) -> None:
    height_metres: Callable[[datetime], float] = runpy.run_path(str(tides))["height_metres"]
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder, target.stem + ".md")
        chapters = [
            (SOURCES / name).read_text("utf-8")
            for name in ("tidestone-handbook.md", "handbook-tide-intro.md")
        ]
        months = ["\n".join(_month(number, height_metres)) for number in range(1, 13)]
        whole.write_text("\n".join(chapters + months), "utf-8")
        book(whole, target)


def _month(number: int, height_metres: Callable[[datetime], float]) -> Iterator[str]:
    first = datetime(2025, number, 1, tzinfo=UTC)
    yield f"# Tides in {first:%B %Y}\n"
    yield "| Day | First | Second | Third | Fourth |\n|:--|:----|:----|:----|:----|"
    for offset in range(0, 30, 2):
        day = first + timedelta(days=offset)
        if day.month == number:
            turns = [f"{moment:%H:%M} {height_metres(moment):.1f}" for moment in _turns(day, height_metres)]
            yield f"| {day.day} | " + " | ".join((turns + [""] * 4)[:4]) + " |"
    yield ""


def _turns(day: datetime, height_metres: Callable[[datetime], float]) -> Iterator[datetime]:
    """The moments of high and low water within one day."""
    for step in range(240):
        moment = day + step * SCALE
        before, now, after = (height_metres(moment + shift * SCALE) for shift in (-1, 0, 1))
        if (now - before) * (after - now) < 0:
            yield moment
