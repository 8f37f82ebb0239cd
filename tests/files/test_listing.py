"""What the search of folders skips, and what it reports about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from speciesnet.errors import InputError
from speciesnet.files import listing, storage
from speciesnet.files.input_notes import InputNotes
from speciesnet.images.instances import find_images

LEFT_BY_PROGRAMS = (
    "__MACOSX/cam/._1.jpg",
    "@eaDir/1.jpg/SYNOPHOTO_THUMB_XL.jpg",
    "cam/@EADIR/1.jpg",
    "#recycle/1.jpg",
    "$RECYCLE.BIN/S-1-5-21-1/$RABC123.jpg",
    ".Trashes/501/1.jpg",
    ".Spotlight-V100/1.jpg",
    "System Volume Information/1.jpg",
    "@Recycle/1.jpg",
    "cam/.@__thumb/1.jpg",
    "cam/.picasaoriginals/1.jpg",
    "cam/.thumbnails/1.jpg",
    "cam/DeletedFiles/1.jpg",
    ".addaxai/1.jpg",
    "~snapshot/hourly.0/1.jpg",
    ".snapshot/1.jpg",
    "@SynoResource/1.jpg",
    "@Recently-Snapshot/1.jpg",
    "@GMT-2024.05.01-06.30.00/1.jpg",
    "FOUND.001/1.jpg",
    "RECYCLER/1.jpg",
    "Recycle Bin/1.jpg",
    "_NAS_Recycle_RAID/1.jpg",
    "iPod Photo Cache/F00/1.jpg",
    "Thumbs/1.jpg",
    "Lightroom Previews.lrdata/0/1.jpg",
    "My Catalog Smart Previews.lrdata/1.jpg",
    "Photos Library.photoslibrary/resources/derivatives/1.jpg",
    "[Originals]/1.jpg",
    "PRIVATE/M4ROOT/THMBNL/1.jpg",
)


@pytest.fixture(autouse=True)
def _work_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def search(*folders: str) -> tuple[list[str], list[str]]:
    """The images in folders, and the lines about everything else."""
    notes = InputNotes()
    return find_images(folders, notes), notes.lines()


@pytest.mark.parametrize("name", LEFT_BY_PROGRAMS)
def test_folders_of_systems_and_programs_are_skipped(name: str) -> None:
    touch("in/cam/1.jpg", f"in/{name}")
    found, [line] = search("in")
    assert found == ["in/cam/1.jpg"]
    assert line.startswith("1 hidden or system folder was skipped, such as in/")
    assert "pass its path with --folders" in line


def test_skipped_folders_are_counted() -> None:
    touch("in/cam/1.jpg", *(f"in/{name}" for name in LEFT_BY_PROGRAMS))
    assert search("in")[1][0].startswith(f"{len(LEFT_BY_PROGRAMS)} hidden or system folders were")


def test_hidden_files_are_skipped() -> None:
    touch("in/1.JPG", "in/._1.JPG", "in/.2.png", "in/.DS_Store", "in/Thumbs.db", "in/desktop.ini")
    found, [line] = search("in")
    assert found == ["in/1.JPG"]
    assert line.startswith("2 hidden files were skipped, such as in/.")


@pytest.mark.parametrize("folder", [".hidden", "in/DeletedFiles", "@eaDir", ".", "./.hidden/"])
def test_a_folder_of_the_input_is_entered_whatever_its_name(folder: str) -> None:
    touch(f"{folder}/a/1.jpg")
    assert search(folder) == ([Path(folder, "a/1.jpg").as_posix()], [])


def test_names_that_only_resemble_those_of_programs_are_searched() -> None:
    names = ["Backups/1.jpg", "Originals/1.jpg", "eaDir/1.jpg", "recycle/1.jpg", "thumbnails/1.jpg"]
    touch(*names)
    assert search(".") == (names, [])


def test_backups_next_to_a_timelapse_database_are_skipped() -> None:
    touch("in/1.jpg", "in/TimelapseData.ddb", "in/Backups/1.jpg")
    found, lines = search("in")
    assert found == ["in/1.jpg"]
    assert "such as in/Backups;" in lines[0]


def test_originals_of_picasa_are_skipped_where_the_images_next_to_them_have_the_same_names() -> (
    None
):
    touch(
        "a/1.jpg",
        "a/Picasa.ini",
        "a/Originals/1.jpg",
        "b/1.jpg",
        "b/Picasa.ini",
        "b/Originals/2.jpg",
    )
    found, [line] = search("a", "b")
    assert found == ["a/1.jpg", "b/1.jpg", "b/Originals/2.jpg"]
    assert "such as a/Originals;" in line


def test_small_copies_are_skipped_where_the_images_next_to_them_have_the_same_names() -> None:
    touch("a/1.jpg", "a/2.jpg", "a/Thumbnails/1.JPG", "b/1.jpg", "b/Thumbnails/2.jpg")
    found, [line] = search("a", "b")
    assert found == ["a/1.jpg", "a/2.jpg", "b/1.jpg", "b/Thumbnails/2.jpg"]
    assert "such as a/Thumbnails;" in line


def test_crops_and_drawn_photographs_are_skipped() -> None:
    touch(
        "in/1.jpg", "in/crops/crops.jsonl", "in/crops/fox/1.jpg", "in/x/drawn.jsonl", "in/x/1.jpg"
    )
    found, [line] = search("in")
    assert found == ["in/1.jpg"]
    assert line.startswith("2 hidden or system folders were skipped, such as in/")
    assert search("in/crops")[0] == ["in/crops/fox/1.jpg"]


def test_photographs_in_libraries_are_found() -> None:
    touch("Photos Library.photoslibrary/originals/0/1.jpg", "resources/2.jpg")
    assert search(".")[0] == ["Photos Library.photoslibrary/originals/0/1.jpg", "resources/2.jpg"]


@pytest.mark.parametrize("name", ["Survey 2024/Cam1", "./SURVEY 2024/cam1/", "survey  2024/cam1"])
def test_a_folder_in_another_letter_case_is_suggested(name: str) -> None:
    touch("survey 2024/cam1/1.jpg")
    with pytest.raises(InputError, match=r"does not exist; .* Did you mean survey 2024/cam1\?"):
        search(name)
    with pytest.raises(
        InputError, match=r"does not exist; pass the folder that contains the images\.$"
    ):
        search("other/cam1")


def test_linked_folders_are_named_and_not_entered() -> None:
    touch("in/1.jpg", "elsewhere/2.jpg")
    Path("in/link").symlink_to(Path("elsewhere").resolve(), target_is_directory=True)
    Path("in/loop").symlink_to(Path("in").resolve(), target_is_directory=True)
    found, [line] = search("in")
    assert found == ["in/1.jpg"]
    assert line.startswith("2 linked folders were not entered, such as in/l")
    assert search("in/link") == (["in/link/2.jpg"], [])


def link(name: str, target: str) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).symlink_to(Path(target).resolve())


def test_a_photograph_and_links_to_it_are_found_once() -> None:
    touch("in/cam1/1.jpg", "other/2.jpg")
    link("in/best/fox.jpg", "in/cam1/1.jpg")
    link("in/best/fox again.jpg", "in/best/fox.jpg")
    link("in/best/owl.jpg", "other/2.jpg")
    found, [line] = search("in", "other")
    assert found == ["in/cam1/1.jpg", "other/2.jpg"]
    assert line.startswith("3 links were skipped, because their images are found under other paths")
    assert "in/best/fox again.jpg (the same as " in line
    assert "in/cam1/1.jpg)" in line
    assert search("in/best")[0] == [f"in/best/{name}.jpg" for name in ("fox again", "fox", "owl")]


def test_a_link_to_a_photograph_elsewhere_is_a_photograph() -> None:
    touch("elsewhere/1.jpg", "in/.annex/objects/2.jpg", "in/@eaDir/3.jpg", "elsewhere/blob")
    link("in/1.jpg", "elsewhere/1.jpg")
    link("in/2.jpg", "in/.annex/objects/2.jpg")
    link("in/3.jpg", "in/@eaDir/3.jpg")
    link("in/4.jpg", "elsewhere/blob")
    found, lines = search("in")
    assert found == ["in/1.jpg", "in/2.jpg", "in/3.jpg", "in/4.jpg"]
    assert not any("link" in line for line in lines)


def test_a_link_to_a_missing_photograph_is_found_so_that_it_fails() -> None:
    touch("in/1.jpg")
    Path("in/2.jpg").symlink_to("gone.jpg")
    assert search("in") == (["in/1.jpg", "in/2.jpg"], [])


def test_other_files_are_counted_by_ending() -> None:
    touch("f/1.JPG", "f/2.MP4", "f/3.HEIC", "f/4.jfif", "f/a/5.mp4", "f/README")
    _, [line] = search("f")
    assert line.startswith("5 other files were skipped: 2 .")
    assert line.endswith(" 1 without an ending, 1 .HEIC, 1 .jfif.")


def test_many_endings_are_summed_up() -> None:
    touch("f/1.jpg", *(f"f/1.x{number}" for number in range(20)))
    assert search("f")[1][0].endswith(", 8 with other endings.")


def test_overlapping_folders_are_counted_once() -> None:
    touch("in/1.jpg", "in/a/2.jpg", "in/a/3.mp4", "in/a/.b/4.jpg")
    assert search("in", "in/a", "./in")[1] == [
        "1 hidden or system folder was skipped, such as in/a/.b; pass its path with "
        "--folders to search it.",
        "1 other file was skipped: 1 .mp4.",
    ]


def test_a_folder_without_images_among_others_is_named() -> None:
    touch("a/1.jpg", "b/2.txt")
    assert search("a", "b")[1][0] == "1 of the folders contains no image, such as b."


def test_a_folder_of_videos_is_refused_with_their_number() -> None:
    touch("f/1.MP4", "f/2.MP4", "f/3.avi", "g/4.txt")
    with pytest.raises(InputError, match=r"only 3 videos \(2 \.MP4, 1 \.avi\)"):
        find_images(["f"])
    with pytest.raises(InputError, match=r"only 3 videos and 1 other file \(2 \.MP4"):
        find_images(["f", "g"])


def test_a_folder_whose_images_are_all_hidden_is_refused_with_an_example() -> None:
    touch("f/.hidden/1.jpg")
    with pytest.raises(InputError, match=r"no images in f.*; 1 hidden .* such as f/\.hidden"):
        find_images(["f"])


def test_buckets_are_searched_by_the_same_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = ["#recycle/1.jpg", "a/.t/1.jpg", "a/.t/2/3.jpg", "a/1.jpg", "a/._1.jpg", "a/2.mp4"]
    urls = [f"s3://bucket/.top/{key}" for key in [*keys, "DeletedFiles/5.jpg"]]
    monkeypatch.setattr(storage, "list_folder", lambda _: iter(urls))
    notes = InputNotes()
    found = listing.images_in("s3://bucket/.top", notes)
    assert list(found) == ["s3://bucket/.top/a/1.jpg"]
    assert notes.lines() == [
        "3 hidden or system folders were skipped, such as s3://bucket/.top/#recycle; pass its path with "
        "--folders to search it.",
        "1 hidden file was skipped, such as s3://bucket/.top/a/._1.jpg.",
        "1 other file was skipped: 1 .mp4.",
    ]


def test_case_of_hidden_files(shared: Path) -> None:
    survey = shared / "cases" / "hidden_files" / "survey"
    if not survey.exists():
        pytest.skip("this copy has no cases")
    assert find_images([str(survey)]) == [(survey / "cam1" / "IMG_0001.JPG").as_posix()]
