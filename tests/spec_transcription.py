"""The ensemble's rules as plain ifs, written from the specification alone; imports no speciesnet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

BLANK = "f1856211-cfb7-4a5b-9158-c0f72fd09ee6;;;;;;blank"
ANIMAL = "1f689929-883d-4dae-958c-3d57ab5b6c16;;;;;;animal"
HUMAN = "990ae9dd-7a59-4344-afcb-1b7b21368000;mammalia;primates;hominidae;homo;sapiens;human"
VEHICLE = "e2895ed5-780b-48f6-8a11-9e27cb594511;;;;;;vehicle"
UNKNOWN = (
    "f2efdae9-efb8-48fb-8a91-eccf79ab4ffb"
    ";no cv result;no cv result;no cv result;no cv result;no cv result;no cv result"
)

Geofence = Mapping[str, Mapping[str, Mapping[str, Sequence[str]]]]
Taxonomy = Mapping[str, str]
Answer = tuple[str, float, str]


def key_of(label: str) -> str:
    _, klass, order, family, genus, species, _ = label.split(";")
    return f"{klass};{order};{family};{genus};{species}"


def taxonomy_map(labels: Sequence[str]) -> dict[str, str]:
    result = {}
    for label in labels:
        if label not in (BLANK, VEHICLE, UNKNOWN):
            result[key_of(label)] = label
    result["mammalia;primates;hominidae;homo;sapiens"] = HUMAN
    result[";;;;"] = ANIMAL
    return result


def ancestor(label: str, level: str, taxonomy: Taxonomy) -> str | None:
    _, klass, order, family, genus, species, _ = label.split(";")
    if level == "kingdom":
        if klass == "" and label != ANIMAL:
            return None
        return taxonomy.get(";;;;")
    if level == "class":
        if klass == "":
            return None
        return taxonomy.get(f"{klass};;;;")
    if level == "order":
        if order == "":
            return None
        return taxonomy.get(f"{klass};{order};;;")
    if level == "family":
        if family == "":
            return None
        return taxonomy.get(f"{klass};{order};{family};;")
    if level == "genus":
        if genus == "":
            return None
        return taxonomy.get(f"{klass};{order};{family};{genus};")
    assert level == "species"
    if species == "":
        return None
    return taxonomy.get(f"{klass};{order};{family};{genus};{species}")


def fenced_out(
    label: str, country: str | None, region: str | None, geofence: Geofence, geofencing: bool
) -> bool:
    if not country:
        return False
    if not geofencing:
        return False
    if key_of(label) not in geofence:
        return False
    allow = geofence[key_of(label)].get("allow", {})
    block = geofence[key_of(label)].get("block", {})
    if len(allow) > 0 and country not in allow:
        return True
    if country in allow and len(allow[country]) > 0 and region and region not in allow[country]:
        return True
    if country in block and len(block[country]) == 0:
        return True
    return bool(country in block and region and region in block[country])


def roll_up(
    labels: Sequence[str],
    scores: Sequence[float],
    country: str | None,
    region: str | None,
    taxonomy: Taxonomy,
    geofence: Geofence,
    geofencing: bool,
    levels: Sequence[str],
    threshold: float,
) -> tuple[str, float, str] | None:
    """The ancestor, its sum and the level."""
    for level in levels:
        ancestors: list[str] = []
        sums: list[float] = []
        for i in range(len(labels)):
            found = ancestor(labels[i], level, taxonomy)
            if found is None:
                continue
            if found in ancestors:
                sums[ancestors.index(found)] += scores[i]
            else:
                ancestors.append(found)
                sums.append(scores[i])
        best = None
        for i in range(len(ancestors)):
            if fenced_out(ancestors[i], country, region, geofence, geofencing):
                continue
            if best is None or sums[i] > sums[best]:
                best = i
        if best is not None and sums[best] > threshold:
            return ancestors[best], sums[best], level
    return None


def geofenced(
    labels: Sequence[str],
    scores: Sequence[float],
    country: str | None,
    region: str | None,
    taxonomy: Taxonomy,
    geofence: Geofence,
    geofencing: bool,
) -> Answer:
    if not fenced_out(labels[0], country, region, geofence, geofencing):
        return labels[0], scores[0], "classifier"
    rolled = roll_up(
        labels,
        scores,
        country,
        region,
        taxonomy,
        geofence,
        geofencing,
        ["family", "order", "class", "kingdom"],
        scores[0] - 1e-10,
    )
    if rolled is None:
        return UNKNOWN, scores[0], "classifier+geofence+rollup_failed"
    return rolled[0], rolled[1], "classifier+geofence+rollup_to_" + rolled[2]


def combine(
    labels: Sequence[str],
    scores: Sequence[float],
    detections: Sequence[tuple[str, float]],
    country: str | None,
    region: str | None,
    taxonomy: Taxonomy,
    geofence: Geofence,
    geofencing: bool,
) -> Answer:
    """The table of rules, row by row; detections are (label, confidence)."""
    top, c = labels[0], scores[0]
    if len(detections) == 0:
        box, d = "animal", 0.0
    else:
        box, d = detections[0]

    if box == "human" and d > 0.7:  # 1a
        return HUMAN, d, "detector"
    if box == "human" and d > 0.2 and top in (HUMAN, VEHICLE) and c > 0.5:  # 1b
        return HUMAN, c, "classifier"
    if box == "vehicle" and d > 0.2 and top == HUMAN and c > 0.5:  # 2a
        return HUMAN, c, "classifier"
    if box == "vehicle" and d > 0.7:  # 2b
        return VEHICLE, d, "detector"
    if box == "vehicle" and d > 0.2 and top == VEHICLE and c > 0.4:  # 2c
        return VEHICLE, c, "classifier"
    if d < 0.2 and top == BLANK and c > 0.5:  # 3a
        return BLANK, c, "classifier"
    if top == BLANK and c > 0.99:  # 3b
        return BLANK, c, "classifier"
    if top not in (BLANK, HUMAN, VEHICLE) and c > 0.8:  # 4a
        return geofenced(labels, scores, country, region, taxonomy, geofence, geofencing)
    if top not in (BLANK, HUMAN, VEHICLE) and c > 0.65 and box == "animal" and d > 0.2:  # 4b
        return geofenced(labels, scores, country, region, taxonomy, geofence, geofencing)
    rolled = roll_up(
        labels,
        scores,
        country,
        region,
        taxonomy,
        geofence,
        geofencing,
        ["genus", "family", "order", "class", "kingdom"],
        0.65,
    )
    if rolled is not None:  # 5a
        return rolled[0], rolled[1], "classifier+rollup_to_" + rolled[2]
    if box == "animal" and d > 0.5:  # 5b
        return ANIMAL, d, "detector"
    return UNKNOWN, c, "classifier"
