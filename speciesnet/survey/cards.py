"""Folders that may belong to the same camera, although they count as separate cameras."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator

from speciesnet.files.paths import Parts, note_on_lookalikes, with_slashes
from speciesnet.survey.sequences import CARD, without_card

# As the DCF standard names folders on a card: a number, and five characters that stay the same.
_NUMBERED = re.compile(r"([1-9]\d\d)(?!\d+$)(\w{5})", re.ASCII)
_DIGITS = re.compile(
    r"\d{8}", re.ASCII
)  # below DCIM: dates, or the serial numbers of several cameras


def folder_parts(filepath: str) -> Parts:
    """The parts of the folder of a photograph."""
    return tuple(with_slashes(filepath).split("/")[:-1])


def similar_folders(folders: Iterable[Parts]) -> list[Parts]:
    """The folders that look as if one camera had created them one after another.

    These are sibling folders with consecutive numbers before the same letters, such as ``100PHOTO``
    and ``101PHOTO``, and folders of eight digits below ``DCIM``; but not if there are photographs
    next to them, or if their names identify the camera.

    Args:
        folders: The folders of photographs.

    Examples:
        >>> similar_folders([("cam1", "100PHOTO"), ("cam1", "101PHOTO"), ("cam1", "200NORTH")])
        [('cam1', '100PHOTO'), ('cam1', '101PHOTO')]
    """
    known = set(folders)
    groups: dict[tuple[Parts, str], dict[int, Parts]] = defaultdict(dict)
    for folder in known:
        if not folder or without_card(folder) != folder or folder[:-1] in known:
            continue
        *_, above, name = ("", *folder)
        if above.upper() == CARD and _DIGITS.fullmatch(name):
            groups[folder[:-1], ""][int(name)] = folder
        elif match := _NUMBERED.fullmatch(name):
            groups[folder[:-1], match[2].upper()][int(match[1])] = folder
    return sorted(folder for key, group in groups.items() for folder in _in_order(key[1], group))


def _in_order(letters: str, group: dict[int, Parts]) -> Iterator[Parts]:
    """The folders with a neighbor: the next number, or any other if there are only digits."""
    for number, folder in group.items():
        if (not letters and len(group) > 1) or {number - 1, number + 1} & group.keys():
            yield folder


def lookalikes(folders: Iterable[Parts]) -> tuple[Parts, Parts] | None:
    """Two cameras whose folders differ in the Unicode form of their names alone, or None."""
    seen: dict[str, Parts] = {}
    for camera in sorted(set(map(without_card, folders))):
        other = seen.setdefault(unicodedata.normalize("NFC", "/".join(camera)), camera)
        if other != camera:
            return other, camera
    return None


def note_on(folders: Iterable[Parts]) -> str:
    """A sentence on similar folders; empty if there are none."""
    folders = [*folders]
    found = ["/".join(folder) for folder in similar_folders(folders)]
    if not found:
        if (pair := lookalikes(folders)) is None:
            return ""
        name = "/".join(pair[0])
        return f"Two folders {name} count as separate cameras.{note_on_lookalikes(*pair)}"
    return (
        f"{len(found)} folders, such as {found[0]} and {found[1]}, count as separate cameras, although "
        "their names look as if one camera had made them. If so, put them into a folder named "
        f"{CARD} before the run, with names such as 100CAMXX and 101CAMXX."
    )
