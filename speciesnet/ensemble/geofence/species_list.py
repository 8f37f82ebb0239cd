"""A species list: the taxa that can occur at one site, read from a file."""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from speciesnet.constants import Detection
from speciesnet.ensemble.taxonomy import BLANK, LABEL_PARTS, category_of, split_label
from speciesnet.errors import InputError
from speciesnet.files.input_notes import counted
from speciesnet.files.storage import read_text

# Names of the column with the Latin names, in lower case and without separators.
_HEADERS = ("latin", "latinname", "scientificname", "species", "taxon", "label")
_ALWAYS_POSSIBLE = (*(kind.value for kind in Detection), BLANK, "homo", "homo sapiens")
_NO_SPECIES = re.compile(r"(\w+) spp?\.?")  # "Vulpes sp." is a genus
# Names that differ between the publisher's packages.
_RENAMED = (("cetartiodactyla", "artiodactyla"), ("emys marmorata", "actinemys marmorata"))
_QUOTES = "\"'\u201c\u201d\u2018\u2019"
_SIMILAR = 0.75  # the similarity of two names, as difflib measures it
_REPORTED_LINES = 5


def lineage(label: str) -> list[str]:
    """The names of a label's taxon and its ancestors in lower case, starting with the lowest.

    A subspecies is below its species. Labels that are not taxa, such as ``animal``, have no names.

    Examples:
        >>> lineage("0;mammalia;carnivora;canidae;canis;lupus dingo;dingo")
        ['canis lupus dingo', 'canis lupus', 'canis', 'canidae', 'carnivora', 'mammalia']
    """
    parts = split_label(label)
    names = [part for part in (parts.genus, parts.family, parts.order, parts.class_) if part]
    if parts.genus and parts.species:
        words = parts.scientific_name.split()
        names[:0] = [" ".join(words[:count]) for count in range(len(words), 1, -1)]
    return [name.lower() for name in names]


@dataclass(frozen=True)
class SpeciesList:
    """The taxa that can occur at a site.

    A listed taxon implies its ancestors and everything below it. Taxa are compared by name, because
    taxonomies contain some families under two orders. A family therefore has the ancestors of all its
    entries.

    Attributes:
        names: The listed taxa of any rank, in lower case: one, two or three words each.
        labels: The labels of the model, from which the ancestors of the taxa are known.
        fill: Whether a group with a single listed taxon below it becomes that taxon.

    Examples:
        >>> fox = "0;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
        >>> dogs = "1;mammalia;carnivora;canidae;;;canine family"
        >>> coyote = "2;mammalia;carnivora;canidae;canis;latrans;coyote"
        >>> site = SpeciesList(("vulpes vulpes",), (fox, dogs, coyote))
        >>> [site.implies(label) for label in (fox, dogs, coyote)]
        [True, True, False]
    """

    names: tuple[str, ...]
    labels: tuple[str, ...] = ()
    fill: bool = False

    @property
    def listed_labels(self) -> list[str]:
        """The labels of the listed taxa that have their own label."""
        return [self._labels_by_name[name] for name in self.names if name in self._labels_by_name]

    @cached_property
    def _listed(self) -> frozenset[str]:
        return frozenset(self.names)

    @cached_property
    def _parents(self) -> Mapping[str, set[str]]:
        parents: dict[str, set[str]] = {}
        for label in self.labels:
            for name, parent in pairwise(lineage(label)):
                parents.setdefault(name, set()).add(parent)
        return parents

    @cached_property
    def _implied(self) -> set[str]:
        return self._with_ancestors(self.names)

    @cached_property
    def _labels_by_name(self) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for label in self.labels:
            for name in lineage(label)[:1]:
                found.setdefault(name, label)
        return found

    @cached_property
    def _members(self) -> Mapping[str, set[str]]:
        """For each implied group, the listed taxa below it that are not below another listed taxon."""
        members: dict[str, set[str]] = {}
        for name in self._listed:
            ancestors = self._with_ancestors([name]) - {name}
            if ancestors.isdisjoint(self._listed):
                for ancestor in ancestors:
                    members.setdefault(ancestor, set()).add(name)
        return members

    def _with_ancestors(self, names: Iterable[str]) -> set[str]:
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting.extend(self._parents.get(name, ()))
        return found

    def _covers(self, names: Iterable[str]) -> bool:
        """Whether any of these taxa or their ancestors is listed."""
        return not self._with_ancestors(names).isdisjoint(self._listed)

    def implies(self, label: str) -> bool:
        """Whether an answer is compatible with the list; answers that are not animals always are."""
        names = lineage(label)
        if not names or category_of(label) != Detection.ANIMAL:
            return True
        return names[0] in self._implied or self._covers(names)

    def only_member(self, label: str) -> str | None:
        """The label of the only listed taxon below a group.

        None for a group that is itself listed or below a listed taxon, for a group with several
        listed taxa, and for ``animal``.
        """
        names = lineage(label)
        if not names or category_of(label) != Detection.ANIMAL or self._covers(names):
            return None
        members = self._members.get(names[0], ())
        return self._labels_by_name.get(*members) if len(members) == 1 else None


def read_species_list(path: str, labels: Iterable[str], *, fill: bool = False) -> SpeciesList:
    """Reads the species list of a site.

    Each line of the file is a label of seven parts, or a row of a table whose first column, or the one
    that the header names, is a Latin name of one, two or three words. Other columns, empty lines,
    comments after ``#``, and labels of people, vehicles, blank images and ``animal`` are ignored.

    Args:
        path: Path or URL of the file, in UTF-8.
        labels: The labels of the model's taxonomy and classes.
        fill: See ``SpeciesList``.

    Raises:
        InputError: The file cannot be read, contains no taxa, or names one that the model does not
            have.
    """
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"The species list {path} cannot be read ({reason}); it must be UTF-8 text or CSV with "
            "one Latin name per line."
        ) from error
    labels = tuple(labels)
    known = {name: name for label in labels for name in lineage(label)}
    names: set[str] = set()
    unknown: list[tuple[int, str]] = []
    for number, written in _rows(text):
        name = plain_name(written)
        if name in _ALWAYS_POSSIBLE:
            continue
        if name in known:
            names.add(name)
        else:
            unknown.append((number, written))
    if unknown:
        raise InputError(_refusal(path, unknown, labels, known))
    if not names:
        raise InputError(
            f"The species list {path} contains no animal. Give a Latin name on each line."
        )
    return SpeciesList(tuple(sorted(names)), labels, fill)


def _rows(text: str) -> Iterator[tuple[int, str]]:
    """Yields the number and the Latin name, as written, of each line that has content."""
    column, delimiter, is_first = 0, None, True
    for number, line in enumerate(text.split("\n"), start=1):
        content = line.partition("#")[0].strip()
        if not content.strip(f" \t,;{_QUOTES}"):
            continue
        fields = _fields(content, delimiter)
        if is_first:
            is_first = False
            headers = [re.sub(r"[\s_-]", "", field).lower() for field in fields]
            if named := [header for header in _HEADERS if header in headers]:
                column = headers.index(named[0])
                delimiter = _delimiter_of(content)
                continue
        yield number, fields[column] if column < len(fields) else ""


def _fields(line: str, delimiter: str | None) -> list[str]:
    bare = line.strip(_QUOTES)
    if delimiter is None and bare.count(";") == LABEL_PARTS - 1:
        return [bare]
    try:
        row = next(csv.reader([line], delimiter=delimiter or _delimiter_of(line)))
    except csv.Error:  # a NUL byte, or a field of megabytes
        return [line]
    return [field.strip().strip(_QUOTES).strip() for field in row]


def _delimiter_of(line: str) -> str:
    """The character after the first field, which may be quoted."""
    start = line.find('"', 1) if line.startswith('"') else 0
    return next((char for char in line[max(start, 0) :] if char in ",;\t"), ",")


def plain_name(written: str) -> str:
    """The name of a taxon in lower case with single spaces; for a label, its lowest taxon."""
    if written.count(";") == LABEL_PARTS - 1:
        label = written.lower()
        if category_of(label) != Detection.ANIMAL:
            return BLANK
        return next(iter(lineage(label)), Detection.ANIMAL.value)
    name = " ".join(written.replace("_", " ").split()).lower()
    group = _NO_SPECIES.fullmatch(name)
    return group[1] if group else name


def _refusal(
    path: str, unknown: list[tuple[int, str]], labels: Iterable[str], known: Mapping[str, str]
) -> str:
    candidates = dict(known)
    for label in labels:
        candidates |= {split_label(label).common_name.lower(): n for n in lineage(label)[:1]}
    for pair in _RENAMED:
        candidates |= {old: new for old, new in (pair, pair[::-1]) if new in known}
    faults = []
    for number, written in unknown[:_REPORTED_LINES]:
        if not written:
            faults.append(f"line {number} has no Latin name")
            continue
        near = [name.capitalize() for name in nearest_names(plain_name(written), candidates)]
        guess = f" (perhaps {' or '.join(near)})" if near else ""
        faults.append(f"line {number}, {written!r}, is not in the taxonomy of the model{guess}")
    if more := len(unknown) - len(faults):
        faults.append(f"and {counted(more, 'more line')}")
    return (
        f"The species list {path} cannot be used: {'; '.join(faults)}. Correct these lines, give the "
        "genus or the family instead, or remove them."
    )


def nearest_names(name: str, candidates: Mapping[str, str]) -> list[str]:
    """Up to four likely names: the new name, the most similar ones, the species and the genus.

    Args:
        name: A name that is not known, as ``plain_name`` returns it.
        candidates: From known names, and other names for them, to what is to be proposed.
    """
    words = name.split()
    similar = difflib.get_close_matches(name, candidates, n=2, cutoff=_SIMILAR)
    above = [" ".join(words[:count]) for count in range(len(words) - 1, 0, -1)]
    found = [candidates[near] for near in (name, *similar, *above) if near in candidates]
    return list(dict.fromkeys(found))[:4]
