"""Valid files to be damaged, and files that exercise each path of a target."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fuzz import files
from fuzz.hostile import HOSTILE
from fuzz.targets import NAMES, record_of, uninterrupted
from speciesnet.files.packages.info import ModelInfo

INSTANCES = {
    "instances": [
        {"filepath": NAMES[0], "country": "USA", "admin1_region": "CA"},
        {"filepath": NAMES[4], "country": "KEN", "latitude": -1.5, "longitude": 36},
        {"filepath": "a/\udcff.jpg", "latitude": None},
    ]
}
PREDICTIONS = {"predictions": [record_of(name) for name in NAMES]}
MEGADETECTOR = {
    "images": [
        {
            "file": NAMES[0],
            "detections": [{"category": "1", "conf": 0.9, "bbox": [0, 0.1, 0.5, 1]}],
        },
        {"file": NAMES[1].rpartition("/")[2], "detections": []},
        {"file": NAMES[4], "failure": "Failure image access", "detections": None},
    ],
    "detection_categories": {"1": "animal", "2": "person", "3": "vehicle"},
    "info": {"format_version": "1.3"},
}
CORRECTION = {
    "filepath": NAMES[0],
    "label": "u;a;b;c;d;e;f",
    "predicted": None,
    "at": "2024-05-01T06:30:00+00:00",
    "reviewer": "ñ",
}


def _json(document: Any, **options: Any) -> bytes:
    return json.dumps(document, **options).encode()


def _demo(name: str) -> bytes:
    return (ModelInfo("demo").folder / name).read_bytes()


@functools.cache
def seeds_of(target: str) -> list[bytes]:
    """The files with which the fuzzing of a target starts."""
    return SEEDS[target]()


SEEDS: dict[str, Callable[[], list[bytes]]] = {
    "image": files.photographs,
    "instances": lambda: [_json(INSTANCES), _json(INSTANCES, indent=1), b"[" * 3000],
    "lists": lambda: [b"a.jpg\nb/c.jpg\r\n\n", b"\xef\xbb\xbfu;a;b;c;d;e;f\nu;;;;;;blank\n"],
    "predictions": lambda: [
        uninterrupted(),
        _json(PREDICTIONS, indent=1),
        _json(PREDICTIONS | {"info": {}}),
        b"\xef\xbb\xbf" + _json(PREDICTIONS, indent=1, ensure_ascii=False),
        _json(MEGADETECTOR),
    ],
    "run_settings": lambda: [
        _json({"components": "detector", "model": {"version": "1"}, "geofence": True, "inputs": {}})
    ],
    "megadetector": lambda: [_json(MEGADETECTOR, indent=1), _json(PREDICTIONS)],
    "corrections": lambda: [
        _json(CORRECTION) + b"\n" + _json(CORRECTION | {"label": None}) + b"\n"
    ],
    "package_info": lambda: [_demo("info.json"), _json(_PACKAGE)],
    "labels": lambda: [_demo("labels.txt"), _demo("taxonomy.txt")[:900]],
    "geofence": lambda: [_demo("geofence.json")[:2000], _json(_RULES)],
    "network": lambda: [files.checkpoint(), files.fx_file(), files.keras_file(), *HOSTILE],
    "checkpoint_pickle": lambda: [files.member(files.checkpoint(), "data.pkl"), *HOSTILE],
    "fx_pickle": lambda: [files.member(files.fx_file(), "data.pkl"), *HOSTILE],
    "fx_source": lambda: [files.fx_source().encode()],
    "keras_config": lambda: [files.member(files.keras_file(), "config.json")],
    "keras_weights": lambda: [files.member(files.keras_file(), "model.weights.h5")],
}
_KEYS = ("classifier", "classifier_labels", "detector", "taxonomy", "geofence")
_PACKAGE = {"version": "1", "type": "full_image"} | {key: key for key in _KEYS}
_RULES = {
    "mammalia;carnivora;canidae;vulpes;vulpes": {"allow": {"USA": ["CA"], "KEN": []}, "block": {}},
    "mammalia;;;;": {"block": {"USA": []}},
}


def write_seeds(target: str, folder: Path) -> None:
    """Puts a target's seeds into its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds_of(target)):
        (folder / f"seed_{number}").write_bytes(data)
