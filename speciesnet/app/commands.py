"""The command lines behind the buttons of the window."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from speciesnet.app.errors import bad_request
from speciesnet.app.folders import Folders
from speciesnet.app.surveys import Survey

TRIAL_IMAGES = 20
# Folders in the folder for the results; the first three contain pages that the window shows.
REPORT, CAMERAS, EVALUATION, SORTED = "report", "cameras", "evaluation", "sorted"
PAGES = (REPORT, CAMERAS, EVALUATION)
THRESHOLDS = "thresholds.csv"  # written by ``evaluate``, and used by exports

Options = Mapping[str, object]
TEXT, TEXTS, FILE = "text", "texts", "file"  # kinds of options, besides lists of values
_SWITCH = (False, True)
_SOURCE = "SOURCE"  # a placeholder for the predictions file
_PLACED = {"deployments": FILE, "timezone": TEXT}  # where the cameras were
_THRESHOLDS = {"thresholds": _SWITCH}  # whether answers below their thresholds are replaced
# The options of each export and their allowed values; the first value of a list is the default.
EXPORTS: Mapping[str, Mapping[str, str | Sequence[object]]] = {
    "table": {
        "format": ("csv", "parquet"),
        "rows": ("image", "detection", "observation", "sequence", "event"),
        "bom": _SWITCH,
        "delimiter": (",", ";"),
        **_THRESHOLDS,
    },
    "timelapse": {"beside_photographs": _SWITCH, **_THRESHOLDS},
    "camtrap-dp": {
        "title": TEXT,
        "contributor": TEXTS,
        "license_data": TEXT,
        "license_media": TEXT,
        "sampling_design": TEXT,
        "capture_method": TEXT,
        **_PLACED,
        **_THRESHOLDS,
    },
    "cameras": _PLACED,
    "ecology": {**_PLACED, **_THRESHOLDS},
    "evaluate": {"labels": FILE, "wanted_precision": ("", "0.9", "0.95", "0.99")},
    "keywords": {
        "dry_run": _SWITCH,
        "embed": _SWITCH,
        "beside_photographs": (True, False),
        **_THRESHOLDS,
    },
    "sort": {
        "dry_run": _SWITCH,
        "how": ("copy", "hardlink", "symlink", "move"),
        "by": ("species", "category", "sequence"),
        **_THRESHOLDS,
    },
    "undo": {"dry_run": _SWITCH},
    "report": {"blur_humans": _SWITCH, **_THRESHOLDS},
}


@dataclass(frozen=True)
class Line:
    """A command line.

    Attributes:
        arguments: The command and its flags, without the program.
        written: The files and folders that the command writes.
    """

    arguments: list[str]
    written: tuple[Path, ...] = ()

    def __str__(self) -> str:
        words = ["speciesnet", *self.arguments]
        return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def run_line(survey: Survey) -> Line:
    """The command that runs a survey; the same command continues it."""
    path = survey.predictions
    return Line(
        ["--folders", *survey.folders, "--predictions_json", path, *_settings(survey)],
        (Path(path),),
    )


def estimate_line(survey: Survey) -> Line:
    """The command that times some of a survey's remaining photographs, without writing anything."""
    earlier = ["--predictions_json", survey.predictions] if survey.has_predictions else []
    return Line(["--folders", *survey.folders, *earlier, *_settings(survey), "--dry_run"])


def trial_line(survey: Survey, names: Path, predictions: Path) -> Line:
    """The command that runs on the photographs listed in a text file."""
    given = ["--filepaths_txt", str(names), "--predictions_json", str(predictions)]
    return Line([*given, *_settings(survey)])


def _settings(survey: Survey) -> list[str]:
    place, options = survey.place, survey.options
    flags = ["--model", survey.model]
    if place["kind"] == "coordinates":
        flags += ["--exif_gps", "--country_from_coordinates"]
    if country := place.get("country"):
        flags += ["--country", country]
    if region := place.get("region"):
        flags += ["--admin1_region", region]
    if survey.species_list:
        flags += ["--species_list", survey.species_list]
        flags += ["--species_list_fill"] * survey.species_fill
    if options.get("geofence") is False:
        flags.append("--nogeofence")
    if options.get("videos") == "skip":
        flags += ["--videos", "skip"]
    else:
        for name in ("video_fps", "max_frames_per_video"):
            if value := options.get(name):
                flags += [f"--{name}", str(value)]
    if options.get("classify") == "all":
        flags += ["--classify", "all"]
    return [*flags, "--metadata"] if options.get("metadata") else flags


def export_line(kind: str, survey: Survey, given: Options, folders: Folders) -> Line:
    """The command for an export.

    Args:
        kind: One of ``EXPORTS``.
        survey: The survey.
        given: The options that the page sends.
        folders: Checks which files the page may name.

    Raises:
        PageError: An option does not exist, or does not allow this value.
    """
    for name in given.keys() - EXPORTS[kind].keys():
        raise bad_request(f"There is no option {name!r}.")
    options = {
        name: _option(name, allowed, given.get(name), folders)
        for name, allowed in EXPORTS[kind].items()
    }
    if options.get("thresholds"):
        options["thresholds"] = str(Path(survey.results, THRESHOLDS))
    return _LINES[kind](survey, options)


def _folder_line(
    words: Sequence[str], name: str, survey: Survey, options: dict[str, object]
) -> Line:
    """The command that writes a folder; in ``words``, ``_SOURCE`` stands for the predictions file."""
    target = Path(survey.results, name)
    first = [survey.predictions if word == _SOURCE else word for word in words]
    written = () if options.get("dry_run") else (target,)
    return Line([*first, str(target), *_flags(options)], written)


def _table_line(survey: Survey, options: dict[str, object]) -> Line:
    target = Path(survey.results, f"table.{options.pop('format')}")
    return Line(["table", survey.predictions, str(target), *_flags(options)], (target,))


def _timelapse_line(survey: Survey, options: dict[str, object]) -> Line:
    folder = survey.folders[0] if len(survey.folders) == 1 else None
    is_beside = options.pop("beside_photographs")
    target = Path(folder if folder and is_beside else survey.results, "timelapse.json")
    base = ["--base_folder", folder] if folder else []
    words = ["megadetector", survey.predictions, str(target), *base]
    return Line([*words, *_flags(options)], (target,))


def _cameras_line(survey: Survey, options: dict[str, object]) -> Line:
    page, table = Path(survey.results, CAMERAS), Path(survey.results, "camera_check.csv")
    outputs = ["--html", str(page), "--csv", str(table)]
    return Line(["cameras", survey.predictions, *outputs, *_flags(options)], (page, table))


def _evaluate_line(survey: Survey, options: dict[str, object]) -> Line:
    """The command that compares the answers with labels; by default, those of the review."""
    out, labels, precision = Path(survey.results), options["labels"], options["wanted_precision"]
    written = [out / EVALUATION, out / "evaluation.json"]
    words = ["--html", str(written[0]), "--json", str(written[1])]
    if precision:
        written.append(out / THRESHOLDS)
        words += ["--wanted_precision", str(precision), "--thresholds", str(written[2])]
    return Line(
        ["evaluate", survey.predictions, *([str(labels)] if labels else []), *words], tuple(written)
    )


def _keywords_line(survey: Survey, options: dict[str, object]) -> Line:
    if options.pop("beside_photographs"):
        return Line(["keywords", survey.predictions, *_flags(options)])
    return _folder_line(["keywords", _SOURCE, "--out"], "keywords", survey, options)


def _option(name: str, allowed: str | Sequence[object], value: object, folders: Folders) -> object:
    if isinstance(allowed, str):
        if value is None or value in ("", []):
            return None
        if allowed == FILE:
            return folders.check(value)
        texts = value if allowed == TEXTS else [value]
        if isinstance(texts, list) and all(isinstance(t, str) and t.isprintable() for t in texts):
            return value
    elif value is None:
        return allowed[0]
    elif any(value == one and type(value) is type(one) for one in allowed):
        return value
    raise bad_request(f"The option {name!r} cannot be {value!r}.")


def _flags(options: Options) -> list[str]:
    """Flags as ``--name=value``, because text that a user enters may start with a dash."""
    words = []
    for name, value in options.items():
        if value is True:
            words.append(f"--{name}")
        elif value not in (None, False):
            values = value if isinstance(value, list) else [value]
            words += [f"--{name}={one}" for one in values]
    return words


_LINES: Mapping[str, Callable[[Survey, dict[str, object]], Line]] = {
    "table": _table_line,
    "timelapse": _timelapse_line,
    "camtrap-dp": partial(_folder_line, ["camtrap-dp", _SOURCE], "camtrap-dp"),
    "cameras": _cameras_line,
    "ecology": partial(_folder_line, ["ecology", _SOURCE, "--out"], "ecology"),
    "evaluate": _evaluate_line,
    "keywords": _keywords_line,
    "sort": partial(_folder_line, ["sort", _SOURCE, "--out"], SORTED),
    "undo": partial(_folder_line, ["sort", "--undo", "--out"], SORTED),
    "report": partial(_folder_line, ["report", _SOURCE, "--out"], REPORT),
}
