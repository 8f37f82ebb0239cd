"""The demo model, on the sample pictures that are shipped with it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from demo.facts import common_name
from demo.samples import CAMERAS

from speciesnet import SpeciesNet


def test_most_sample_pictures_get_the_right_answer() -> None:
    answer = SpeciesNet("demo").predict(folders=["demo"])
    assert answer is not None
    right = total = 0
    for camera in CAMERAS:
        shown: Counter[str] = Counter()
        for shot in camera.shots:
            shown[shot.label] += shot.frames
        found = Counter(
            common_name(record.get("prediction", ""))
            for record in answer["predictions"]
            if Path(record["filepath"]).parent.name == camera.folder
        )
        right += (shown & found).total()
        total += shown.total()
    assert total == len(answer["predictions"])
    assert right >= 0.85 * total
