"""Files that a real folder holds and a parser had better expect: broken, mislabelled, oddly named."""

import os
import random
import shutil
import tempfile
import unicodedata
from pathlib import Path

from programs import SOURCES, run, through_writer

# Only letters that cp1250 and cp1252 share: no detector can tell the two apart.
GERMAN = (SOURCES / "schleuse.txt").read_text("utf-8")
DAMAGED_LOG = (
    b"2024-01-17 02:10 night watch: mains failure on the North Mole, battery took over\n"
    + b"\0" * 512
    + b"\n2024-01-17 02:31 night watch: mains restored, the logger started again by itself\n"
    + b"2024-01-17 03:00 night watch: all lamps\0 checked, kettle on\n"
)
BEHIND = """<!doctype html>
<html lang="de"><head><meta charset="{charset}"><title>{title}</title></head><body><main>
<h1>{title}</h1><p>{text}</p></main></body></html>
"""
LONG_NAME = "a-file-name-as-long-as-the-winter-of-1963-" + "and-" * 38 + "on.txt"


def make_hostile(library: Path) -> None:
    """Write everything in `hostile/`; the library's other files exist already."""
    folder = library / "hostile"
    folder.mkdir(exist_ok=True)
    _small(folder)
    _encodings(folder)
    _binary(folder)
    _records(folder)
    _pages(folder)
    _names(folder)
    _links(folder)
    _damaged(library, folder)


def _small(folder: Path) -> None:
    folder.joinpath("empty.txt").write_bytes(b"")
    folder.joinpath("whitespace-only.txt").write_text(" \n\t\r\n\u00a0\u2003 \n\n", "utf-8")
    folder.joinpath("nine-letters.txt").write_text("Ebb tide.\n", "utf-8")
    folder.joinpath("ten-letters.txt").write_text("Flood tide\n", "utf-8")


def _encodings(folder: Path) -> None:
    folder.joinpath("latin-1.txt").write_bytes(("Die Schleuse, alt\n\n" + GERMAN).encode("latin-1"))
    cp1252 = "Die „neue“ Schleuse – 1.200 € für zwei Tore\n\n" + GERMAN
    folder.joinpath("cp1252.txt").write_bytes(cp1252.encode("cp1252"))
    little = (
        "The ice plant\n\nThe ice plant makes nine tonnes of ice a day, and the gulls know at what hour.\n"
    )
    folder.joinpath("utf-16-little.txt").write_bytes(b"\xff\xfe" + little.encode("utf-16-le"))
    big = "Die Eisfabrik\n\nDas Flockeneis für die Fischkisten wird täglich um fünf Uhr früh geblasen.\n"
    folder.joinpath("utf-16-big.txt").write_bytes(b"\xfe\xff" + big.encode("utf-16-be"))
    mac = "The clock\rThe clock of the custom house is four minutes slow.\rIt has been so since 1971.\r"
    folder.joinpath("old-mac-line-ends.txt").write_bytes(mac.encode("ascii"))
    for declared, real in (("iso-8859-1", "utf-8"), ("utf-8", "cp1252")):
        page = BEHIND.format(charset=declared, title=f"Die Schleuse in {real}", text=GERMAN.strip())
        folder.joinpath(f"declared-{declared}-is-{real}.html").write_bytes(page.encode(real))


def _binary(folder: Path) -> None:
    run("rsvg-convert", "--width", "60", "--output", folder / "picture.txt", SOURCES / "tide-book-page.svg")
    folder.joinpath("random.bin").write_bytes(random.Random(1904).randbytes(4096))
    folder.joinpath("random-without-suffix").write_bytes(random.Random(1911).randbytes(700))
    folder.joinpath("nul-bytes.log").write_bytes(DAMAGED_LOG)


def _records(folder: Path) -> None:
    folder.joinpath("malformed.json").write_text(
        '{"title": "Torn", "content": "The page was torn off he', "utf-8"
    )
    folder.joinpath("empty-content.json").write_text('{"title": "Nothing to say", "content": ""}\n', "utf-8")
    folder.joinpath("one-bad-line.jsonl").write_text(
        '{"id": "r1", "title": "First round", "text": "All lines were doubled before the gale arrived."}\n'
        '{"id": "r2", "title": "Second round", "text": "The pontoon gate was found open and was closed."}\n'
        '{"id": "r3", "title": "Third round", "text": "Rain had got into the pe\n'
        '{"id": "r4", "title": "Fourth round", "text": "The cat Bosun reported for duty at four."}\n',
        "utf-8",
    )
    folder.joinpath("ragged.csv").write_text(
        "id,vessel,event,remark\n"
        'g1,Halcyon,"landed plaice\nand, as she said, ""one boot""",weighed twice\n'
        "g2,Sea Holly,left without paying for water\n"
        "g3,Anneke,shifted berth to the Stone Quay,at noon,with the tug,and a great deal of noise\n"
        'g4,Periwinkle,"surveyed the bar,\n\nboth sides of it",swell rising\n',
        "utf-8",
    )
    folder.joinpath("semicolons.csv").write_bytes(
        b"\xef\xbb\xbf"
        + "Kennung;Schiff;Länge;Bemerkung\r\n"
        "s1;Möwe;12,40;liegt am Steg der Gäste, bis die Schraube kommt\r\n"
        's2;Grönland;31,00;"Dreimaster; Besichtigung sonntags"\r\n'
        "s3;Präsident;8,75;führt zwei Laternen zu viel\r\n".encode()
    )


def _pages(folder: Path) -> None:
    for name in ("junk.html", "markers.txt"):
        shutil.copyfile(SOURCES / name, folder / name)
    folder.joinpath("only-scripts.html").write_text(
        "<html><head><script>let x = 1;</script><style>p { color: red }</style></head><body></body></html>\n",
        "utf-8",
    )
    line = "highwaterlowwaterslackwaterspringtideneaptide" * 5000
    folder.joinpath("one-long-line.txt").write_text(line[:200_000] + "\n", "utf-8")


def _names(folder: Path) -> None:
    texts = {
        "a name with spaces & 100% (brackets), #1.md": "The hash in this name is not a record's mark.\n",
        unicodedata.normalize(
            "NFC", "Überführung-composed.txt"
        ): "This file's name is written with composed letters.\n",
        unicodedata.normalize(
            "NFD", "Überführung-decomposed.txt"
        ): "This name is written with letters and loose dots.\n",
        "潮汐表.txt": "The name of this file means tide table.\n",
        LONG_NAME: "The name of this file is longer than the file.\n",
        ".leading-dot.txt": "A leading dot hides this file from a careless listing.\n",
        "text-named.pdf": "Somebody saved this plain text about tarpaulins under the name of a PDF.\n",
        "/".join(
            ["deep", *map(str, range(1, 21)), "bottom.md"]
        ): "# The bottom\n\nTwenty folders down there is still a text.\n",
    }
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def _links(folder: Path) -> None:
    loop = folder / "loop"
    loop.mkdir(exist_ok=True)
    loop.joinpath("once.txt").write_text(
        "Whoever follows the link beside this file meets it again for ever.\n", "utf-8"
    )
    targets = {loop / "again": "../loop", folder / "link-to-lights.txt": "../seamanship/flags-and-lights.txt"}
    for link, target in targets.items():
        link.unlink(missing_ok=True)
        os.symlink(target, link)


def _damaged(library: Path, folder: Path) -> None:
    shutil.copyfile(library / "canteen/ship-biscuit.txt", folder / "copy-of-ship-biscuit.txt")
    shutil.copyfile(library / "reports/2022/dredging-survey.pdf", folder / "pdf-named.txt")
    for name in ("reports/2022/quay-wall-inspection.pdf", "instruments/echo-sounder.docx"):
        whole = library.joinpath(name).read_bytes()
        folder.joinpath(f"truncated{Path(name).suffix}").write_bytes(whole[: len(whole) * 6 // 10])
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch, "plain.pdf")
        _encrypt("sealed-tender.md", plain, folder / "encrypted.pdf", user_password="sealed")
        _encrypt("open-tender.md", plain, folder / "owner-password-only.pdf", user_password="")
        run("rsvg-convert", "--format", "pdf", "--output", plain, SOURCES / "tide-book-page.svg")
        scan = f"-sOutputFile={folder / 'scan-without-text.pdf'}"
        run("gs", "-q", "-dBATCH", "-dNOPAUSE", "-dSAFER", "-sDEVICE=pdfimage8", "-r90", scan, plain)


def _encrypt(source: str, plain: Path, target: Path, user_password: str) -> None:
    through_writer(SOURCES / source, plain)
    lock = ("--encrypt", user_password, "harbour master", "128", "--use-aes=y", "--")
    run("qpdf", "--static-id", "--static-aes-iv", *lock, plain, target)
