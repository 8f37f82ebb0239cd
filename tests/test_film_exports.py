"""What exports, reports and reviews make of films."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import clips
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient
from surveys import FOX, box, record, survey_of, write_predictions

from speciesnet.errors import ImageError
from speciesnet.export.megadetector import MegaDetectorConverter
from speciesnet.export.pictures import Crops, Drawn, write_pictures
from speciesnet.files.moved_photographs import Photographs
from speciesnet.records import Record
from speciesnet.survey.corrections import CorrectionsFile, corrections_path
from speciesnet.survey.report.payload import Payload
from speciesnet.survey.report.review import Review, make_app
from speciesnet.survey.report.thumbnails import Preview, Thumbnails
from speciesnet.survey.smoothed_records import SmoothedRecords


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A film that is black for a second and then white."""
    colors = [0] * 10 + [255] * 10
    shown: Iterator[np.ndarray] = (np.full((48, 64, 3), c, np.uint8) for c in colors)
    return clips.film(tmp_path_factory.mktemp("film") / "a.mp4", fps=10, shown=shown)


@pytest.fixture(scope="module")
def film(path: str) -> Record:
    boxes = [
        {**box(conf=0.9), "frame_number": 0, "timestamp": 0.0},
        {**box(conf=0.8), "frame_number": 10, "timestamp": 1.0},
        {**box(conf=0.7, bbox=(0.6, 0.6, 0.2, 0.2)), "frame_number": 10, "timestamp": 1.0},
    ]
    found: Record = {**record(path, FOX)}
    found["detections"] = boxes  # type: ignore[typeddict-item]  # boxes with frames
    found["frame_rate"], found["frames_processed"], found["duration"] = 10.0, [0, 10], 2.0
    found["frame"] = {"frame_number": 10, "timestamp": 1.0}
    return found


@pytest.fixture
def predictions(tmp_path: Path, film: Record) -> Path:
    return write_predictions(tmp_path / "predictions.json", film)


def test_megadetectors_format_has_all_frames(film: Record) -> None:
    image = MegaDetectorConverter().image(film)
    assert (image.get("frame_rate"), image.get("frames_processed")) == (10.0, [0, 10])
    assert [found.get("frame_number") for found in image["detections"] or ()] == [0, 10, 10]
    assert all("classifications" in found for found in image["detections"] or ())


def test_an_answer_without_a_box_is_in_the_frame_that_represents_the_film(film: Record) -> None:
    image = MegaDetectorConverter().image({**film, "detections": []})
    whole = (image["detections"] or [])[0]
    assert whole.get("frame_number") == 10


def test_exports_count_the_frame_that_represents_a_film(predictions: Path) -> None:
    [still] = SmoothedRecords(predictions)
    assert [found["conf"] for found in still.get("detections", ())] == [0.8, 0.7]
    [whole] = SmoothedRecords(predictions, whole_films=True)
    assert len(whole.get("detections", ())) == 3


def test_a_survey_shows_the_frame_that_represents_a_film(film: Record, tmp_path: Path) -> None:
    [picture] = survey_of(tmp_path, film).pictures
    assert picture.frame == (10, 1.0)
    assert picture.counts == {FOX: 2}
    thumbnails = Thumbnails(tmp_path / "thumbs", Photographs())
    name, aspect = thumbnails.make(picture)
    assert aspect == 64 / 48
    with Image.open(tmp_path / "thumbs" / name) as shown:
        assert np.asarray(shown).min() > 200
    assert thumbnails.film(picture) == Path(film["filepath"])


def test_films_are_not_played_where_people_are_blurred(film: Record, tmp_path: Path) -> None:
    [picture] = survey_of(tmp_path, film).pictures
    thumbnails = Thumbnails(tmp_path / "thumbs", Photographs(), blur_humans=True)
    [preview] = thumbnails.previews([picture], 1)
    assert preview.is_private
    with pytest.raises(ImageError):
        thumbnails.film(picture)


def test_a_failed_film_is_not_called_a_damaged_image(film: Record, tmp_path: Path) -> None:
    failed: Record = {"filepath": film["filepath"], "failures": ["DETECTOR"]}
    [picture] = survey_of(tmp_path, failed).pictures
    with pytest.raises(ImageError, match="no frame of this film could be read"):
        Thumbnails(tmp_path / "thumbs", Photographs()).make(picture)


def test_only_surveys_with_films_have_their_column(film: Record, tmp_path: Path) -> None:
    survey = survey_of(tmp_path, film, record("b.jpg", FOX))
    chunk = Payload(survey, "report").chunk(0, lambda _: Preview())
    assert '"film"' in chunk
    other = tmp_path / "other"
    other.mkdir()
    survey = survey_of(other, record("b.jpg", FOX))
    assert '"film"' not in Payload(survey, "report").chunk(0, lambda _: Preview())


@pytest.mark.parametrize(("kind", "count"), [(Crops(), 2), (Drawn(), 1)])
def test_pictures_are_made_of_the_frame(
    predictions: Path, tmp_path: Path, kind: Crops | Drawn, count: int
) -> None:
    results = write_pictures(predictions, {}, Photographs(), tmp_path / "out", kind)
    assert results.done == count
    pictures = sorted((tmp_path / "out").rglob("*.jpg"))
    assert len(pictures) == count
    with Image.open(pictures[0]) as shown:
        assert np.median(np.asarray(shown)) > 200


def test_a_review_plays_a_film(film: Record, tmp_path: Path) -> None:
    survey = survey_of(tmp_path, film, record(tmp_path / "b.jpg", FOX))
    with CorrectionsFile(corrections_path(tmp_path / "predictions.json")) as file:
        app = make_app(Review(survey, file, "Jane"), Photographs(), tmp_path / "t", token="x")
        client = TestClient(app, base_url="http://127.0.0.1")
        whole = client.get("/x/film/0")
        assert whole.content == Path(film["filepath"]).read_bytes()
        part = client.get("/x/film/0", headers={"Range": "bytes=4-7"})
        assert (part.status_code, part.content) == (206, b"ftyp")
        assert client.get("/x/film/1").status_code == 404  # a photograph
        assert client.get("/x/film/2").status_code == 404
