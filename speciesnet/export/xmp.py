"""Keywords for Lightroom, digiKam and other catalogs: XMP in sidecars or in the photographs."""

from __future__ import annotations

import errno
import functools
import io
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from absl import logging
from PIL import Image

from speciesnet.constants import Classification, Detection
from speciesnet.ensemble.taxonomy import category_of, split_label
from speciesnet.errors import InputError, OutputError, SkippedFileError
from speciesnet.export.files import Results
from speciesnet.files.atomic import write_atomically
from speciesnet.files.moved_photographs import Photographs
from speciesnet.files.paths import common_folder, path_below
from speciesnet.records import Record, answer_of, record_errors
from speciesnet.records.failures import is_failed
from speciesnet.survey.counts import has_box_answers
from speciesnet.survey.individuals import DETECTOR, individuals_of
from speciesnet.survey.people import PERSON, people_in, vehicles_in

Naming = Literal["full", "base"]

ROOT = "SpeciesNet"  # the parent of all keywords of this program
EMBEDDABLE = ("image/jpeg", "image/png", "image/tiff", "image/webp")

_SUBJECT = "Xmp.dc.subject"
_HIERARCHY = "Xmp.lr.hierarchicalSubject"
_TAGS = "Xmp.digiKam.TagsList"
_LABEL = "Xmp.xmp.Label"
_IPTC_KEYWORDS = "Iptc.Application2.Keywords"
_LISTS = {_SUBJECT: "Bag", _HIERARCHY: "Bag", _TAGS: "Seq"}
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"

# Separators of the two trees, and characters that XML cannot contain.
_NO_KEYWORD = re.compile("[/|\\\\\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]+")
# Errors that would occur for every other file as well.
_FULL = {errno.ENOSPC, errno.EROFS, getattr(errno, "EDQUOT", errno.ENOSPC)}


@dataclass(frozen=True)
class Keywords:
    """The keywords of one photograph.

    Attributes:
        paths: Keywords with their parents, below ``ROOT``; the most specific first.
        label: The value of ``xmp:Label``, or "".
    """

    paths: tuple[tuple[str, ...], ...] = ()
    label: str = ""

    @property
    def flat(self) -> list[str]:
        """The keywords without their parents."""
        return list(dict.fromkeys(path[-1] for path in self.paths))

    def joined(self, separator: str) -> list[str]:
        """The keywords with their parents, from ``ROOT``."""
        return [separator.join((ROOT, *path)) for path in self.paths]


@functools.lru_cache(maxsize=10_000)  # keeps the keywords of each label in memory once
def keywords_of_label(label: str) -> Keywords:
    """The common name, the scientific name and the category of a label, each with its parents.

    The label of an image without any answer has no keywords.

    Examples:
        >>> fox = keywords_of_label("u;mammalia;carnivora;canidae;vulpes;vulpes;red fox")
        >>> fox.flat
        ['Red fox', 'Vulpes vulpes', 'animal']
        >>> fox.joined("|")[0]
        'SpeciesNet|Mammalia|Carnivora|Canidae|Vulpes|Red fox'
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
        paths.append((*taxa, scientific) if "species" in parts.rank else taxa)
    paths.append((category,))
    return Keywords(tuple(dict.fromkeys(paths)), common)


def _keyword(text: str) -> str:
    return " ".join(_NO_KEYWORD.sub("-", text).split())


@dataclass(frozen=True, slots=True)
class KeywordTask:
    """The keywords to write for one photograph.

    Attributes:
        filepath: The path in the predictions.
        keywords: The keywords; empty removes earlier ones, and None changes nothing.
    """

    filepath: str
    keywords: Keywords | None


def keyword_tasks(records: Iterable[Record], min_score: float = 0.0) -> list[KeywordTask]:
    """The keywords to write for records from any run.

    Failed images get None, as do images with neither an answer nor people or vehicles. Answers below
    ``min_score`` get no keywords. All images that show people or vehicles get ``person`` or
    ``vehicle``. If boxes have their own answers, all of these answers become keywords.

    Raises:
        InputError: A record is malformed.
    """
    return [KeywordTask(record["filepath"], _keywords_of(record, min_score)) for record in records]


def _keywords_of(record: Record, min_score: float) -> Keywords | None:
    with record_errors(record):
        if is_failed(record):
            return None
        answers = _answers(record)
        counted = tuple(label for label, score in answers.items() if score >= min_score)
        is_human = any(category_of(label) == Detection.HUMAN for label in counted)
        shown = (PERSON,) if is_human or people_in(record) else ()
        if vehicles_in(record):
            shown += (Detection.VEHICLE.value,)
        keywords = _keywords_for(counted, shown)
        return keywords if keywords.paths or len(counted) < len(answers) else None


def _answers(record: Record) -> dict[str, float]:
    """The answer for an image and its score, or those for its boxes if they have their own."""
    label, score, _ = answer_of(record)
    if has_box_answers(record):
        found = {o.label: o.score for o in individuals_of(record) if o.source != DETECTOR}
        if found:
            return found
    return {} if label is None else {label: score}


@functools.lru_cache(maxsize=10_000)
def _keywords_for(labels: tuple[str, ...], shown: tuple[str, ...]) -> Keywords:
    """The keywords of labels, and those for the people and vehicles in the image."""
    found = [keywords_of_label(label) for label in labels]
    paths = [path for keywords in found for path in keywords.paths]
    unique = dict.fromkeys([*paths, *((word,) for word in shown)])
    return Keywords(tuple(unique), found[0].label if found else "")


def write_keywords(
    tasks: list[KeywordTask],
    photographs: Photographs,
    *,
    naming: Naming = "full",
    out: str | os.PathLike[str] | None = None,
    embed: bool = False,
    dry_run: bool = False,
    report: Callable[[Path, Keywords], None] | None = None,
) -> Results:
    """Writes keywords to sidecars or into photographs, one file at a time, each atomically.

    Earlier keywords of this program are replaced; everything else in a file stays unchanged.

    Args:
        tasks: The keywords of all photographs.
        photographs: Finds the photographs.
        naming: The names of sidecars: ``IMG_1.jpg.xmp`` ("full") or ``IMG_1.xmp`` ("base").
        out: A folder for the sidecars, with the subfolders that the photographs have below their common
            folder; None writes sidecars next to the photographs.
        embed: Whether to write into the photographs instead, keeping their dates.
        dry_run: Whether to only count and report.
        report: Called with each file that is (or would be) written, and its keywords.

    Raises:
        InputError: There are photographs in the predictions, but none is found; or pyexiv2 is not
            installed.
        OutputError: The disk is full.
    """
    _pyexiv2()
    change = _change_photograph if embed else _change_sidecar
    common = common_folder(task.filepath for task in tasks) if out is not None else ()
    results = Results()
    owners: dict[Path, Path] = {}
    for task, photograph in results.located(tasks, photographs):
        if task.keywords is None:
            results.without_answer += 1
            continue
        stem = photograph if out is None else Path(out, *path_below(task.filepath, common))
        file = Path(os.path.realpath(photograph)) if embed else _sidecar(stem, naming)
        try:
            if naming == "base" and not embed and owners.setdefault(file, photograph) != photograph:
                raise SkippedFileError(
                    f"it is the sidecar of {owners[file].name}; use --naming full"
                )
            is_changed = change(file, task.keywords, dry_run)
        except (OSError, RuntimeError, ValueError) as error:  # exiv2 raises the latter two
            results.skipped.append((str(file), _reason(file, error)))
            continue
        results.done += is_changed
        results.unchanged += not is_changed
        if is_changed and report is not None:
            report(file, task.keywords)
    return results


def _reason(file: Path, error: Exception) -> str:
    """Why a file is skipped; raises ``OutputError`` if every other file would fail as well."""
    if isinstance(error, OSError) and error.errno in _FULL:
        raise OutputError(
            f"{file} cannot be written ({error.strerror or error}). Fix the cause and run the same "
            "command again; no file is incomplete."
        ) from error
    reason = error.strerror if isinstance(error, OSError) else None
    reason = reason or " ".join(str(error).split())
    logging.warning("%s is skipped: %s.", file, reason)
    return reason


def _sidecar(photograph: Path, naming: Naming) -> Path:
    if naming == "base":
        return photograph.with_suffix(".xmp")
    return photograph.with_name(f"{photograph.name}.xmp")


@functools.cache
def _pyexiv2() -> Any:
    try:
        import pyexiv2
    except (ImportError, OSError) as error:  # OSError: a library is missing
        raise InputError(
            f'Keywords need pyexiv2 ({error}): pip install "speciesnet[xmp]".'
        ) from error
    pyexiv2.set_log_level(3)  # errors are raised; warnings would be printed
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
        file.unlink()  # it contained only our keywords
    return True


def _change_photograph(file: Path, keywords: Keywords, dry_run: bool) -> bool:
    """Changes a photograph; False if there is nothing to change."""
    with _pyexiv2().ImageData(file.read_bytes()) as image:
        if image.get_mime_type() not in EMBEDDABLE:
            raise SkippedFileError(
                "its format cannot contain keywords; write sidecars, without --embed"
            )
        new = with_keywords(image.read_raw_xmp() or None, keywords, _iptc_keywords(image))
        if new is None:
            return False
        if not dry_run:
            image.modify_raw_xmp(new)
            _replace(file, image.get_bytes(), is_photograph=True)
    return True


def _iptc_keywords(image: Any) -> list[str]:
    """The IPTC keywords of a photograph, which readers ignore if there are any in XMP."""
    try:
        found = image.read_iptc()
    except UnicodeDecodeError:
        found = image.read_iptc("latin-1")
    values = found.get(_IPTC_KEYWORDS, [])
    return [values] if isinstance(values, str) else list(values)


def with_keywords(packet: str | None, keywords: Keywords, iptc: Sequence[str] = ()) -> str | None:
    """Replaces the keywords of this program in an XMP packet.

    Earlier ones are recognized by their parent ``ROOT``. ``xmp:Label`` is set if there is none, or if it
    is an earlier keyword. Everything else in the packet keeps its value.

    Args:
        packet: RDF/XML, or None if there is no packet yet.
        keywords: The new keywords; none removes the earlier ones.
        iptc: The photograph's IPTC keywords. If ``dc:subject`` has no keywords except ours, they are
            put first in it, because it takes precedence over them by the guidelines of the Metadata
            Working Group.

    Returns:
        The packet, "" if it would be empty, or None if nothing changes.

    Raises:
        RuntimeError, ValueError: The packet is damaged, or cannot be written back unchanged.
        InputError: pyexiv2 is not installed.
    """
    if packet is not None and _RDF not in packet:
        raise SkippedFileError("it contains no XMP")
    with _pyexiv2().ImageData(_picture()) as image:
        if packet is not None:
            image.modify_raw_xmp(packet)
        old = image.read_xmp()
        wanted, label = _wanted(old, keywords, iptc)
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
        raise SkippedFileError("it contains something that cannot be written back unchanged")
    return new


@functools.cache
def _picture() -> bytes:
    """A picture for a packet: in a sidecar, exiv2 would mix it with EXIF and IPTC."""
    stream = io.BytesIO()
    Image.new("L", (1, 1)).save(stream, "PNG")
    return stream.getvalue()


def _wanted(
    old: Mapping[str, Any], keywords: Keywords, iptc: Sequence[str]
) -> tuple[dict[str, list[str]], str]:
    """The new values of the three lists and the label."""
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
    if keywords.paths and set(subject) <= earlier - others:
        subject = list(dict.fromkeys([*iptc, *subject]))
    # Another program's keyword that equals one of ours gets its own path: later runs keep it.
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
        raise SkippedFileError("its keywords are not a list")
    return value


def _others(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in properties.items() if key not in (*_LISTS, _LABEL)}


def _text(word: str) -> str:
    """Escapes a word for exiv2, which would read ``type=`` at its start as an attribute."""
    return f"type= {word}" if word.startswith("type=") else word


def _replace(file: Path, data: bytes, is_photograph: bool = False) -> None:
    """Replaces a file atomically; a photograph keeps its dates and is flushed to disk."""
    with write_atomically(file, fsync=is_photograph, keep_dates=is_photograph) as part:
        part.write_bytes(data)
