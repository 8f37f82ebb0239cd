"""Keywords for Lightroom, digiKam and other catalogues: XMP in sidecars or in the photographs."""

from __future__ import annotations

import errno
import functools
import io
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from absl import logging
from PIL import Image

from speciesnet.constants import Classification
from speciesnet.errors import InputError, OutputError, SkippedFileError
from speciesnet.export.safe_paths import common_folder, path_below
from speciesnet.files.atomic import write_atomically
from speciesnet.records import Record, answer_of, is_failed, named
from speciesnet.survey.photographs import Photographs, none_found
from speciesnet.taxonomy import category_of, split_label

Naming = Literal["full", "base"]

ROOT = "SpeciesNet"  # the keyword that all others of this program lie under
EMBEDDABLE = ("image/jpeg", "image/png", "image/tiff", "image/webp")

_SUBJECT = "Xmp.dc.subject"
_HIERARCHY = "Xmp.lr.hierarchicalSubject"
_TAGS = "Xmp.digiKam.TagsList"
_LABEL = "Xmp.xmp.Label"
_LISTS = {_SUBJECT: "Bag", _HIERARCHY: "Bag", _TAGS: "Seq"}
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"

# Separators of the two trees, and what XML cannot hold.
_NO_KEYWORD = re.compile("[/|\\\\\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]+")
# Where these say so, every further file would fail alike.
_FULL = {errno.ENOSPC, errno.EROFS, getattr(errno, "EDQUOT", errno.ENOSPC)}


@dataclass(frozen=True)
class Keywords:
    """What is written about one photograph.

    Attributes:
        paths: Keywords with those that they lie under, below ``ROOT``; the most telling first.
        label: The value of ``xmp:Label``, or "".
    """

    paths: tuple[tuple[str, ...], ...] = ()
    label: str = ""

    @property
    def flat(self) -> list[str]:
        """The keywords without what they lie under."""
        return list(dict.fromkeys(path[-1] for path in self.paths))

    def joined(self, separator: str) -> list[str]:
        """The keywords with what they lie under."""
        return [separator.join((ROOT, *path)) for path in self.paths]


def keywords_of_label(label: str) -> Keywords:
    """The common name, the scientific name and the category, each with what it lies under.

    ``Mammalia|Carnivora|Canidae|Vulpes|Red fox``, the same with ``Vulpes vulpes``, and ``animal``.
    The label of an image without any answer has none.
    """
    if label == Classification.UNKNOWN:
        return Keywords()
    parts = split_label(label)
    ranks = (parts.class_, parts.order, parts.family, parts.genus)
    taxa = tuple(_keyword(rank.capitalize()) for rank in ranks if rank)
    category = category_of(label)
    common = _keyword(parts.common_name)
    scientific = _keyword(parts.scientific_name)
    if scientific:
        common = common[:1].upper() + common[1:]
    paths = []
    if common and common != category:
        paths.append((*taxa, common))
    if scientific:
        paths.append((*taxa, scientific) if parts.rank == "species" else taxa)
    paths.append((category,))
    return Keywords(tuple(dict.fromkeys(paths)), common)


def _keyword(text: str) -> str:
    return " ".join(_NO_KEYWORD.sub("-", text).split())


@dataclass(frozen=True, slots=True)
class Task:
    """Keywords of one photograph.

    Attributes:
        filepath: Its path in the predictions.
        keywords: None leaves the photograph alone; empty ones take out what was written earlier.
    """

    filepath: str
    keywords: Keywords | None


def keyword_tasks(records: Iterable[Record], min_score: float = 0.0) -> list[Task]:
    """What to write for records of any run.

    Failed images and records without an answer get None; answers below ``min_score`` no keywords.

    Raises:
        InputError: A record is malformed.
    """
    known: dict[str, Keywords] = {}  # the keywords of each label are in memory once
    return [Task(record["filepath"], _keywords_of(record, min_score, known)) for record in records]


def _keywords_of(
    record: Mapping[str, Any], min_score: float, known: dict[str, Keywords]
) -> Keywords | None:
    with named(record):
        if is_failed(record):
            return None
        label, score, _ = answer_of(record)
        if label is None:
            return None
        if score < min_score:
            return Keywords()
        if label not in known:
            known[label] = keywords_of_label(label)
        return known[label] if known[label].paths else None


@dataclass
class Written:
    """What became of the photographs.

    Attributes:
        written: Files written; with ``dry_run``, those that would be.
        unchanged: Files that held the same, or that there is nothing to write to.
        without_answer: Photographs without an answer.
        missing: Photographs that are not where the predictions say.
        left_alone: Files that cannot be changed, and why.
    """

    written: int = 0
    unchanged: int = 0
    without_answer: int = 0
    missing: int = 0
    left_alone: list[tuple[str, str]] = field(default_factory=list)


def write_keywords(
    tasks: list[Task],
    photographs: Photographs,
    *,
    naming: Naming = "full",
    out: str | os.PathLike[str] | None = None,
    embed: bool = False,
    dry_run: bool = False,
    tell: Callable[[Path, Keywords], None] | None = None,
) -> Written:
    """Writes keywords to sidecars or into the photographs, one file at a time, each whole or not at all.

    What this program wrote earlier is replaced; anything else in a file stays as it is.

    Args:
        tasks: Of all photographs.
        photographs: Where they are.
        naming: Of sidecars: ``IMG_1.jpg.xmp`` ("full") or ``IMG_1.xmp`` ("base").
        out: A folder for the sidecars, below which they lie as the photographs do below the common
            folder of all; None puts them beside the photographs.
        embed: Writes into the photographs instead; their dates stay.
        dry_run: Touches nothing.
        tell: Called with the file and its keywords for each that is, or would be, written.

    Raises:
        InputError: There are photographs in the predictions, but none is found; or pyexiv2 is not
            installed.
        OutputError: The disk is full.
    """
    _pyexiv2()
    change = _change_photograph if embed else _change_sidecar
    common = common_folder(task.filepath for task in tasks) if out is not None else ()
    result = Written()
    owners: dict[Path, Path] = {}
    for task in tasks:
        photograph = photographs.find(task.filepath)
        if photograph is None:
            result.missing += 1
            continue
        if task.keywords is None:
            result.without_answer += 1
            continue
        beside = photograph
        if out is not None:
            beside = Path(out, *path_below(task.filepath, common))
        file = Path(os.path.realpath(photograph)) if embed else _sidecar(beside, naming)
        try:
            if naming == "base" and not embed and owners.setdefault(file, photograph) != photograph:
                raise SkippedFileError(
                    f"it is the sidecar of {owners[file].name}; give --naming full"
                )
            is_new = change(file, task.keywords, dry_run)
        except (OSError, RuntimeError, ValueError) as error:  # exiv2 raises the latter two
            if isinstance(error, OSError) and error.errno in _FULL:
                raise OutputError(
                    f"{file} cannot be written ({error.strerror}); mend that and give the same command "
                    "again: what is written is whole."
                ) from error
            reason = error.strerror if isinstance(error, OSError) else None
            reason = reason or " ".join(str(error).split())
            logging.warning("%s is left alone: %s.", file, reason)
            result.left_alone.append((str(file), reason))
            continue
        if not is_new:
            result.unchanged += 1
            continue
        result.written += 1
        if tell is not None:
            tell(file, task.keywords)
    if result.missing and result.missing == len(tasks):
        raise none_found([task.filepath for task in tasks])
    return result


def _sidecar(photograph: Path, naming: Naming) -> Path:
    if naming == "base":
        return photograph.with_suffix(".xmp")
    return photograph.with_name(f"{photograph.name}.xmp")


@functools.cache
def _pyexiv2() -> Any:
    try:
        import pyexiv2
    except (ImportError, OSError) as error:  # OSError: without the libraries that it needs
        raise InputError(
            f'Keywords need pyexiv2 ({error}); give: pip install "speciesnet[xmp]".'
        ) from error
    pyexiv2.set_log_level(3)  # errors are raised; warnings would go to standard output
    return pyexiv2


def _change_sidecar(file: Path, keywords: Keywords, dry_run: bool) -> bool:
    """Changes a sidecar; False if there is nothing to change."""
    file = Path(os.path.realpath(file))  # a link stays a link
    old = file.read_bytes().decode("utf-8-sig") if os.path.lexists(file) else None
    new = with_keywords(old, keywords)
    if new is None:
        return False
    if not dry_run and new:
        file.parent.mkdir(parents=True, exist_ok=True)
        body = new[new.index("<x:xmpmeta") : new.rindex(">", 0, new.rindex("<?xpacket")) + 1]
        _replace(file, f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'.encode())
    elif not dry_run:
        file.unlink()  # nobody else wrote anything into it
    return True


def _change_photograph(file: Path, keywords: Keywords, dry_run: bool) -> bool:
    """Changes a photograph; False if there is nothing to change."""
    with _pyexiv2().ImageData(file.read_bytes()) as image:
        if image.get_mime_type() not in EMBEDDABLE:
            raise SkippedFileError("its format takes no keywords; write sidecars, without --embed")
        new = with_keywords(image.read_raw_xmp() or None, keywords)
        if new is None:
            return False
        if not dry_run:
            image.modify_raw_xmp(new)
            _replace(file, image.get_bytes(), is_photograph=True)
    return True


def with_keywords(packet: str | None, keywords: Keywords) -> str | None:
    """An XMP packet with keywords in place of those that this program wrote earlier.

    Earlier ones are known by what lies under ``ROOT``. ``xmp:Label`` is set where there is none, or
    one of these. All else in the packet keeps its value.

    Args:
        packet: RDF/XML; None where there is none yet.
        keywords: None of them takes the earlier ones out.

    Returns:
        The packet, "" if nothing is left in it; None if there is nothing to change.

    Raises:
        RuntimeError, ValueError: The packet is damaged, or cannot be written back as it is.
        InputError: pyexiv2 is not installed.
    """
    if packet is not None and _RDF not in packet:
        raise SkippedFileError("it holds no XMP")
    with _pyexiv2().ImageData(_picture()) as image:
        if packet is not None:
            image.modify_raw_xmp(packet)
        old = image.read_xmp()
        wanted, label = _wanted(old, keywords)
        changed = {key: values for key, values in wanted.items() if values != _list(old, key)}
        if not changed and label == old.get(_LABEL, ""):
            return None
        image.modify_xmp({_LABEL: label or None})
        for key, values in changed.items():
            image.modify_xmp({key: f'type="{_LISTS[key]}"' if values else None})
            image.modify_xmp({f"{key}[{i}]": _text(v) for i, v in enumerate(values, start=1)})
        new = image.read_raw_xmp()
    with _pyexiv2().ImageData(_picture()) as image:
        image.modify_raw_xmp(new)
        found = image.read_xmp()
    if (
        _others(found) != _others(old)
        or found.get(_LABEL, "") != label
        or any(_list(found, key) != values for key, values in wanted.items())
    ):
        raise SkippedFileError("it holds something that cannot be written back as it is")
    return new


@functools.cache
def _picture() -> bytes:
    """A picture to hold a packet: exiv2 would mix what a sidecar says with EXIF and IPTC."""
    stream = io.BytesIO()
    Image.new("L", (1, 1)).save(stream, "PNG")
    return stream.getvalue()


def _wanted(old: Mapping[str, Any], keywords: Keywords) -> tuple[dict[str, list[str]], str]:
    """The three lists and the label as they should be."""
    earlier: set[str] = set()
    others: set[str] = set()
    for key, separator in ((_HIERARCHY, "|"), (_TAGS, "/")):
        for path in _list(old, key):
            parts = path.split(separator)
            if parts[0] == ROOT:
                earlier.add(parts[-1])
            else:
                others.update(parts)
    subject = _list(old, _SUBJECT)
    # Somebody's keyword that is one of ours too: as a path of its own it is known for theirs later.
    theirs = [word for word in keywords.flat if word in subject and word not in earlier | others]
    wanted = {
        _SUBJECT: _replaced(subject, keywords.flat, lambda word: word in earlier - others),
        _HIERARCHY: _replaced(
            _list(old, _HIERARCHY),
            keywords.joined("|") + theirs,
            lambda path: path.split("|")[0] == ROOT,
        ),
        _TAGS: _replaced(
            _list(old, _TAGS), keywords.joined("/"), lambda path: path.split("/")[0] == ROOT
        ),
    }
    label = old.get(_LABEL, "")
    return wanted, keywords.label if label in earlier | {""} else label


def _replaced(old: list[str], new: list[str], is_ours: Callable[[str], bool]) -> list[str]:
    kept = [text for text in old if text in new or not is_ours(text)]
    return kept + [text for text in new if text not in old]


def _list(properties: Mapping[str, Any], key: str) -> list[str]:
    value = properties.get(key, [])
    if isinstance(value, str):
        raise SkippedFileError("its keywords have a form of their own")
    return value


def _others(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in properties.items() if key not in (*_LISTS, _LABEL)}


def _text(word: str) -> str:
    """A word as exiv2 takes it, which reads an attribute at its start."""
    return f"type= {word}" if word.startswith("type=") else word


def _replace(file: Path, data: bytes, is_photograph: bool = False) -> None:
    """Puts a file in another's place, at once or not at all.

    Args:
        file: Its name.
        data: Its content.
        is_photograph: Whether it keeps its dates, and must be safe from a power cut.
    """
    with write_atomically(file, fsync=is_photograph, keep_dates=is_photograph) as part:
        part.write_bytes(data)
