"""Paths as people write them, and the files that they mean."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from speciesnet.errors import InputError
from speciesnet.files.input_notes import InputNotes
from speciesnet.images.instances import prepare_instances, split_paths
from speciesnet.scripts.run_model import COMMAND, FOLDERS


@pytest.fixture(autouse=True)
def _work_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def listed(*lines: str, name: str = "list.txt") -> list[str]:
    """The paths of a run whose list of images has these lines."""
    Path(name).write_text("\n".join(lines), encoding="utf-8")
    return [one.filepath for one in prepare_instances(filepaths_txt=name)]


@pytest.mark.parametrize("quoted", ['"a b.jpg"', "'a b.jpg'", "\u201ca b.jpg\u201d"])
def test_quotes_around_a_line_are_stripped_where_no_such_file_exists(quoted: str) -> None:
    touch("a b.jpg")
    assert listed(quoted) == ["a b.jpg"]
    touch(quoted)
    assert listed(quoted) == [quoted]


def test_file_urls_are_paths(tmp_path: Path) -> None:
    touch("in/a é.jpg", "in/50%25.jpg")
    folder = tmp_path.as_posix()
    found = [f"{folder}/in/a é.jpg", f"{folder}/in/50%25.jpg"]
    assert (
        listed(f"file://{folder}/in/a%20%C3%A9.jpg", f'"file://localhost{folder}/in/50%25.jpg"')
        == found
    )
    Path("f.txt").write_text(f"FILE://{folder}/in\n", encoding="utf-8")
    assert len(prepare_instances(folders_txt="f.txt")) == 2
    path = {"filepath": f"file:{folder}/in/a%20%C3%A9.jpg"}
    Path("i.json").write_text(json.dumps({"instances": [path]}), encoding="utf-8")
    for match_files in (True, False):
        [one] = prepare_instances(instances_json="i.json", match_files=match_files)
        assert one.filepath == found[0]
    assert listed("file:///C:/a%20b.jpg") == ["C:/a b.jpg"]


def test_quotes_around_urls_and_folders_are_stripped() -> None:
    touch("in/1.jpg")
    assert listed('"https://example.org/1.jpg"') == ["https://example.org/1.jpg"]
    Path("f.txt").write_text('"in"\n', encoding="utf-8")
    assert [one.filepath for one in prepare_instances(folders_txt="f.txt")] == ["in/1.jpg"]


def test_a_backslash_before_a_closing_quote() -> None:
    touch("in/1.jpg")
    assert [one.filepath for one in prepare_instances(folders=['in"'])] == ["in/1.jpg"]
    with pytest.raises(InputError, match="leave out the backslash"):
        split_paths('C:\\x" --country KEN')


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    touch("home/in/1.jpg")
    expected = [(tmp_path / "home/in/1.jpg").as_posix()]
    assert listed("~/in/1.jpg") == expected
    assert [one.filepath for one in prepare_instances(folders=["~/in"])] == expected
    touch("~/in/1.jpg")
    assert listed("~/in/1.jpg") == ["~/in/1.jpg"]


@pytest.mark.parametrize("kind", ["instances_json", "filepaths_txt"])
def test_paths_relative_to_the_folder_of_their_list(kind: str) -> None:
    touch("survey/cam/1.jpg", "survey/cam/2.jpg", "here/3.jpg")
    names = ["cam/1.jpg", "cam/2.jpg", "here/3.jpg", "none/4.jpg"]
    content = "\n".join(names)
    if kind == "instances_json":
        content = json.dumps({"instances": [{"filepath": name} for name in names]})
    Path("survey/list").write_text(content, encoding="utf-8")
    notes = InputNotes()
    found = prepare_instances(**{kind: "survey/list"}, notes=notes)  # type: ignore[arg-type]
    assert [one.filepath for one in found] == [
        "survey/cam/1.jpg", "survey/cam/2.jpg", "here/3.jpg", "none/4.jpg"
    ]  # fmt: skip
    assert notes.lines() == [
        "2 paths were found in the folder of their list, such as survey/cam/1.jpg."
    ]
    unmatched = prepare_instances(**{kind: "survey/list"}, match_files=False)  # type: ignore[arg-type]
    assert [one.filepath for one in unmatched] == names


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_both_unicode_forms_of_a_name_match(forms: Any) -> None:
    on_disk, written = (unicodedata.normalize(form, "Žebřík/ñandú.jpg") for form in forms)
    touch(on_disk)
    assert listed(written) == [on_disk]
    assert [one.filepath for one in prepare_instances(folders=[str(Path(written).parent)])] == [
        on_disk
    ]
    missing = written.replace(".jpg", ".png")
    assert listed(missing) == [missing]


def test_several_folders_after_one_flag() -> None:
    touch("a/1.jpg", "b, c/1.jpg", "d/1.jpg")
    values, _ = COMMAND.parse(["speciesnet", "--folders", "a", "b, c", "d", "--country", "KEN"])
    assert split_paths(values[FOLDERS] or "") == ["a", "b, c", "d"]
    values, _ = COMMAND.parse(["speciesnet", "--folders=a,d", "e,f"])
    assert split_paths(values[FOLDERS] or "") == ["a", "d", "e", "f"]


@pytest.mark.parametrize("content", ["filepath,country\na.jpg,KEN", "file;country\na.jpg;KEN"])
def test_a_table_instead_of_a_list_is_refused(content: str) -> None:
    with pytest.raises(InputError, match="is a table; write one image per line"):
        listed(content)


def test_json_instead_of_a_list_and_a_table_instead_of_json_are_refused() -> None:
    with pytest.raises(InputError, match="is JSON; write one image per line"):
        listed('{"instances": []}')
    Path("i.csv").write_text("filepath,country\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"i\.csv is not valid JSON .* write the table as JSON"):
        prepare_instances(instances_json="i.csv")
