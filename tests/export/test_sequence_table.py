from __future__ import annotations

from pathlib import Path

import pandas as pd
from photographs import photograph
from PIL import ExifTags

from speciesnet.export.sequence_table import SEQUENCE_COLUMNS, sequence_rows
from speciesnet.export.tables import write_table
from speciesnet.predictions.layout import save_predictions
from speciesnet.survey.corrections import Correction
from speciesnet.survey.photographs import Photographs
from speciesnet.survey.survey import Survey, load_survey

DEER = "uuid;mammalia;cetartiodactyla;cervidae;odocoileus;virginianus;white-tailed deer"
FOX = "uuid2;mammalia;carnivora;canidae;vulpes;vulpes;red fox"


def survey_of(folder: Path, said: dict[str, Correction] | None = None) -> Survey:
    """Two cameras: a burst of two and a single picture, and one picture without a date."""
    records = []
    for name, taken in (
        ("a/1.jpg", "2024:05:01 06:30:00"), ("a/2.jpg", "2024:05:01 06:30:40"),
        ("a/3.jpg", "2024:05:01 09:00:00"), ("b/1.jpg", None),
    ):  # fmt: skip
        details = {ExifTags.Base.DateTimeOriginal: taken} if taken else None
        records.append(
            {
                "filepath": photograph(folder / name, details=details),
                "classifications": {"classes": [DEER, FOX], "scores": [0.9, 0.05]},
                "detections": [{"category": "1", "label": "animal", "conf": 0.9, "bbox": [0] * 4}],
                "prediction": DEER,
                "prediction_score": 0.9,
                "prediction_source": "classifier",
            }
        )
    path = folder / "predictions.json"
    save_predictions({"predictions": records}, str(path))
    return load_survey(path, photographs=Photographs(), corrections=said or {})


def test_row_for_each_sequence(tmp_path: Path) -> None:
    path = tmp_path / "sequences.csv"
    assert write_table(sequence_rows(survey_of(tmp_path)), path, SEQUENCE_COLUMNS) == 3
    found = pd.read_csv(path)
    assert list(found.columns) == list(SEQUENCE_COLUMNS)
    assert [Path(folder).name for folder in found["folder"]] == ["a", "a", "b"]
    assert list(found["sequence"]) == [1, 2, 1]
    assert list(found["images"]) == [2, 1, 1]
    assert list(found["start"].fillna("")) == ["2024-05-01T06:30:00", "2024-05-01T09:00:00", ""]
    assert found["end"][0] == "2024-05-01T06:30:40"
    assert set(found["common_name"]) == {"white-tailed deer"}


def test_folders_that_a_camera_makes_share_a_sequence(tmp_path: Path) -> None:
    records = [
        {
            "filepath": photograph(
                tmp_path / f"a/DCIM/{folder}/1.jpg", details={ExifTags.Base.DateTimeOriginal: taken}
            ),
            "prediction": DEER,
            "prediction_score": 0.9,
            "prediction_source": "classifier",
        }
        for folder, taken in (
            ("100RECNX", "2024:05:01 06:30:00"),
            ("101RECNX", "2024:05:01 06:30:40"),
        )
    ]
    path = tmp_path / "predictions.json"
    save_predictions({"predictions": records}, str(path))
    survey = load_survey(path, photographs=Photographs(), corrections={})
    [row] = sequence_rows(survey)
    assert (Path(row["folder"]).name, row["images"]) == ("a", 2)


def test_people_decide_on_their_sequence(tmp_path: Path) -> None:
    first = (tmp_path / "a" / "1.jpg").as_posix()
    survey = survey_of(tmp_path, {first: Correction(first, FOX, DEER, "2024-06-01T00:00:00+00:00")})
    row = next(sequence_rows(survey))
    assert (row["common_name"], row["score"], row["source"]) == ("red fox", 1.0, "review")
    assert (row["images"], row["reviewed"]) == (2, 1)
