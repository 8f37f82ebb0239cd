from __future__ import annotations

from pathlib import Path

import pytest

from speciesnet.files.paths import common_folder, file_name, path_below, path_parts, safe_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("red fox (Vulpes vulpes)", "red fox (Vulpes vulpes)"),
        ("../../etc", ".._.._etc"),
        ("a/b\\c:d", "a_b_c_d"),
        ("CON", "_CON"),
        ("com1.txt", "_com1.txt"),
        ("Consul", "Consul"),
        ("ends with dots. . .", "ends with dots"),
        ("..", "_"),
        ("", "_"),
        ('"quoted" <bear>|?*', "_quoted_ _bear____"),
        ("Elch 🦌", "Elch 🦌"),
        ("line\nbreak\x00", "line_break_"),
    ],
)
def test_names_are_accepted_by_every_system(tmp_path: Path, text: str, name: str) -> None:
    assert safe_name(text) == name
    (tmp_path / name).mkdir()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_long_names_fit_into_a_file_system(tmp_path: Path) -> None:
    for text in ("x" * 200, "🦌" * 200, "é" * 200, "a\udce9" * 200):
        name = safe_name(text)
        assert 50 < len(name) <= 100
        (tmp_path / name).mkdir()


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("D:\\survey\\cam1\\a.jpg", ("D:", "survey", "cam1", "a.jpg")),
        ("/survey//cam1/./a.jpg", ("survey", "cam1", "a.jpg")),
        ("../../a.jpg", ("a.jpg",)),
        ("cam1/../../../cam2/a.jpg", ("cam2", "a.jpg")),
    ],
)
def test_parts_of_a_path_lead_nowhere_else(path: str, parts: tuple[str, ...]) -> None:
    assert path_parts(path) == parts


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("D:\\survey\\a.jpg", "a.jpg"),
        ("survey/cam1/a.jpg", "a.jpg"),
        ("a.jpg", "a.jpg"),
        ("cam1/", ""),
    ],
)
def test_file_name_is_the_last_part_on_any_system(path: str, name: str) -> None:
    assert file_name(path) == name


def test_common_folder_is_the_innermost_one() -> None:
    assert common_folder(["/s/a/x/1.jpg", "/s/b/1.jpg"]) == ("s",)
    assert common_folder(["/s/a/1.jpg", "/s/a/2.jpg"]) == ("s", "a")
    assert common_folder(["/s/a/b/1.jpg", "/s/a/2.jpg"]) == ("s", "a")
    assert common_folder(["/s/a/1.jpg", "https://host/2.jpg"]) == ("s", "a")
    assert common_folder(["1.jpg", "a/2.jpg"]) == ()
    assert common_folder([]) == ()


def test_path_below_the_common_folder() -> None:
    common = ("D:", "s")
    assert path_below("D:\\s\\cam1\\a.jpg", common) == ("cam1", "a.jpg")
    assert path_below("D:/s/aux/a?.jpg", common, windows=True) == ("_aux", "a_.jpg")
    assert path_below("D:/s/aux/a?.jpg", common, windows=False) == ("aux", "a?.jpg")
