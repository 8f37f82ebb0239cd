"""Which taxa occur where, and what to answer instead of one that does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from speciesnet.constants import Classification
from speciesnet.taxonomy import get_ancestor_at_level, taxonomy_key

# "class;order;family;genus;species" -> "allow" or "block" -> country -> regions ([]: all of it).
GeofenceMap = Mapping[str, Mapping[str, Mapping[str, Sequence[str]]]]
Answer = tuple[str, float, str]

GEOFENCE_ROLL_UP_LEVELS = ("family", "order", "class", "kingdom")


def should_geofence_animal_classification(
    label: str,
    country: str | None,
    admin1_region: str | None,
    geofence_map: GeofenceMap,
    enable_geofence: bool,
) -> bool:
    """Whether a label is fenced out of a place.

    Args:
        label: A label of seven parts.
        country: ISO 3166-1 alpha-3 code; without one nothing is fenced out.
        admin1_region: State or province code, or None.
        geofence_map: The rules.
        enable_geofence: False fences nothing out.
    """
    if not enable_geofence or not country:
        return False
    rules = geofence_map.get(taxonomy_key(label))
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
    *,
    labels: Sequence[str],
    scores: Sequence[float],
    country: str | None,
    admin1_region: str | None,
    levels: Sequence[str],
    threshold: float,
    taxonomy_map: Mapping[str, str],
    geofence_map: GeofenceMap,
    enable_geofence: bool,
) -> tuple[str, float, str] | None:
    """The first level at which the summed scores of one allowed ancestor exceed the threshold.

    Returns:
        The ancestor, its summed score and the level; None when no level gets there.
    """
    for level in levels:
        sums: dict[str, float] = {}
        for label, score in zip(labels, scores, strict=True):
            ancestor = get_ancestor_at_level(label, level, taxonomy_map)
            if ancestor is not None:
                sums[ancestor] = sums.get(ancestor, 0.0) + score
        allowed = {
            ancestor: total
            for ancestor, total in sums.items()
            if not should_geofence_animal_classification(
                ancestor, country, admin1_region, geofence_map, enable_geofence
            )
        }
        if allowed:
            best = max(allowed, key=allowed.__getitem__)
            if allowed[best] > threshold:
                return best, allowed[best], level
    return None


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
        scores: Their scores in [0, 1], as many as labels.
        country: ISO 3166-1 alpha-3 code, or None.
        admin1_region: State or province code, or None.
        target_taxonomy_levels: Levels to try, in order; see ``taxonomy.LEVELS``.
        non_blank_threshold: The sum of scores that an ancestor has to exceed.
        taxonomy_map: From ``class;order;family;genus;species`` to labels.
        geofence_map: The geofence rules; an ancestor that they fence out is passed over.
        enable_geofence: False ignores the rules.

    Returns:
        (ancestor, summed score, ``classifier+rollup_to_LEVEL``), or None.

    Raises:
        ValueError: A label is malformed, or a level unknown.
    """
    found = roll_up(
        labels=labels,
        scores=scores,
        country=country,
        admin1_region=admin1_region,
        levels=target_taxonomy_levels,
        threshold=non_blank_threshold,
        taxonomy_map=taxonomy_map,
        geofence_map=geofence_map,
        enable_geofence=enable_geofence,
    )
    if found is None:
        return None
    label, score, level = found
    return label, score, f"classifier+rollup_to_{level}"


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
    """The top classification where it occurs, else its nearest allowed ancestor, else unknown.

    Arguments are those of ``roll_up_labels_to_first_matching_level``.

    Returns:
        (label, score, source).
    """
    if not should_geofence_animal_classification(
        labels[0], country, admin1_region, geofence_map, enable_geofence
    ):
        return labels[0], scores[0], "classifier"
    found = roll_up(
        labels=labels,
        scores=scores,
        country=country,
        admin1_region=admin1_region,
        levels=GEOFENCE_ROLL_UP_LEVELS,
        # The ancestor inherits at least the top score, whatever the rounding of the sum.
        threshold=scores[0] - 1e-10,
        taxonomy_map=taxonomy_map,
        geofence_map=geofence_map,
        enable_geofence=enable_geofence,
    )
    if found is None:
        return Classification.UNKNOWN.value, scores[0], "classifier+geofence+rollup_failed"
    label, score, level = found
    return label, score, f"classifier+geofence+rollup_to_{level}"
