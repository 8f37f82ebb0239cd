"""Checks the fields of a survey that pages send."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress

from speciesnet.app.errors import PageError, bad_request
from speciesnet.app.folders import Folders
from speciesnet.files.packages.info import SUPPORTED_MODELS

LONGEST_NAME = 100  # characters
_PLACES = ("country", "coordinates", "none")
_OPTIONS: Mapping[str, tuple[object, ...]] = {
    "geofence": (True, False),
    "videos": ("include", "skip"),
    "video_fps": ("1", "0.2", "0.5", "2", "5"),
    "max_frames_per_video": ("", "5", "10", "30", "60", "120"),
    "classify": ("best", "all"),
    "metadata": (False, True),
}


def checked_fields(values: Mapping[str, object], folders: Folders) -> dict[str, object]:
    """The values of fields, by name; raises ``PageError`` if any of them is invalid.

    Args:
        values: The values that a page sends.
        folders: Checks which paths the page may name.
    """
    checked = {}
    for key, value in values.items():
        if key not in _CHECKS:
            raise bad_request(f"A survey has no field {key!r} that can be set.")
        checked[key] = _CHECKS[key](value, folders)
    return checked


def _name(value: object, _: Folders) -> str:
    text = " ".join(value.split()) if isinstance(value, str) else ""
    if not text or len(text) > LONGEST_NAME or not text.isprintable():
        raise bad_request(f"Give the survey a name of at most {LONGEST_NAME} characters.")
    return text


def _folders(value: object, folders: Folders) -> list[str]:
    if not isinstance(value, list) or not value:
        raise bad_request("Choose the folder with the photographs.")
    return list(dict.fromkeys(folders.check(path) for path in value))


def _place(value: object, _: Folders) -> dict[str, str | None]:
    kind = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(value, dict) or kind not in _PLACES:
        raise bad_request(f"The place must be one of {', '.join(_PLACES)}.")
    if kind != "country":
        return {"kind": kind}
    country, region = value.get("country"), value.get("region")
    if not re.fullmatch("[A-Z]{3}", str(country)):
        raise bad_request("Choose a country.")
    if region is not None and not re.fullmatch("[A-Z0-9]{1,3}", str(region)):
        raise bad_request("Choose a region from the list.")
    return {"kind": kind, "country": country, "region": region}


def _file(value: object, folders: Folders) -> str | None:
    return None if value is None else folders.check(value)


def _model(value: object, folders: Folders) -> str:
    with suppress(PageError):
        return folders.check(value)
    if value not in (*SUPPORTED_MODELS, "demo"):
        raise bad_request("Choose a model from the list.")
    return str(value)


def _options(value: object, _: Folders) -> dict[str, object]:
    if not isinstance(value, dict):
        raise bad_request("The options must be an object.")
    for key, one in value.items():
        if not any(one == known and type(one) is type(known) for known in _OPTIONS.get(key, ())):
            raise bad_request(f"The option {key!r} cannot be {one!r}.")
    return value


def _flag(value: object, _: Folders) -> bool:
    return value is True


_CHECKS: Mapping[str, Callable[[object, Folders], object]] = {
    "name": _name,
    "folders": _folders,
    "place": _place,
    "species_list": _file,
    "species_fill": _flag,
    "model": _model,
    "options": _options,
    "results": lambda value, folders: folders.check(value),
}
