from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from speciesnet.app.commands import EXPORTS, export_line, run_line
from speciesnet.app.errors import PageError
from speciesnet.app.folders import Folders
from speciesnet.app.surveys import Survey
from speciesnet.scripts.commands import resolve


def survey_of(tmp_path: Path, **values: object) -> Survey:
    results = str(tmp_path)
    found = Survey("1", "Lions", [str(tmp_path)], results, str(tmp_path / "p.json"))
    for key, value in values.items():
        setattr(found, key, value)
    return found


def test_every_choice_is_a_flag_of_the_command(tmp_path: Path) -> None:
    survey = survey_of(
        tmp_path,
        place={"kind": "coordinates"},
        species_list="/lists/a.txt",
        species_fill=True,
        options={
            "geofence": False,
            "video_fps": "0.5",
            "max_frames_per_video": "30",
            "classify": "all",
            "metadata": True,
        },
    )
    line = run_line(survey)
    command, arguments = resolve(line.arguments)
    values, files = command.parse(["speciesnet", *arguments])
    assert not files
    assert {flag.name for flag in command.all_flags if values.is_given(flag)} == {
        *("folders", "predictions_json", "model", "exif_gps", "country_from_coordinates"),
        *("species_list", "species_list_fill", "geofence", "video_fps", "max_frames_per_video"),
        *("classify", "metadata"),
    }


def test_no_frames_are_chosen_of_films_that_are_left_out(tmp_path: Path) -> None:
    options = {"videos": "skip", "video_fps": "2", "max_frames_per_video": "5"}
    line = run_line(survey_of(tmp_path, options=options))
    assert line.arguments[-2:] == ["--videos", "skip"]


@pytest.mark.parametrize("kind", EXPORTS)
def test_every_export_is_a_line_that_its_command_understands(kind: str, tmp_path: Path) -> None:
    texts = {"text": "--x; $(rm) 'y'", "texts": ["a, b", "-c"], "file": None}
    options = {
        name: texts[allowed] if isinstance(allowed, str) else allowed[-1]
        for name, allowed in EXPORTS[kind].items()
    }
    line = export_line(kind, survey_of(tmp_path), options, Folders())
    command, arguments = resolve(line.arguments)
    command.parse(["speciesnet", *arguments])
    assert shlex.split(str(line)) == ["speciesnet", *line.arguments]


def test_an_option_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    for options in ({"engine": "x"}, {"how": "delete"}, {"dry_run": 1}, {"dry_run": "--undo"}):
        with pytest.raises(PageError, match="option"):
            export_line("sort", survey_of(tmp_path), options, Folders())


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    line = export_line("sort", survey_of(tmp_path), {"dry_run": True}, Folders())
    assert (line.written, "--dry_run" in line.arguments) == ((), True)
