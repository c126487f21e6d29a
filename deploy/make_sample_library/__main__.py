"""Make the sample library's generated files: python deploy/make_sample_library"""

from pathlib import Path

from almanac import almanac
from documents import make_documents
from hostile import make_hostile

LIBRARY = Path(__file__).parents[1] / "sample-library"


def main() -> None:
    """Overwrite what programs make; the hand-written files are left alone, and some of them are read."""
    (LIBRARY / "almanac/tide-gauge-almanac.txt").write_text("\n\n".join(almanac()) + "\n", "utf-8")
    make_documents(LIBRARY)
    make_hostile(LIBRARY)


if __name__ == "__main__":
    main()
