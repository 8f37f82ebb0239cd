"""Folders that may be those of one camera."""

from __future__ import annotations

import pytest

from speciesnet.files.paths import Parts
from speciesnet.survey.cards import lookalikes, note_on, similar_folders


def parts(*folders: str) -> list[Parts]:
    return [tuple(folder.split("/")) for folder in folders]


@pytest.mark.parametrize(
    "folders",
    [
        ["s/cam1/100PHOTO", "s/cam1/101PHOTO", "s/cam1/102PHOTO"],
        ["100AB_01", "101ab_01"],
        ["s/101NORTH", "s/102NORTH"],
        ["s/cam1/DCIM/20230415", "s/cam1/DCIM/20230601"],
    ],
)
def test_folders_that_one_camera_may_have_made_are_named(folders: list[str]) -> None:
    assert similar_folders(parts(*folders)) == parts(*folders)
    note = note_on(parts(*folders))
    assert note.startswith(f"{len(folders)} folders, such as {folders[0]} and {folders[1]}, count")
    assert "put them into a folder named DCIM" in note


@pytest.mark.parametrize(
    "folders",
    [
        ["s/101NORTH", "s/102SOUTH"],
        ["s/100NORTH", "s/200NORTH"],
        ["s/cam1/100PHOTO", "s/cam2/101PHOTO"],
        ["s/cam1/100PHOTO", "s/cam1/101PHOTO", "s/cam1"],
        ["s/cam1/DCIM/100PHOTO", "s/cam1/DCIM/101PHOTO"],
        ["s/cam1/100MFCAM", "s/cam1/101MFCAM", "s/cam1/100_BTCF", "s/cam1/101_BTCF"],
        ["s/10012345", "s/10012346", "s/20230415", "s/20230416"],
        ["s/cam1/DCIM/20230415"],
        [""],
    ],
)
def test_other_folders_are_not_named(folders: list[str]) -> None:
    assert note_on(parts(*folders)) == ""


def test_folders_whose_names_look_the_same_are_named_with_the_difference() -> None:
    composed, decomposed = "R\xedo", "Ri\u0301o"
    assert lookalikes([("s", composed), ("s", "Rio")]) is None
    note = note_on([("s", composed, "DCIM", "100RECNX"), ("s", decomposed)])
    assert note.startswith("Two folders s/")
    assert "'s/R\\xedo'" in note and "'s/Ri\\u0301o'" in note
