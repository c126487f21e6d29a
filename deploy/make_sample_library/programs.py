"""Calls of the programs that make the binary documents; Tidestone reads with none of them."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZipFile

SOURCES = Path(__file__).parent / "sources"
WRITER_FILTERS = {"pdf": "writer_pdf_Export", "docx": "MS Word 2007 XML", "epub": "EPUB"}
OTHER_FILTERS = {"xlsx": "Calc MS Excel 2007 XML", "pptx": "Impress MS PowerPoint 2007 XML"}
LIBREOFFICE_FILTERS = WRITER_FILTERS | OTHER_FILTERS

A5_BOOK = {
    'fo:page-width="8.5in"': 'fo:page-width="5.83in"',
    'fo:page-height="11in"': 'fo:page-height="8.27in"',
    'style:font-name="Times New Roman"': 'style:font-name="DejaVu Serif"',
    'fo:font-size="12pt"': 'fo:font-size="10pt"',
}
CHAPTER_STYLE = '<style:text-properties fo:font-size="115%"\n      fo:font-weight="bold"'
FLAT_WORKBOOK = """<?xml version="1.0" encoding="UTF-8"?>
<office:document office:version="1.2" office:mimetype="application/vnd.oasis.opendocument.spreadsheet"
 xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"
 xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"
 xmlns:of="urn:oasis:names:tc:opendocument:xmlns:of:1.2">
<office:body><office:spreadsheet>{tables}</office:spreadsheet></office:body></office:document>
"""
NEW_PAGE = '<style:paragraph-properties fo:break-before="page" />\n      '


def run(*command: str | Path) -> None:
    """Run a program quietly, at a fixed time; raises CalledProcessError."""
    environment = os.environ | {"TZ": "UTC", "LC_ALL": "C.UTF-8"}
    frozen = ["faketime", "-f", "2025-01-01 00:00:00", *map(str, command)]
    subprocess.run(frozen, env=environment, check=True, capture_output=True)


def pandoc(source: Path, target: Path, *options: str | Path) -> None:
    """Markdown to whatever the target's suffix says."""
    run("pandoc", "--from", "markdown", source, "--output", target, *options)


def libreoffice(source: Path, target: Path) -> None:
    """Open a document and save it as the target's suffix says."""
    kind = target.suffix[1:]
    with tempfile.TemporaryDirectory() as folder:
        profile = f"-env:UserInstallation=file://{folder}/profile"
        convert = ("--convert-to", f"{kind}:{LIBREOFFICE_FILTERS[kind]}", "--outdir", folder)
        run("soffice", profile, "--headless", *convert, source)
        shutil.move(Path(folder, source.stem).with_suffix(target.suffix), target)


def through_writer(source: Path, target: Path) -> None:
    """Markdown to an ODT by pandoc, and from there by LibreOffice Writer."""
    with tempfile.TemporaryDirectory() as folder:
        odt = Path(folder, source.stem + ".odt")
        pandoc(source, odt)
        libreoffice(odt, target)


def book(source: Path, target: Path) -> None:
    """As `through_writer`, on A5 pages, each first-level heading on a new one."""
    with tempfile.TemporaryDirectory() as folder:
        plain, styled = Path(folder, "plain.odt"), Path(folder, "styled.odt")
        run("pandoc", "--output", plain, "--print-default-data-file", "reference.odt")
        _restyle(plain, styled)
        odt = Path(folder, source.stem + ".odt")
        pandoc(source, odt, "--reference-doc", styled)
        libreoffice(odt, target)


def _restyle(plain: Path, styled: Path) -> None:
    with ZipFile(plain) as old, ZipFile(styled, "w", ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "styles.xml":
                text = content.decode()
                for before, after in A5_BOOK.items():
                    text = text.replace(before, after)
                content = text.replace(CHAPTER_STYLE, NEW_PAGE + CHAPTER_STYLE, 1).encode()
            new.writestr(name, content)


def workbook(sheets: Sequence[Mapping[str, Any]], target: Path) -> None:
    """A workbook by LibreOffice Calc, from sheets of `name` and `rows`; "of:=..." is a formula."""
    tables = "".join(
        f'<table:table table:name="{escape(sheet["name"])}">{"".join(map(_row, sheet["rows"]))}</table:table>'
        for sheet in sheets
    )
    with tempfile.TemporaryDirectory() as folder:
        flat = Path(folder, target.stem + ".fods")
        flat.write_text(FLAT_WORKBOOK.format(tables=tables), "utf-8")
        libreoffice(flat, target)


def _row(cells: Sequence[object]) -> str:
    return f"<table:table-row>{''.join(map(_cell, cells))}</table:table-row>"


def _cell(value: object) -> str:
    if isinstance(value, int | float):
        return f'<table:table-cell office:value-type="float" office:value="{value}"/>'
    text = str(value)
    if text.startswith("of:="):
        return f'<table:table-cell table:formula="{escape(text)}" office:value-type="float"/>'
    return f'<table:table-cell office:value-type="string"><text:p>{escape(text)}</text:p></table:table-cell>'
