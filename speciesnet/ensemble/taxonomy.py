"""Labels, their taxonomy, and the ancestors that a label can be rolled up to."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from speciesnet.constants import Classification, Detection
from speciesnet.errors import ModelError
from speciesnet.files.packages.info import ModelInfo

# Number of taxonomic parts of a label that an ancestor at each level keeps.
LEVELS = {"kingdom": 0, "class": 1, "order": 2, "family": 3, "genus": 4, "species": 5}
# Those of the published ensemble (v4.0.0).
ROLL_UP_LEVELS = ("genus", "family", "order", "class", "kingdom")
ROLL_UP_THRESHOLD = 0.65  # for the summed scores
GEOFENCE_ROLL_UP_LEVELS = ("family", "order", "class", "kingdom")

LABEL_PARTS = 7
LABEL_FORM = "uuid;class;order;family;genus;species;common name"
ANIMAL_KEY = ";;;;"

# Categories of answers that are not categories of detections.
UNKNOWN = "unknown"
BLANK = "blank"
_NAMED_CATEGORIES = (*(kind.value for kind in Detection), BLANK)

_NOT_TAXA = {Classification.BLANK, Classification.VEHICLE, Classification.UNKNOWN}


class Label(NamedTuple):
    """The parts of a label; parts that are unknown or do not apply are empty."""

    uuid: str = ""
    class_: str = ""
    order: str = ""
    family: str = ""
    genus: str = ""
    species: str = ""
    common_name: str = ""

    @property
    def _epithets(self) -> str:
        """The second part of a binomial, or the last two of a trinomial."""
        return self.species.removeprefix(f"{self.genus[0]}. ")  # some are "u. arctos"

    @property
    def scientific_name(self) -> str:
        """The name of a species or subspecies, otherwise the name of the lowest known level."""
        if self.genus and self.species:
            return f"{self.genus} {self._epithets}".capitalize()
        ranks = (self.genus, self.family, self.order, self.class_)
        return next((name.capitalize() for name in ranks if name), "")

    @property
    def name(self) -> str:
        """The common name, otherwise the scientific one."""
        return self.common_name or self.scientific_name

    @property
    def rank(self) -> str:
        """The level of the scientific name, or "" if there is none."""
        if self.genus and self.species:
            return "subspecies" if " " in self._epithets else "species"
        ranks = {"genus": self.genus, "family": self.family, "order": self.order}
        return next((rank for rank, name in (ranks | {"class": self.class_}).items() if name), "")


def split_label(label: str) -> Label:
    """Splits a label into its parts; text without seven parts is a common name.

    The label of an image without any answer has the same words in every part; only its identifier and
    its common name are kept.

    Examples:
        >>> split_label("0;mammalia;carnivora;canidae;vulpes;vulpes;red fox").scientific_name
        'Vulpes vulpes'
    """
    if label == Classification.UNKNOWN:
        uuid, *_, name = label.split(";")
        return Label(uuid, common_name=name)
    parts = label.split(";")
    return Label(*parts) if len(parts) == LABEL_PARTS else Label(common_name=label)


def category_of(label: str) -> str:
    """The category of a label: ``animal``, ``human``, ``vehicle``, ``blank`` or ``unknown``."""
    if label == Classification.UNKNOWN:
        return UNKNOWN
    parts = split_label(label)
    if parts.genus == "homo":
        return Detection.HUMAN.value
    name = parts.common_name.lower()
    return name if name in _NAMED_CATEGORIES else Detection.ANIMAL.value


def species_name(label: str) -> str:
    """The common and the scientific name of a label, if it has them.

    Examples:
        >>> species_name("0;mammalia;carnivora;canidae;vulpes;vulpes;red fox")
        'red fox (Vulpes vulpes)'
    """
    if label == Classification.UNKNOWN:
        return UNKNOWN
    parts = split_label(label)
    common, scientific = parts.common_name, parts.scientific_name
    if not common or not scientific or common.lower() == scientific.lower():
        return common or scientific or UNKNOWN
    return f"{common} ({scientific})"


@functools.lru_cache(2**16)  # the sequences of a survey show the same few hundred labels
def is_ancestor(label: str, other: str) -> bool:
    """Whether a label's taxon is above that of another label; "animal" is above every animal.

    Examples:
        >>> fox = "0;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
        >>> is_ancestor("1;mammalia;carnivora;canidae;;;canine family", fox)
        True
    """
    if label == other or category_of(label) != category_of(other):
        return False
    names, lower = taxon_names(label), taxon_names(other)
    return len(names) < len(lower) and lower[: len(names)] == names


def taxon_names(label: str) -> tuple[str, ...]:
    """The names of a label from the class to the subspecies, without empty ones at the end.

    Examples:
        >>> taxon_names("1;mammalia;carnivora;canidae;;;canine family")
        ('mammalia', 'carnivora', 'canidae')
    """
    parts = split_label(label)
    names = [parts.class_, parts.order, parts.family, parts.genus, *parts.species.split()]
    while names and not names[-1]:
        names.pop()
    return tuple(names)


def taxonomy_key(label: str) -> str:
    """The part ``class;order;family;genus;species`` of a label.

    Raises:
        ValueError: The label is malformed.
    """
    parts = label.split(";")
    if len(parts) != LABEL_PARTS:
        raise ValueError(f"Label {label!r} has {len(parts)} parts instead of {LABEL_PARTS}.")
    return ";".join(parts[1:6])


def build_taxonomy_map(labels: Iterable[str]) -> dict[str, str]:
    """Maps ``class;order;family;genus;species`` to the label, for all taxa that a roll-up may return."""
    taxonomy_map = {taxonomy_key(label): label for label in labels if label not in _NOT_TAXA}
    for label in (Classification.HUMAN, Classification.ANIMAL):
        taxonomy_map[taxonomy_key(label.value)] = label.value
    return taxonomy_map


def load_taxonomy(model_info: ModelInfo) -> dict[str, str]:
    """The taxonomy of a package, mapped by ``build_taxonomy_map``; raises ``ModelError``."""
    try:
        return build_taxonomy_map(model_info.read_lines("taxonomy"))
    except ValueError as error:
        raise ModelError(f"The taxonomy {model_info.taxonomy} is malformed: {error}") from error


def get_ancestor_at_level(
    label: str, taxonomy_level: str, taxonomy_map: Mapping[str, str]
) -> str | None:
    """The label's ancestor at a level, or None if the taxonomy has none.

    Args:
        label: A label of seven parts.
        taxonomy_level: One of ``LEVELS``.
        taxonomy_map: From ``class;order;family;genus;species`` to labels.

    Raises:
        ValueError: The label is malformed, or the level is unknown.

    Examples:
        >>> fox = "0;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
        >>> dogs = "1;mammalia;carnivora;canidae;;;canine family"
        >>> get_ancestor_at_level(fox, "family", build_taxonomy_map([fox, dogs]))
        '1;mammalia;carnivora;canidae;;;canine family'
    """
    if taxonomy_level not in LEVELS:
        raise ValueError(f"Taxonomy level {taxonomy_level!r} is not one of {', '.join(LEVELS)}.")
    key = taxonomy_key(label)
    depth = LEVELS[taxonomy_level]
    if depth == 0:
        is_animal = key.split(";")[0] != "" or label == Classification.ANIMAL
        return taxonomy_map.get(ANIMAL_KEY) if is_animal else None
    parts = key.split(";")
    if not parts[depth - 1]:
        return None
    return taxonomy_map.get(";".join(parts[:depth] + [""] * (5 - depth)))
