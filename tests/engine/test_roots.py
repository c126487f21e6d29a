"""Nothing outside the configured roots can be named."""

from pathlib import Path

import pytest

from service.engine.roots import resolve
from service.errors import BadRequest


@pytest.fixture
def roots(tmp_path: Path) -> dict[str, Path]:
    for folder in ("lib/sub/inner", "library-of-others", "deep", "outside"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "lib" / "out").symlink_to(tmp_path / "outside")
    (tmp_path / "lib" / "in").symlink_to(tmp_path / "lib" / "sub")
    (tmp_path / "lib" / "file.txt").write_text("a file")
    return {"docs": tmp_path / "lib", "inner": tmp_path / "lib" / "sub" / "inner"}


def test_a_root_alone_is_its_folder(roots: dict[str, Path]) -> None:
    assert resolve(roots, "docs") == (roots["docs"], "docs", "")
    assert resolve({"docs": roots["docs"]}) == (roots["docs"], "docs", "")


def test_a_path_is_relative_to_the_named_or_only_root(roots: dict[str, Path]) -> None:
    sub = (roots["docs"], "docs", "sub")
    assert resolve(roots, "docs", "sub") == sub
    assert resolve({"docs": roots["docs"]}, None, "sub") == sub
    assert resolve(roots, "docs", "in") == sub, "a link that stays inside is followed"


def test_an_absolute_path_takes_the_name_of_the_innermost_root_or_its_own(roots: dict[str, Path]) -> None:
    inner = roots["inner"]
    assert resolve(roots, None, str(inner)) == (inner, "inner", "")
    assert resolve(roots, None, str(inner.parent)) == (roots["docs"], "docs", "sub")
    assert resolve(roots, "mine", str(inner)) == (inner, "mine", "")


@pytest.mark.parametrize(
    ("root", "path"),
    [
        ("docs", ".."),
        ("docs", "sub/../../outside"),
        ("docs", "out"),
        ("docs", "/"),
        ("docs", "../library-of-others"),
        ("docs", "file.txt"),
        ("docs", "missing"),
        ("docs", "nul\0"),
        ("docs", "\ud800"),
        ("nobody", None),
        ("nobody", "sub"),
        (None, "sub"),
        (None, None),
        ("inner", ".."),
        ("/", None),
        ("..", None),
        ("a\nb", "/"),
        ("x" * 201, "/"),
    ],
)
def test_what_leads_out_or_nowhere_is_refused(roots: dict[str, Path], root: str, path: str) -> None:
    with pytest.raises(BadRequest):
        resolve(roots, root, path)


@pytest.mark.parametrize("outside", ["outside", "library-of-others", "lib/out", "lib/../outside", ""])
@pytest.mark.parametrize("root", [None, "docs", "mine"])
def test_an_absolute_path_outside_every_root_is_refused(
    roots: dict[str, Path], root: str | None, outside: str
) -> None:
    with pytest.raises(BadRequest):
        resolve(roots, root, f"{roots['docs'].parent}/{outside}")


def test_without_roots_an_absolute_path_is_enough(tmp_path: Path) -> None:
    (tmp_path / "books").mkdir()
    assert resolve({}, None, str(tmp_path / "books")) == (tmp_path / "books", "books", "")
    assert resolve({}, "mine", tmp_path / "books" / "..") == (tmp_path, "mine", "")
    for root, path in ((None, None), (None, "books"), ("books", None), (None, str(tmp_path / "none"))):
        with pytest.raises(BadRequest):
            resolve({}, root, path)
