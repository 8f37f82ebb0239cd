"""Taxa at a rank, and the labels that people write for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from speciesnet.constants import Classification, Detection
from speciesnet.ensemble.geofence.species_list import lineage, nearest_names, plain_name
from speciesnet.ensemble.taxonomy import (
    BLANK,
    LABEL_PARTS,
    LEVELS,
    UNKNOWN,
    category_of,
    split_label,
    taxon_names,
)

Rank = Literal["species", "genus", "family", "order", "class"]
RANKS: tuple[Rank, ...] = ("species", "genus", "family", "order", "class")
ANIMAL = Detection.ANIMAL.value
NO_ANSWER = "no answer"  # the category of a failure

# Words that people use for labels that are not taxa; all in lower case.
_WORDS = {
    Classification.BLANK: (
        "blank", "empty", "nothing", "none", "no animal", "no animals", "false trigger",
    ),
    Classification.HUMAN: ("human", "humans", "person", "people", "homo sapiens", "homo"),
    Classification.VEHICLE: ("vehicle", "vehicles", "car"),
    Classification.ANIMAL: ("animal", "animals", "unknown animal", "animalia"),
    Classification.UNKNOWN: (
        "unknown", "unidentified", "unidentifiable", "undetermined", "unclear", "no cv result",
    ),
}  # fmt: skip


class Taxon(NamedTuple):
    """What a label means at a rank; equal labels of two models are equal taxa.

    Attributes:
        category: ``animal``, ``human``, ``vehicle``, ``blank``, ``unknown`` or ``no answer``.
        names: The names of an animal from the class down, as far as they are known and not below the
            rank.
    """

    category: str
    names: tuple[str, ...] = ()

    def contains(self, other: Taxon) -> bool:
        """Whether another taxon is this one or below it; "animal" contains every animal.

        Examples:
            >>> Taxon("animal", ("aves",)).contains(Taxon("animal", ("aves", "passeriformes")))
            True
        """
        same = self.category == other.category
        return same and other.names[: len(self.names)] == self.names


def taxon_of(label: str | None, rank: Rank = "species") -> Taxon:
    """The taxon of a label; a taxon below the rank becomes the one at this rank.

    Args:
        label: A label, or None for an image without an answer.
        rank: One of ``RANKS``.

    Examples:
        >>> taxon_of("0;mammalia;carnivora;canidae;vulpes;vulpes;red fox", "family").names
        ('mammalia', 'carnivora', 'canidae')
    """
    if label is None:
        return Taxon(NO_ANSWER)
    category = category_of(label)
    if category != ANIMAL:
        return Taxon(category)
    names = taxon_names(label)
    if not names and (name := split_label(label).name.lower()) != ANIMAL:
        names = (name,)  # a label of another program
    return Taxon(category, names[: LEVELS[rank]])


class TaxonNames:
    """The names of the taxa of a survey for people: common names where there are any.

    Args:
        labels: The labels of the model.
    """

    def __init__(self, labels: Iterable[str]) -> None:
        self._names = {
            taxon: name
            for label in labels
            if (name := split_label(label).common_name) and (taxon := taxon_of(label)).names
        }

    def of(self, taxon: Taxon) -> str:
        """The common name of a taxon, or its Latin name, or its category."""
        if not taxon.names:
            return taxon.category
        if taxon in self._names:
            return self._names[taxon]
        *above, last = taxon.names
        is_species = len(taxon.names) == LEVELS["species"]
        return (f"{above[-1]} {last}" if is_species else last).capitalize()


class KnownLabels:
    """Finds the label that people mean by a label, a common name, or a Latin name of any rank.

    Args:
        labels: The labels of the model.

    Examples:
        >>> known = KnownLabels(["0;mammalia;carnivora;canidae;vulpes;vulpes;red fox"])
        >>> known.find("Vulpes vulpes") == known.find("Red Fox")
        True
        >>> known.find("canidae")
        ';mammalia;carnivora;canidae;;;'
        >>> known.near("vulpes vulpe")
        ['red fox', 'Vulpes']
    """

    def __init__(self, labels: Iterable[str]) -> None:
        self._labels: dict[str, str] = {}
        common: dict[str, set[str]] = {}
        above: dict[str, str] = {}
        for label in dict.fromkeys(labels):
            if label.count(";") != LABEL_PARTS - 1 or not taxon_of(label).names:
                if label.count(";") != LABEL_PARTS - 1:
                    self._labels.setdefault(plain_name(label), label)
                continue
            common.setdefault(split_label(label).common_name.lower(), set()).add(label)
            for number, name in enumerate(lineage(label)):
                (above if number else self._labels).setdefault(name, _cut(label, number))
        self._labels = above | self._labels
        for name, meant in common.items():
            if name and len(meant) == 1:
                self._labels.setdefault(name, *meant)
        for label, words in _WORDS.items():
            self._labels |= dict.fromkeys(words, label.value)

    def find(self, written: str) -> str | None:
        """The label that people mean, or None if none is known; ``UNKNOWN`` for "unidentified"."""
        if written.count(";") == LABEL_PARTS - 1:
            if category_of(written) != ANIMAL or not (names := lineage(written)):
                return written
            return self._labels.get(names[0])
        return self._labels.get(plain_name(written))

    def near(self, written: str) -> list[str]:
        """Names of labels that people may mean, the likeliest first; at most four."""
        candidates = {name: _shown(label, name) for name, label in self._labels.items()}
        return nearest_names(plain_name(written), candidates)


def is_undetermined(label: str) -> bool:
    """Whether a person could not tell what is in a photograph."""
    return category_of(label) == UNKNOWN


def is_blank_label(label: str) -> bool:
    """Whether nothing is in a photograph."""
    return category_of(label) == BLANK


def _shown(label: str, name: str) -> str:
    return split_label(label).common_name or name.capitalize()


def _cut(label: str, ranks: int) -> str:
    """The label of the taxon a number of ranks above that of another label."""
    if not ranks:
        return label
    parts = split_label(label)
    kept = [parts.class_, parts.order, parts.family, parts.genus, parts.species]
    words = kept[4].split()
    for _ in range(ranks):
        if len(words) > 1:
            words.pop()
            kept[4] = " ".join(words)
            continue
        last = max(position for position, name in enumerate(kept) if name)
        kept[last], words = "", []
    return ";".join(["", *kept, ""])
