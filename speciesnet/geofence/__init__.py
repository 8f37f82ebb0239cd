"""Where taxa occur, and what to answer instead of a taxon that does not occur at a place."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from absl import logging

from speciesnet.constants import Classification
from speciesnet.errors import ModelError
from speciesnet.files.input_notes import counted, plural
from speciesnet.geofence.species_list import SpeciesList
from speciesnet.geolocation import country_name
from speciesnet.packages.info import ModelInfo
from speciesnet.taxonomy import (
    GEOFENCE_ROLL_UP_LEVELS,
    ROLL_UP_LEVELS,
    build_taxonomy_map,
    get_ancestor_at_level,
    split_label,
    taxonomy_key,
)

# "class;order;family;genus;species" -> "allow" or "block" -> country -> regions ([]: all of it).
GeofenceMap = Mapping[str, Mapping[str, Mapping[str, Sequence[str]]]]
Answer = tuple[str, float, str]  # label, score in [0, 1], source


_NOT_COVERED = (
    "Look out for species that do not live there, or add the country to the geofence of the model."
)


class CountryList:
    """The countries that a geofence covers: those named in any of its rules.

    A country that no rule names is assumed to be missing from the list, not to have no animals, so it
    is not geofenced. A geofence without rules covers every country.

    Args:
        geofence_map: The geofence rules.

    Examples:
        >>> rules = {"mammalia;carnivora;canidae;vulpes;vulpes": {"allow": {"ALB": [], "SRB": []}}}
        >>> CountryList(rules).covers("ALB")
        True
    """

    def __init__(self, geofence_map: GeofenceMap) -> None:
        self.geofence_map = geofence_map
        self._names = frozenset(
            country
            for rules in geofence_map.values()
            for countries in rules.values()
            for country in countries
        )
        self._warned: set[str] = set()

    def covers(self, country: str | None) -> bool:
        """Whether a country can be geofenced; warns once about each country that cannot be.

        Args:
            country: ISO 3166-1 alpha-3 code, or None for no country.
        """
        if not country or not self._names or country in self._names:
            return True
        if country not in self._warned:
            self._warned.add(country)
            logging.warning(
                "%s",
                f"The geofence of the model does not contain {country_name(country)} ({country}): images "
                f"from there are not geofenced. {_NOT_COVERED}",
            )
        return False

    def notes(self, images: Mapping[str, int]) -> list[str]:
        """A sentence for each country that cannot be geofenced.

        Args:
            images: The number of images by country, ISO 3166-1 alpha-3 codes.
        """
        return [
            f"{counted(count, 'image')} from {country_name(country)} ({country}) "
            f"{plural(count, 'is', 'are')} not geofenced, because the "
            f"geofence of the model does not contain it. {_NOT_COVERED}"
            for country, count in images.items()
            if self._names and country not in self._names
        ]


@dataclass(frozen=True)
class Rules:
    """The taxonomy and the geofence of a model package, and the species list of a site.

    Attributes:
        taxonomy_map: From ``class;order;family;genus;species`` to labels.
        geofence_map: The geofence rules by ``class;order;family;genus;species``.
        enable_geofence: Whether the geofence rules apply.
        species_list: The taxa that can occur at the site; None means all.
        enforce_thresholds: Replaces an answer that is below the threshold of its species; None keeps all.
    """

    taxonomy_map: Mapping[str, str] = field(default_factory=lambda: build_taxonomy_map([]))
    geofence_map: GeofenceMap = field(default_factory=dict)
    enable_geofence: bool = True
    species_list: SpeciesList | None = None
    enforce_thresholds: Callable[[Answer], Answer] | None = None

    @cached_property
    def countries(self) -> CountryList:
        """The countries that the geofence covers."""
        return CountryList(self.geofence_map)

    def exclude(self, label: str, country: str | None, admin1_region: str | None) -> bool:
        """Whether the taxon of a label does not occur at a place.

        Args:
            label: A label of seven parts.
            country: ISO 3166-1 alpha-3 code; None excludes nothing.
            admin1_region: State or province code, or None.
        """
        if not self.enable_geofence or not country:
            return False
        rules = self.geofence_map.get(taxonomy_key(label))
        if not rules:
            return False

        allow = rules.get("allow")
        if allow:
            if country not in allow:
                return True
            regions = allow[country]
            if regions and admin1_region and admin1_region not in regions:
                return True

        block = rules.get("block")
        if block and country in block:
            regions = block[country]
            return not regions or bool(admin1_region and admin1_region in regions)
        return False

    def roll_up(
        self,
        labels: Sequence[str],
        scores: Sequence[float],
        country: str | None,
        admin1_region: str | None,
        levels: Sequence[str],
        threshold: float,
    ) -> Answer | None:
        """The first level at which the summed scores of an allowed ancestor exceed the threshold.

        Returns:
            The ancestor, its summed score and the level; None if there is no such level.
        """
        for level in levels:
            allowed = {
                ancestor: total
                for ancestor, total in self.sums(labels, scores, level).items()
                if not self.exclude(ancestor, country, admin1_region)
            }
            if allowed:
                best = max(allowed, key=allowed.__getitem__)
                if allowed[best] > threshold:
                    return best, allowed[best], level
        return None

    def ancestor(self, label: str, level: str) -> str | None:
        """The ancestor of a label at a level; see ``get_ancestor_at_level``."""
        return get_ancestor_at_level(label, level, self.taxonomy_map)

    def sums(self, labels: Sequence[str], scores: Sequence[float], level: str) -> dict[str, float]:
        """The summed scores of each ancestor at a level."""
        sums: dict[str, float] = {}
        for label, score in zip(labels, scores, strict=True):
            ancestor = self.ancestor(label, level)
            if ancestor is not None:
                sums[ancestor] = sums.get(ancestor, 0.0) + score
        return sums

    def restrict(
        self,
        answer: Answer,
        labels: Sequence[str],
        scores: Sequence[float],
        country: str | None = None,
        admin1_region: str | None = None,
    ) -> Answer:
        """The answer if the species list implies it, otherwise its nearest ancestor that it implies.

        The geofence must also allow the ancestor. Its score is the sum of the scores of all classes
        below it, but at least that of the answer.

        Args:
            answer: The answer from the decision table.
            labels: Classes, best first.
            scores: Their scores in [0, 1], one for each label.
            country: ISO 3166-1 alpha-3 code, or None.
            admin1_region: State or province code, or None.

        Returns:
            The answer, unchanged; or an ancestor, with ``+species_list+rollup_to_LEVEL`` added to its
            source, and ``+fill_to_LEVEL`` if the only listed taxon below a group replaced it.

        Raises:
            ValueError: A label is malformed.
        """
        if self.species_list is None:
            return answer
        label, score, source = answer
        steps = ""
        if not self.species_list.implies(label):
            found = self._roll_up_to_listed(label, country, admin1_region)
            if found is None:
                source = f"{source}+species_list+rollup_failed"
                return Classification.UNKNOWN.value, score, source
            label, level = found
            score = max(score, self.sums(labels, scores, level).get(label, 0.0))
            steps = f"+rollup_to_{level}"
        member = self.species_list.only_member(label) if self.species_list.fill else None
        if member is not None and not self.exclude(member, country, admin1_region):
            label, steps = member, f"{steps}+fill_to_{split_label(member).rank}"
        return (label, score, f"{source}+species_list{steps}") if steps else answer

    def _roll_up_to_listed(
        self, label: str, country: str | None, admin1_region: str | None
    ) -> tuple[str, str] | None:
        """The nearest ancestor that the species list implies and the geofence allows, and its level."""
        assert self.species_list is not None
        for level in ROLL_UP_LEVELS:
            ancestor = self.ancestor(label, level)
            if (
                ancestor is not None
                and self.species_list.implies(ancestor)
                and not self.exclude(ancestor, country, admin1_region)
            ):
                return ancestor, level
        return None


def should_geofence_animal_classification(
    label: str,
    country: str | None,
    admin1_region: str | None,
    geofence_map: GeofenceMap,
    enable_geofence: bool,
) -> bool:
    """Whether the taxon of a label does not occur at a place.

    Args:
        label: A label of seven parts.
        country: ISO 3166-1 alpha-3 code; None excludes nothing.
        admin1_region: State or province code, or None.
        geofence_map: The geofence rules.
        enable_geofence: False excludes nothing.

    Examples:
        >>> fox = "0;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
        >>> rules = {"mammalia;carnivora;canidae;vulpes;vulpes": {"block": {"KEN": []}}}
        >>> should_geofence_animal_classification(fox, "KEN", None, rules, True)
        True
    """
    rules = Rules({}, geofence_map, enable_geofence)
    return rules.exclude(label, country, admin1_region)


def roll_up_labels_to_first_matching_level(
    *,
    labels: Sequence[str],
    scores: Sequence[float],
    country: str | None = None,
    admin1_region: str | None = None,
    target_taxonomy_levels: Sequence[str],
    non_blank_threshold: float,
    taxonomy_map: Mapping[str, str],
    geofence_map: GeofenceMap,
    enable_geofence: bool,
) -> Answer | None:
    """Rolls classifications up to the first level whose best ancestor exceeds the threshold.

    Args:
        labels: Classes, best first.
        scores: Their scores in [0, 1], one for each label.
        country: ISO 3166-1 alpha-3 code, or None.
        admin1_region: State or province code, or None.
        target_taxonomy_levels: Levels to try, in order; see ``taxonomy.LEVELS``.
        non_blank_threshold: The value that the summed scores of an ancestor must exceed.
        taxonomy_map: From ``class;order;family;genus;species`` to labels.
        geofence_map: The geofence rules; excluded ancestors are skipped.
        enable_geofence: False ignores the geofence rules.

    Returns:
        (ancestor, summed score, ``classifier+rollup_to_LEVEL``), or None.

    Raises:
        ValueError: A label is malformed, or a level is unknown.

    Examples:
        >>> from speciesnet.taxonomy import build_taxonomy_map
        >>> foxes = ["1;mammalia;carnivora;canidae;vulpes;vulpes;red fox",
        ...          "2;mammalia;carnivora;canidae;vulpes;zerda;fennec fox"]
        >>> genus = "3;mammalia;carnivora;canidae;vulpes;;fox"
        >>> roll_up_labels_to_first_matching_level(
        ...     labels=foxes, scores=[0.5, 0.25], target_taxonomy_levels=["genus"],
        ...     non_blank_threshold=0.65, taxonomy_map=build_taxonomy_map([*foxes, genus]),
        ...     geofence_map={}, enable_geofence=True)
        ('3;mammalia;carnivora;canidae;vulpes;;fox', 0.75, 'classifier+rollup_to_genus')
    """
    rules = Rules(taxonomy_map, geofence_map, enable_geofence)
    found = rules.roll_up(
        labels, scores, country, admin1_region, target_taxonomy_levels, non_blank_threshold
    )
    return found and (found[0], found[1], f"classifier+rollup_to_{found[2]}")


def geofence_animal_classification(
    *,
    labels: Sequence[str],
    scores: Sequence[float],
    country: str | None = None,
    admin1_region: str | None = None,
    taxonomy_map: Mapping[str, str],
    geofence_map: GeofenceMap,
    enable_geofence: bool,
) -> Answer:
    """The top class if it occurs at the place, otherwise its nearest allowed ancestor, otherwise unknown.

    Args:
        labels: Classes, best first.
        scores: Their scores in [0, 1], one for each label.
        country: ISO 3166-1 alpha-3 code, or None.
        admin1_region: State or province code, or None.
        taxonomy_map: From ``class;order;family;genus;species`` to labels.
        geofence_map: The geofence rules.
        enable_geofence: False ignores the geofence rules.

    Returns:
        (label, score, source).
    """
    rules = Rules(taxonomy_map, geofence_map, enable_geofence)
    if not rules.exclude(labels[0], country, admin1_region):
        return labels[0], scores[0], "classifier"
    # The ancestor inherits at least the top score, whatever the rounding of the sum.
    threshold = scores[0] - 1e-10
    found = rules.roll_up(
        labels, scores, country, admin1_region, GEOFENCE_ROLL_UP_LEVELS, threshold
    )
    if found is None:
        return Classification.UNKNOWN.value, scores[0], "classifier+geofence+rollup_failed"
    return found[0], found[1], f"classifier+geofence+rollup_to_{found[2]}"


def load_geofence(model_info: ModelInfo) -> dict[str, dict[str, dict[str, list[str]]]]:
    """The geofence rules by ``class;order;family;genus;species``; raises ``ModelError``."""
    path = model_info.geofence
    try:
        geofence = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"The geofence {path} cannot be read: {error}.") from error
    fix = f'; {path} must map "class;order;family;genus;species" to allow and block rules.'
    if not isinstance(geofence, dict):
        raise ModelError(f"The geofence is a JSON {type(geofence).__name__}{fix}")
    for key, rules in geofence.items():
        well_formed = isinstance(rules, dict) and all(
            kind in ("allow", "block")
            and isinstance(countries, dict)
            and all(isinstance(regions, list) for regions in countries.values())
            for kind, countries in rules.items()
        )
        if not well_formed:
            raise ModelError(f"The geofence rules of {key!r} are malformed{fix}")
    return geofence
