from __future__ import annotations

from pathlib import Path

import pytest
from photographs import photograph

from speciesnet.errors import InputError
from speciesnet.files.moved_photographs import Photographs


@pytest.fixture
def moved(tmp_path: Path) -> Path:
    """Photographs that were under another folder when they were predicted."""
    for name in ("cam1/a.jpg", "cam2/a.jpg", "cam2/b.jpg"):
        photograph(tmp_path / "now" / name)
    return tmp_path / "now"


def test_paths_are_used_as_they_are(moved: Path) -> None:
    photographs = Photographs()
    assert photographs.find(str(moved / "cam1" / "a.jpg")) == moved / "cam1" / "a.jpg"
    assert photographs.find("/survey/cam1/a.jpg") is None
    assert photographs.find("https://host/a.jpg") is None
    assert (photographs.found, photographs.missing) == (1, 2)


@pytest.mark.parametrize(
    "path",
    ["/survey/2024/cam2/a.jpg", "D:\\survey\\cam2\\a.jpg", "cam2/a.jpg", "./old/cam2/a.jpg"],
)
def test_moved_photographs_are_found_by_the_end_of_their_path(moved: Path, path: str) -> None:
    assert Photographs(str(moved)).find(path) == moved / "cam2" / "a.jpg"


def test_nothing_outside_the_folder_is_found(moved: Path) -> None:
    photograph(moved.parent / "secret.jpg")
    photographs = Photographs(str(moved))
    for path in ("/survey/../secret.jpg", "../secret.jpg", str(moved.parent / "secret.jpg")):
        assert photographs.find(path) is None


def test_names_that_no_file_system_accepts_are_missing(moved: Path) -> None:
    for path in ("x" * 5000, "a\0b.jpg", ""):
        assert Photographs(str(moved)).find(path) is None
        assert Photographs().find(path) is None


def test_missing_photographs_are_logged_once(moved: Path, caplog: pytest.LogCaptureFixture) -> None:
    photographs = Photographs()
    photographs.find("/gone/a.jpg")
    photographs.find(str(moved / "cam1" / "a.jpg"))
    photographs.warn_of_missing("their dates are left empty")
    assert (
        "1 of 2 photographs is not where the predictions say, such as /gone/a.jpg;" in caplog.text
    )
    assert "--image_root" in caplog.text


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--image_root .*gone is not a folder"):
        Photographs(str(tmp_path / "gone"))


@pytest.mark.parametrize("first", ["/old/s/cam2/a.jpg", "/old/s/cam9/a.jpg"])
def test_longest_end_counts_whatever_was_searched_before(moved: Path, first: str) -> None:
    for name in ("a.jpg", "b.jpg"):
        photograph(moved / name)
    photographs = Photographs(str(moved))
    assert photographs.find(first) is not None
    assert photographs.find("/old/s/cam2/b.jpg") == moved / "cam2" / "b.jpg"
    assert photographs.find("/old/s/b.jpg") == moved / "b.jpg"


def test_shorter_end_is_used_if_a_folder_lacks_the_file(moved: Path) -> None:
    photograph(moved / "c.jpg")
    assert Photographs(str(moved)).find("/survey/cam1/c.jpg") == moved / "c.jpg"


def test_one_file_is_not_the_photograph_of_two_paths(moved: Path) -> None:
    photographs = Photographs(str(moved))
    for path in ("/d/north/cam2/a.jpg", "/d/north/cam2/./a.jpg", "/d/south/cam2/b.jpg"):
        assert photographs.find(path) is not None
    both = r"for both /d/north/cam2/a\.jpg and /d/south/cam2/a\.jpg"
    with pytest.raises(InputError, match=both):
        photographs.find("/d/south/cam2/a.jpg")
