"""Labels and rules that lead to every kind of answer, for tests of the guard."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from speciesnet.classifier import softmax
from speciesnet.constants import Classification
from speciesnet.ensemble import combine_predictions_for_single_item
from speciesnet.ensemble.geofence import Rules
from speciesnet.ensemble.geofence.species_list import SpeciesList
from speciesnet.ensemble.taxonomy import build_taxonomy_map
from speciesnet.ensemble.thresholds import Thresholds
from speciesnet.records import Box, Classifications

RED_FOX = "1;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
FENNEC = "2;mammalia;carnivora;canidae;vulpes;zerda;fennec fox"
WOLF = "3;mammalia;carnivora;canidae;canis;lupus;grey wolf"
DEER = "4;mammalia;artiodactyla;cervidae;cervus;elaphus;red deer"
TIT = "5;aves;passeriformes;paridae;parus;major;great tit"
GROUPS = [
    "6;mammalia;carnivora;canidae;vulpes;;fox",
    "7;mammalia;carnivora;canidae;;;canine family",
    "8;mammalia;;;;;mammal",
    "9;aves;;;;;bird",
]
CLASSES = [RED_FOX, FENNEC, WOLF, DEER, TIT, *map(str, (
    Classification.BLANK, Classification.HUMAN, Classification.VEHICLE,
))]  # fmt: skip
TAXONOMY = build_taxonomy_map([*CLASSES, *GROUPS])
GEOFENCE = {"mammalia;carnivora;canidae;vulpes;vulpes": {"block": {"KEN": []}}}
RULES = Rules(TAXONOMY, GEOFENCE)
LOWEST = {"human": 0.8, "blank": 0.7, "mammal": 0.9, "canine family": 0.85, "wolf": 0.6}
LOWEST |= {"vulpes vulpes": 0.9, "cervus elaphus": 0.97, "fox": 0.8, "animal": 0.7, "bird": 0.75}
DOUBTING = replace(RULES, enforce_thresholds=Thresholds("t.csv", LOWEST).enforce)
LISTED = replace(
    DOUBTING, species_list=SpeciesList(("canis lupus", "parus major"), (*CLASSES, *GROUPS))
)


def box(confidence: float, label: str = "animal", left: float = 0.1) -> Box:
    return {
        "category": str(["animal", "human", "vehicle"].index(label) + 1),
        "label": label,
        "conf": confidence,
        "bbox": [left, 0.1, 0.2, 0.2],
    }


def classes_of(logits: np.ndarray) -> Classifications:
    scores = softmax(logits.astype(np.float32))
    best = np.argsort(-scores, kind="stable")[:5]
    return {"classes": [CLASSES[i] for i in best], "scores": scores[best].tolist()}


def named(**scores: float) -> Classifications:
    names = {"fox": RED_FOX, "fennec": FENNEC, "wolf": WOLF, "deer": DEER, "tit": TIT}
    names |= {"blank": Classification.BLANK.value, "human": Classification.HUMAN.value}
    ranked = sorted(scores.items(), key=lambda pair: -pair[1])
    return {"classes": [names[n] for n, _ in ranked], "scores": [score for _, score in ranked]}


def answer(
    classes: Classifications, detections: list[Box], country: str | None, rules: Rules = RULES
) -> tuple[str, str]:
    found = combine_predictions_for_single_item(
        classifications=classes,
        detections=detections,
        country=country,
        taxonomy_map=TAXONOMY,
        geofence_map=GEOFENCE,
        enable_geofence=True,
    )
    found = rules.restrict(found, classes["classes"], classes["scores"], country)
    label, _, source = rules.enforce_thresholds(found) if rules.enforce_thresholds else found
    return label, source
