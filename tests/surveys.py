"""Small surveys: predictions as a run of the demo model writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from speciesnet.files.moved_photographs import Photographs
from speciesnet.records import Box, Record
from speciesnet.survey.corrections import Correction, corrections_path
from speciesnet.survey.survey import Survey, load_survey

MODEL = Path(__file__).parents[1] / "speciesnet" / "files" / "packages" / "demo" / "model"
LABELS = {
    line.rpartition(";")[2]: line
    for line in (MODEL / "taxonomy.txt").read_text(encoding="utf-8").splitlines()
}
FOX, DEER, BOAR, BEAR = (
    LABELS[name] for name in ("red fox", "white-tailed deer", "wild boar", "american black bear")
)
HUMAN, BLANK, UNKNOWN = LABELS["human"], LABELS["blank"], LABELS["no cv result"]

SIDES = (0.2, 0.3, 0.4, 0.5)  # of a box that a test does not place


def box(kind: str = "animal", conf: float = 0.9, bbox: Sequence[float] = SIDES) -> Box:
    """A detection."""
    category = str(["animal", "human", "vehicle"].index(kind) + 1)
    return {"category": category, "label": kind, "conf": conf, "bbox": list(bbox)}


def answered_box(answer: str, kind: str = "animal", score: float = 0.9, **values: Any) -> Box:
    """A detection with its own answer."""
    return {
        **box(kind, **values),
        "classifications": {"classes": [answer], "scores": [score]},
        "prediction": answer, "prediction_score": score, "prediction_source": "classifier",
    }  # fmt: skip


def apart(boxes: Sequence[Box]) -> list[Box]:
    """Moves boxes that a test does not place, so that each of them is an individual of its own."""
    places = (
        [left, top, *SIDES[2:]]
        for top in (SIDES[1], 0.0, 0.5)
        for left in (SIDES[0], 0.4, 0.6, 0.0)
    )
    return [
        {**one, "bbox": next(places)}
        if isinstance(one, dict) and list(one.get("bbox") or ()) == [*SIDES]
        else one
        for one in boxes
    ]


def record(
    filepath: str | Path,
    answer: str = FOX,
    score: float = 0.9,
    *,
    taken: str | None = None,
    classes: dict[str, float] | None = None,
    boxes: Sequence[Box] | None = None,
    **values: object,
) -> Record:
    """A record of a run with all components; a blank has no box unless boxes are given."""
    if boxes is None:
        boxes = [] if answer == BLANK else [box()]
    classes = classes or {answer: score}
    found = {
        "filepath": str(filepath),
        "classifications": {"classes": list(classes), "scores": list(classes.values())},
        "detections": apart(boxes),
        "prediction": answer,
        "prediction_score": score,
        "prediction_source": "classifier",
        "model_version": "demo-1",
        "metadata": {} if taken is None else {"datetime": taken},
        **values,
    }
    return cast("Record", found)  # values may be malformed, to test that


def write_predictions(
    path: Path, *records: Mapping[str, object], model: str | None = "demo"
) -> Path:
    """Writes a predictions file and the settings of its run."""
    path.write_text(json.dumps({"predictions": records}), encoding="utf-8")
    if model is not None:
        settings = path.with_name(f"{path.name}.run.json")
        settings.write_text(json.dumps({"model_name": model}), encoding="utf-8")
    return path


def correction(filepath: str | Path, label: str | None, predicted: str | None = FOX) -> Correction:
    """A correction by a reviewer."""
    return Correction(str(filepath), label, predicted, "2024-05-02T08:00:00+00:00", "Jane")


def survey_of(
    folder: Path,
    *records: Mapping[str, object],
    corrections: Sequence[Correction] = (),
    **options: Any,
) -> Survey:
    """The survey of a predictions file in a folder that holds these records."""
    path = write_predictions(folder / "predictions.json", *records)
    by_file = {one.filepath: one for one in corrections}
    options = {"photographs": Photographs(), "corrections": by_file, **options}
    return load_survey(path, **options)


def corrections_in(predictions: Path) -> list[tuple[str, str | None]]:
    """The name of the file and the label of each line of the corrections."""
    path = corrections_path(predictions)
    lines = path.read_text(encoding="ascii").splitlines() if path.exists() else []
    values = map(json.loads, lines)
    return [(one["filepath"].rpartition("/")[2], one["label"]) for one in values]
