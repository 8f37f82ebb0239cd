from __future__ import annotations

from pathlib import Path

import pytest

from speciesnet.app.logs import sentence_on_failures
from speciesnet.predictions.tally import Tally
from speciesnet.records import Record
from speciesnet.scripts.summary import images_and_failures

IMAGE: Record = {"filepath": "a.jpg", "prediction": "1;;;;;;blank"}
FAILED: Record = {"filepath": "b.jpg", "failures": ["DETECTOR"]}
FILM: Record = {"filepath": "c.mp4", "prediction": "1;;;;;;blank", "frames_processed": [0]}
FAILED_FILM: Record = {"filepath": "https://a.org/d.MP4?x=1", "failures": ["DETECTOR"]}


@pytest.mark.parametrize(
    ("records", "sentence"),
    [
        ([IMAGE], "1 image, 0 failed"),
        ([FAILED_FILM], "1 film, 1 failed"),
        ([IMAGE, FAILED], "2 images, 1 of them failed"),
        ([FILM, FAILED_FILM], "2 films, 1 of them failed"),
        ([IMAGE, FAILED, FILM, FAILED_FILM], "2 images and 2 films, 2 of them failed"),
    ],
)
def test_images_and_films_are_counted_apart(
    records: list[Record], sentence: str, tmp_path: Path
) -> None:
    tally = Tally()
    for record in records:
        tally.count(record)
    assert images_and_failures(tally) == sentence
    log = tmp_path / "log"
    log.write_text(f"3 images/s\n{sentence}.\nPredictions: p.json\n")
    assert sentence_on_failures(log) == f"{sentence}."  # in the window
