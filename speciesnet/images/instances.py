"""The images of a run and their locations, from flags, folders and JSON."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any, TypedDict

from absl import logging
from typing_extensions import Unpack

from speciesnet import geolocation
from speciesnet.errors import InputError, file_errors
from speciesnet.files import extensions, listing, storage
from speciesnet.files.given_paths import GivenPaths, from_file_url
from speciesnet.files.input_notes import Examples, InputNotes, plural
from speciesnet.files.json_lists import without_repeats
from speciesnet.files.packages import DEMO
from speciesnet.records import Instance

SAMPLE_IMAGES = DEMO / "images"

# For tables of instances.
COLUMNS = ("filepath", "country", "admin1_region", "latitude", "longitude")
TABLE_ENDINGS = (".csv", ".tsv", ".xls", ".xlsx", ".ods")
_TEXT_FIELDS = ("country", "admin1_region")
# How R and pandas write missing values into text fields; a number NaN is also a missing value.
_NO_VALUE = frozenset({"NA", "<NA>", "NaN", "nan"})
_COORDINATES = {"latitude": 90.0, "longitude": 180.0}  # degrees, either side of zero


def prepare_instances_dict(
    instances_dict: Mapping[str, Any] | None = None,
    instances_json: str | None = None,
    filepaths: Sequence[str] | None = None,
    filepaths_txt: str | None = None,
    folders: Sequence[str] | None = None,
    folders_txt: str | None = None,
    country: str | None = None,
    admin1_region: str | None = None,
) -> dict[str, Any]:
    """The instances of a run in the form of an instances JSON, from exactly one kind of input.

    Args:
        instances_dict: ``{"instances": [{"filepath": ...}, ...]}``.
        instances_json: A JSON file with the same content.
        filepaths: Paths or URLs of images.
        filepaths_txt: A file with one image per line.
        folders: Folders on a disk or in a bucket, searched for images at any depth; ``demo`` is the
            package's sample images.
        folders_txt: A file with one folder per line.
        country: ISO 3166-1 alpha-3 code of every instance.
        admin1_region: State or province code of every instance; needs a country.

    Raises:
        InputError: The input is missing, malformed or empty.

    Examples:
        >>> prepare_instances_dict(filepaths=["a.jpg"], country="KEN")
        {'instances': [{'filepath': 'a.jpg', 'country': 'KEN'}]}
    """
    instances = prepare_instances(
        instances_dict=instances_dict,
        instances_json=instances_json,
        filepaths=filepaths,
        filepaths_txt=filepaths_txt,
        folders=folders,
        folders_txt=folders_txt,
        country=country,
        admin1_region=admin1_region,
    )
    return {"instances": [{"filepath": i.filepath, **i.location} for i in instances]}


class Given(TypedDict, total=False):
    """The input of a run, see ``prepare_instances_dict``; exactly one of the first six is not None."""

    instances_dict: Mapping[str, object] | None
    instances_json: str | None
    filepaths: Sequence[str] | None
    filepaths_txt: str | None
    folders: Sequence[str] | None
    folders_txt: str | None
    country: str | None
    admin1_region: str | None


def prepare_instances(
    *,
    notes: InputNotes | None = None,
    match_files: bool = True,
    films: bool | None = None,
    **given: Unpack[Given],
) -> list[Instance]:
    """Does the same as ``prepare_instances_dict`` and returns a list of instances.

    Args:
        notes: Receives what a user should know about the input.
        match_files: Whether the paths of images that do not exist as written are searched for; see
            ``GivenPaths``.
        films: Whether folders are searched for films as well; False also leaves out (and counts)
            films in lists.
        **given: The input.

    Raises:
        InputError: The input is missing, malformed or empty.
    """
    notes = InputNotes() if notes is None else notes
    country, admin1_region = given.pop("country", None), given.pop("admin1_region", None)
    count = sum(value is not None for value in given.values())
    if count != 1:
        raise InputError(
            f"{'No' if not count else 'More than one'} input is given; use exactly one of --folders, "
            "--folders_txt, --filepaths, --filepaths_txt, --instances_json."
        )
    instances = _read_input(given, notes, match_files, films)
    if films is False:
        instances = _photographs_of(instances, notes)
    _note_doubtful(instances, notes)
    if not instances:
        raise InputError("There are no images to predict: the list is empty; add images to it.")
    notes.log()
    return geolocation.override_location(instances, country, admin1_region)


def _note_doubtful(instances: Iterable[Instance], notes: InputNotes) -> None:
    """Takes note of images that a list contains twice, and of those with half a position."""
    seen: set[str] = set()
    for one in instances:
        path = one.filepath if storage.scheme_of(one.filepath) else os.path.normpath(one.filepath)
        if path in seen:
            notes.repeated.add(one.filepath)
        seen.add(path)
        if (one.latitude is None) != (one.longitude is None):
            notes.half_placed.add(one.filepath)


def without_films(instances: Iterable[Instance], notes: InputNotes) -> Iterator[Instance]:
    """Yields the instances whose names are not those of films; ``notes`` counts the films."""
    for instance in instances:
        if extensions.is_film_name(instance.filepath):
            notes.skipped_films.add(instance.filepath)
        else:
            yield instance


def _photographs_of(instances: list[Instance], notes: InputNotes) -> list[Instance]:
    kept = list(without_films(instances, notes))
    if instances and not kept:
        raise InputError(
            f"There are no images to predict, only films, such as {instances[0].filepath}; leave out "
            "--videos skip."
        )
    return kept


def _read_input(
    given: Given, notes: InputNotes, match_files: bool, films: bool | None
) -> list[Instance]:
    """The instances of the one input that is not None."""
    if (document := given.get("instances_dict")) is not None:
        return parse_instances(document, "the instances")
    if (instances_json := given.get("instances_json")) is not None:
        instances = parse_instances(_read_json(instances_json), instances_json)
        paths = GivenPaths(notes, os.fspath(instances_json))
        find = paths.find if match_files else from_file_url
        return [replace(one, filepath=find(one.filepath)) for one in instances]
    folders, filepaths = given.get("folders"), given.get("filepaths")
    folders_txt, filepaths_txt = given.get("folders_txt"), given.get("filepaths_txt")
    source = folders_txt if folders_txt is not None else filepaths_txt
    paths = GivenPaths(notes, None if source is None else os.fspath(source))
    if folders_txt is not None:
        folders = _read_lines(folders_txt, "folder")
    if filepaths_txt is not None:
        filepaths = _read_lines(filepaths_txt, "image")
    if folders is not None:
        folders = [paths.find(folder) for folder in _as_texts(folders, "folders")]
        found = find_images(folders, notes, films=films)
    else:
        find = paths.find if match_files else from_file_url
        found = [find(path) for path in _as_texts(filepaths, "filepaths")]
    return [Instance(path) for path in found]


def find_images(
    folders: Iterable[str], notes: InputNotes | None = None, *, films: bool | None = None
) -> list[str]:
    """Finds the images under folders at any depth, without duplicates, sorted by path component.

    Paths have forward slashes. Hidden files and folders, and folders that operating systems and
    programs create, are skipped. For an image and the links to it, only one path is found.

    Args:
        folders: Paths, or URLs of buckets.
        notes: Receives what is skipped.
        films: Whether to find films as well; False if the user has asked to leave them out.

    Raises:
        InputError: A folder does not exist, or none of them contains an image.
    """
    found: dict[str, str] = {}  # by the name that the file system compares
    for path in walk_images(folders, notes, films=films):
        found[path if storage.scheme_of(path) else os.path.normcase(path)] = path
    return [found[key] for key in sorted(found, key=lambda key: PurePath(key).parts)]


def walk_images(
    folders: Iterable[str], notes: InputNotes | None = None, *, films: bool | None = None
) -> Iterator[str]:
    """Yields the images that ``find_images`` finds, unsorted, with duplicates where folders overlap."""
    notes = InputNotes() if notes is None else notes
    folders = _as_texts(folders, "folders")
    folders = [str(SAMPLE_IMAGES) if _means_samples(folder) else folder for folder in folders]
    counted: list[str] = []
    links = listing.LinkedImages()
    for folder in folders:
        is_empty, before = True, len(links.links)
        for path in listing.images_in(folder, notes, counted, films=bool(films), links=links):
            is_empty = False
            yield path
        counted.append(listing.identity_of(folder))
        if is_empty and len(links.links) == before:
            notes.empty_folders.add(folder)
    yield from links.photographs(notes)
    if notes.empty_folders.count == len(folders):
        raise InputError(_no_images(folders, notes, films))
    notes.log()


def _no_images(folders: Sequence[str], notes: InputNotes, films: bool | None) -> str:
    found = ""
    if count := notes.other_files.total():
        videos = notes.videos
        kinds = [f"{videos:,} {plural(videos, 'video')}"] if videos else []
        kinds += (
            [f"{count - videos:,} {plural(count - videos, 'other file')}"] if count > videos else []
        )
        found = f", only {' and '.join(kinds)} ({notes.endings})"
    skipped = "".join(f"; {line.rstrip('.')}" for line in notes.skipped())
    endings = extensions.IMAGE_EXTENSIONS | (extensions.FILM_EXTENSIONS if films else set())
    return (
        f"There are no images in {', '.join(folders)}{found}: no file name ends with "
        f"{' '.join(sorted(endings))}{skipped}."
        f"{' Leave out --videos skip to examine the videos.' if films is False and notes.videos else ''}"
    )


def _as_texts(paths: Iterable[str] | None, name: str) -> list[str]:
    if isinstance(paths, str):
        raise InputError(f"{name} is the string {paths!r}; pass a list of paths.")
    return [os.fspath(path) for path in paths or []]


def _means_samples(folder: str) -> bool:
    """Whether a folder means the package's sample images: ``demo``, unless a folder has that name."""
    return folder == "demo" and not _exists(folder)


def _exists(path: str) -> bool:
    return os.path.exists(path)  # noqa: PTH110 (pathlib's raises for names that are too long)


def parse_instances(document: Any, source: str) -> list[Instance]:
    """Checks ``{"instances": [...]}`` and converts it to instances.

    Args:
        document: The parsed JSON.
        source: Name of the document in error messages.

    Raises:
        InputError: A field is missing or wrong; the message names it.
    """
    if not isinstance(document, Mapping) or not isinstance(document.get("instances"), list):
        raise InputError(no_instances(source))
    return [parse_instance(raw, source, i) for i, raw in enumerate(document["instances"], start=1)]


def no_instances(source: str) -> str:
    """The error message for a document without instances."""
    return (
        f'{source} has no "instances" list; it must look like '
        '{"instances": [{"filepath": "image.jpg", "country": "KEN"}]}.'
    )


def parse_instance(raw: Any, source: str, number: int) -> Instance:
    """Checks one item of ``parse_instances``, the ``number``-th; raises ``InputError``."""
    where = f"Instance {number} of {source}"
    if not isinstance(raw, Mapping):
        raise InputError(
            f'{where} is not a JSON object; it must look like {{"filepath": "image.jpg"}}.'
        )
    filepath = raw.get("filepath")
    if not isinstance(filepath, str) or not filepath:
        raise InputError(f'{where} lacks "filepath", or it is not text; add the path of the image.')
    where = f"{where} ({filepath})"
    if raw.get("country") == "NA":
        logging.log_first_n(
            logging.WARNING,
            '%s has the country "NA"; it is read as a missing value, here and in later instances. '
            "If Namibia is meant, write NAM.",
            1,
            where,
        )
    fields = (*_TEXT_FIELDS, *_COORDINATES)
    if unknown := [key for key in raw if key not in ("filepath", *fields)]:
        logging.log_first_n(
            logging.WARNING,
            '%s has the field "%s", which is not read, here and in later instances. The fields are %s.',
            1,
            where,
            unknown[0],
            ", ".join(COLUMNS),
        )
    raw = {field: None if _is_missing(raw.get(field)) else raw[field] for field in fields}
    for field in _TEXT_FIELDS:
        if not isinstance(raw.get(field), str | None):
            raise InputError(f'{where} has {raw[field]!r} as "{field}"; it must be text.')
    for field, limit in _COORDINATES.items():
        value = raw.get(field)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f'{where} has {value!r} as "{field}"; it must be a number in degrees.')
        if not -limit <= value <= limit:
            raise InputError(
                f'{where} has {value!r} as "{field}"; it must be between {-limit:g} and {limit:g}.'
            )
    country, region = raw.get("country") or None, raw.get("admin1_region") or None
    if country is not None:
        geolocation.check_country(country, f'{where} has a wrong "country":')
    if region is not None:
        geolocation.check_admin1_region(region, country, f'{where} has a wrong "admin1_region":')
    return Instance(filepath, country, region, raw.get("latitude"), raw.get("longitude"))


def _is_missing(value: object) -> bool:
    if isinstance(value, str):
        return value in _NO_VALUE
    return value is None or (isinstance(value, float) and math.isnan(value))


def path_digest(filepath: str, size: int) -> bytes:
    """A hash of a path with ``size`` bytes, for places where the path is too long."""
    return hashlib.blake2b(filepath.encode("utf-8", "surrogatepass"), digest_size=size).digest()


def take_shard(instances: Sequence[Instance], shard: str) -> list[Instance]:
    """The instances in one of several disjoint parts.

    The part depends only on an image's path, so it stays the same when other images are added.

    Args:
        instances: The whole list.
        shard: ``I/N``, such as ``3/8`` for the third of eight parts.

    Raises:
        InputError: ``shard`` has a different form.
    """
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", shard)
    number, parts = map(int, match.groups()) if match else (0, 0)
    if not 1 <= number <= parts:
        raise InputError(f"--shard is {shard!r}; it must be I/N with I from 1 to N, such as 3/8.")

    def part_of(filepath: str) -> int:
        return int.from_bytes(path_digest(filepath, 8), "big") % parts + 1

    return [instance for instance in instances if part_of(instance.filepath) == number]


def split_paths(text: str) -> list[str]:
    """Splits a comma-separated list of paths, unless the whole text is an existing path."""
    if text and _exists(text):
        return [text]
    if re.search(r'" +--?\w', text):
        raise InputError(
            f"The list of paths {text!r} contains a quote and another flag: Windows reads a backslash "
            "before a closing quote as part of the text; leave out the backslash at the end of the path."
        )
    try:
        parts = next(csv.reader([text], strict=True), [])
    except csv.Error:
        parts = text.split(",")
    return [part.strip() for part in parts if part.strip()]


def _read_json(path: str) -> Any:
    try:
        with file_errors(InputError, f"The instances file {path}"):
            return json.loads(storage.read_text(path), object_pairs_hook=without_repeats)
    except (ValueError, RecursionError) as error:
        fix = "Correct the file."
        if PurePath(path).suffix.lower() in (*TABLE_ENDINGS, ".txt"):
            fix = "Pass a list of paths with --filepaths_txt, or write the table as JSON."
        raise InputError(f"The instances file {path} is not valid JSON ({error}). {fix}") from error


def listed_paths(lines: Iterable[str], path: str, what: str) -> Iterator[str]:
    """Yields the paths in a list; logs which lines are read as a header or as comments.

    Args:
        lines: The lines of the list.
        path: Path or URL of the list, for messages.
        what: What its paths name: "image" or "folder".

    Raises:
        InputError: The list is JSON or a table.
    """
    comments = Examples("line is a comment", "lines are comments", f". {path} is read without them")
    is_first = True
    for line in filter(None, map(str.strip, lines)):
        if line[:2] in ("#", "# "):
            comments.add(line)
            continue
        if is_first:
            is_first = False
            _check_kind(path, line, what)
            if line.strip("\"'").lower() == "filepath":
                logging.warning("The first line of %s, %s, is treated as a header.", path, line)
                continue
        yield line
    if comments.count:
        logging.warning("%s", comments)


def _check_kind(path: str, first: str, what: str) -> None:
    """Raises ``InputError`` if a list of paths turns out, by its first line, to be JSON or a table."""
    is_json = re.match(r'\s*(\{\s*("|$)|\[\s*(\{|"|$))', first)
    cells = [cell.strip(" \r\"'").lower() for cell in re.split("[,;\t]", first)]
    is_table = len(cells) > 1 and ("filepath" in cells or len({"file", *COLUMNS} & set(cells)) > 1)
    if is_json or is_table:
        kind = "JSON" if is_json else "a table"
        raise InputError(
            f"The list of {what}s {path} is {kind}; write one {what} per line, or pass images with their "
            'places as an instances JSON, {"instances": [{"filepath": "image.jpg"}]}.'
        )


def _read_lines(path: str, what: str) -> list[str]:
    try:
        with file_errors(InputError, f"The list of {what}s {path}"):
            text = storage.read_text(path)
    except UnicodeDecodeError as error:
        raise InputError(
            f"The list of {what}s {path} is not UTF-8 text; save it as UTF-8."
        ) from error
    paths = list(listed_paths(text.split("\n"), path, what))
    if not paths:
        raise InputError(f"The list of {what}s {path} is empty; it must have one {what} per line.")
    return paths
