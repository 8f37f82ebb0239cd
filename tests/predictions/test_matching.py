from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from speciesnet.errors import InputError
from speciesnet.predictions.matching import Matches, match_names

SURVEY = ["survey/cam1/IMG_0001.JPG", "survey/cam1/IMG_0002.JPG", "survey/cam2/IMG_0001.JPG"]


def match(names: list[str], filepaths: list[str], *found: str) -> Matches:
    return match_names(names, filepaths, found, "md.json")


def survey_under(root: str, slash: str = "/") -> list[str]:
    """The names of the images of ``SURVEY`` in another folder."""
    return [f"{root}/{path}".replace("/", slash) for path in SURVEY]


@pytest.mark.parametrize(
    "names",
    [
        survey_under("."),
        survey_under("", "\\"),
        survey_under("/mnt/old_disk/2023"),
        survey_under("D:", "\\"),
        survey_under("\\\\server\\share", "\\"),
        survey_under("s3://bucket"),
        survey_under("project"),
        [path.removeprefix("survey/") for path in SURVEY],
        [path.removeprefix("survey/").lower() for path in SURVEY],
        [path.swapcase() for path in survey_under("D:/Photos")],
    ],
    ids=lambda names: names[0],
)
@pytest.mark.parametrize("root", ["", "/home/me/", "E:/"])
def test_paths_match_whatever_is_before_them(names: list[str], root: str) -> None:
    filepaths = [f"{root}{path}" for path in SURVEY]
    if not root or names[0] != "project/survey/cam1/IMG_0001.JPG":
        assert match(names, filepaths).paths == dict(zip(names, filepaths, strict=True))


def test_whole_paths_match_relative_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "survey" / "cam1").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    names = survey_under(str(tmp_path))
    found = match(names, SURVEY)
    assert found.paths == dict(zip(names, SURVEY, strict=True)) and not found.moved
    monkeypatch.chdir(tmp_path / "survey" / "cam1")
    names = ["cam1/1.jpg", "cam2/1.jpg"]
    assert match(names, ["1.jpg"]).paths == {"cam1/1.jpg": "1.jpg"}
    names = ["/x/survey/cam2/1.jpg", "/x/survey/cam2/2.jpg", "/x/survey/cam1/1.jpg"]
    assert match(names, ["1.jpg"]).paths == {"/x/survey/cam1/1.jpg": "1.jpg"}


def test_normal_forms_of_unicode_are_alike() -> None:
    composed, decomposed = (unicodedata.normalize(form, "s/é.jpg") for form in ("NFC", "NFD"))
    assert match([composed], [decomposed]).paths == {composed: decomposed}
    assert match([decomposed], [composed]).paths == {decomposed: composed}
    with pytest.raises(InputError, match="may be"):
        match([f"./{composed}"], [composed, decomposed])


def test_same_case_is_preferred() -> None:
    assert match(["s/a.jpg"], ["/x/s/a.jpg", "/x/s/A.jpg"]).paths == {"s/a.jpg": "/x/s/a.jpg"}
    with pytest.raises(InputError, match=r"S/a\.jpg in md\.json may be /x/s/A\.jpg or /x/s/a\.jpg"):
        match(["S/a.jpg"], ["/x/s/a.jpg", "/x/s/A.jpg"])


def test_moved_images_are_listed() -> None:
    names = survey_under("D:", "\\")
    assert match(names, survey_under("/home/me")).moved.keys() == set(names)


def test_ambiguous_names_are_refused_with_both() -> None:
    twice = survey_under("/a") + survey_under("/b")
    with pytest.raises(InputError, match=r"IMG_0001\.JPG in md\.json may be /a/\S+ or /b/"):
        match(SURVEY, twice)
    with pytest.raises(InputError, match=r"IMG_0001\.JPG in md\.json may be /a/\S+ or /b/"):
        match(survey_under("D:", "\\"), twice)
    with pytest.raises(InputError, match=r"Both /a/\S+ and /b/\S+ in md\.json may be /c/"):
        match(twice, survey_under("/c"))


def test_longer_names_count_more() -> None:
    names = ["a.jpg", "cam1/a.jpg"]
    assert match(names, ["/s/cam1/a.jpg"]).paths == {"cam1/a.jpg": "/s/cam1/a.jpg"}


@pytest.mark.parametrize("root", ["", "/mnt/disk/", "D:\\"])
def test_images_of_other_cameras_are_not_taken_for_those_of_the_run(root: str) -> None:
    """Cameras number their images in the same way, and write into folders with the same name."""
    names = [f"{root}s/cam{c}/DCIM/{i}.jpg" for c in (3, 1) for i in range(1, 5)]
    filepaths = [f"/home/s/cam1/DCIM/{i}.jpg" for i in (3, 4, 5, 6)]
    expected = {f"{root}s/cam1/DCIM/{i}.jpg": f"/home/s/cam1/DCIM/{i}.jpg" for i in (3, 4)}
    assert match(names, filepaths).paths == expected


def test_a_file_name_alone_is_not_enough() -> None:
    assert not match(["siteB/cam1/1.jpg"], ["/x/siteA/cam1/1.jpg"]).paths
    assert not match(["/old/1.jpg", "/old/2.jpg"], ["/new/2.jpg", "/new/3.jpg"]).paths
    flat = {"/old/1.jpg": "/new/1.jpg", "/old/2.jpg": "/new/2.jpg"}
    assert match([*flat], [*flat.values()]).paths == flat


def test_images_that_are_named_exactly_are_not_given_away() -> None:
    assert not match(["x/a.jpg"], ["a.jpg"], "a.jpg").paths
