"""Runs on films: one record of each, made from its frames."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, cast

import clips
import numpy as np
import pytest
from PIL import Image

from speciesnet import SpeciesNet
from speciesnet.errors import InputError, OutputError
from speciesnet.images.films import Sampling
from speciesnet.images.instances import SAMPLE_IMAGES
from speciesnet.pipeline import Photo
from speciesnet.pipeline.films import FilmReader, read_films
from speciesnet.pipeline.guard.guards import Guards
from speciesnet.predictions.format5 import from_format5
from speciesnet.predictions.lookup import RecordsByFile
from speciesnet.records import still_of
from speciesnet.run import Run, photos_of

SIZE = (320, 240)


@pytest.fixture(scope="module")
def model() -> SpeciesNet:
    return SpeciesNet("demo", precision="fp32", threads=1)


@pytest.fixture(scope="module")
def scenes() -> list[np.ndarray]:
    paths = sorted(SAMPLE_IMAGES.rglob("*.jpg"))[:3]
    return [np.asarray(Image.open(path).convert("RGB").resize(SIZE)) for path in paths]


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory, scenes: list[np.ndarray]) -> Path:
    """A folder with a photograph, two films, one with a photograph's name, and a damaged one."""
    folder = tmp_path_factory.mktemp("survey")
    raccoon, deer, _ = scenes
    clips.film(folder / "a.mp4", size=SIZE, fps=4, shown=[raccoon] * 4 + [deer] * 8)
    clips.film(folder / "b.AVI", "mjpeg", size=SIZE, fps=4, pix_fmt="yuvj420p", shown=[deer] * 5)
    (folder / "c.mp4").write_bytes(b"no film")
    (folder / "d.jpg").write_bytes((folder / "a.mp4").read_bytes())
    Image.fromarray(deer).save(folder / "e.jpg")
    return folder


def records_of(model: SpeciesNet, folder: Path, **options: object) -> dict[str, Any]:
    found = model.predict(folders=[str(folder)], **options)  # type: ignore[arg-type]  # of tests
    assert found is not None
    return {Path(record["filepath"]).name: record for record in found["predictions"]}


@pytest.fixture(scope="module")
def records(model: SpeciesNet, survey: Path) -> dict[str, Any]:
    return records_of(model, survey)


def test_a_film_has_one_record(records: dict[str, Any]) -> None:
    assert list(records) == ["a.mp4", "b.AVI", "c.mp4", "d.jpg", "e.jpg"]
    film = records["a.mp4"]
    assert film["frames_processed"] == [0, 4, 8]
    assert (film["frame_rate"], film["duration"]) == (4.0, 3.0)
    assert "frames_processed" not in records["e.jpg"]


def test_each_box_names_its_frame(records: dict[str, Any]) -> None:
    film = records["a.mp4"]
    places = {(box.get("frame_number"), box.get("timestamp")) for box in film["detections"]}
    assert places <= {(0, 0.0), (4, 1.0), (8, 2.0)}
    assert len(places) > 1
    confidences = [box["conf"] for box in film["detections"]]
    assert confidences == sorted(confidences, reverse=True)


def test_the_answer_comes_from_most_frames(records: dict[str, Any]) -> None:
    assert "cetartiodactyla" in records["b.AVI"]["prediction"]
    film = records["a.mp4"]
    classes, scores = film["classifications"]["classes"], film["classifications"]["scores"]
    assert len(classes) == 5
    assert scores == sorted(scores, reverse=True)


def test_a_film_of_one_scene_has_its_answer(
    model: SpeciesNet, tmp_path: Path, scenes: list[np.ndarray]
) -> None:
    clips.film(tmp_path / "a.mp4", size=SIZE, fps=4, shown=[scenes[1]])
    found = records_of(model, tmp_path)["a.mp4"]
    assert found["frames_processed"] == [0]
    assert found["frame"] == {"frame_number": 0, "timestamp": 0.0}
    assert still_of(found).get("detections") == found["detections"]


def test_the_frame_that_represents_a_film_has_its_animals(records: dict[str, Any]) -> None:
    film = records["a.mp4"]
    number = film["frame"]["frame_number"]
    boxes = still_of(film).get("detections", ())
    assert boxes and all(box.get("frame_number") == number for box in boxes)
    assert film["detections"][0]["conf"] >= boxes[0]["conf"]


def test_a_film_that_cannot_be_read_fails_alone(records: dict[str, Any]) -> None:
    assert records["c.mp4"]["failures"] == ["CLASSIFIER", "DETECTOR"]
    assert "frame_rate" not in records["c.mp4"]


def test_a_film_with_the_name_of_a_photograph_is_recognized(records: dict[str, Any]) -> None:
    assert records["d.jpg"]["frames_processed"] == [0, 4, 8]


def test_all_boxes_of_all_frames_can_have_answers(model: SpeciesNet, survey: Path) -> None:
    found = records_of(model, survey, classify="all")["a.mp4"]
    certain = [box for box in found["detections"] if box["conf"] >= 0.1]
    assert len({box.get("frame_number") for box in certain}) > 1
    assert all("prediction" in box for box in certain)


def test_frames_can_be_chosen(model: SpeciesNet, survey: Path) -> None:
    found = records_of(model, survey, video_fps=4.0, max_frames_per_video=2)["a.mp4"]
    assert found["frames_processed"] == [0, 1]
    assert records_of(model, survey, frames=[3])["a.mp4"]["frames_processed"] == [3]


def test_films_can_be_left_out(model: SpeciesNet, survey: Path) -> None:
    assert "a.mp4" not in records_of(model, survey, videos="skip")
    with pytest.raises(InputError, match="only films"):
        model.predict(filepaths=[str(survey / "a.mp4")], videos="skip")


@pytest.mark.parametrize("run_mode", ["single_thread", "multi_process"])
def test_all_run_modes_read_the_same_frames(
    model: SpeciesNet, survey: Path, records: dict[str, Any], run_mode: str
) -> None:
    assert records_of(model, survey, run_mode=run_mode) == records


def test_the_detector_alone_takes_films(model: SpeciesNet, survey: Path) -> None:
    found = model.detect(filepaths=[str(survey / "a.mp4")])
    assert found is not None
    [record] = found["predictions"]
    assert record.get("frames_processed") == [0, 4, 8]
    assert "prediction" not in record


@pytest.mark.parametrize("classify", ["best", "all"])
def test_one_step_after_the_other_makes_the_same_records(
    model: SpeciesNet, survey: Path, classify: Literal["best", "all"]
) -> None:
    options: dict[str, Any] = {"metadata": True, "folders": [str(survey)]}

    def by_path(found: Any) -> dict[str, Any]:
        return {one["filepath"]: one for one in json.loads(json.dumps(found))["predictions"]}

    whole = by_path(model.predict(**options, classify=classify))
    past: dict[str, Any] = {"detections_dict": by_path(model.detect(**options))}
    found = model.classify(**options, **past, classify=classify, video_fps=2.0)
    past["classifications_dict"] = by_path(found)
    merged = by_path(model.ensemble_from_past_runs(**options, **past, classify=classify))
    assert json.dumps(merged) == json.dumps(whole)


@pytest.fixture(scope="module")
def detected(model: SpeciesNet, survey: Path) -> Any:
    found = model.detect(filepaths=[str(survey / "a.mp4")])
    assert found is not None
    return found["predictions"][0]


def test_the_classifier_alone_answers_for_each_frame(
    model: SpeciesNet, survey: Path, detected: Any
) -> None:
    path = str(survey / "a.mp4")
    found = model.classify(filepaths=[path], detections_dict={path: detected}, video_fps=2.0)
    assert found is not None
    [record] = found["predictions"]
    frames = record.get("frame_classifications", [])
    assert [frame["frame_number"] for frame in frames] == [0, 4, 8]
    assert all(len(frame["classifications"]["classes"]) == 5 for frame in frames)
    assert "prediction" not in record
    assert "classifications" in record


def test_the_frames_of_detections_by_megadetector_are_classified(
    model: SpeciesNet, survey: Path, detected: Any, tmp_path: Path
) -> None:
    boxes = [{key: box[key] for key in box if key != "timestamp"} for box in detected["detections"]]
    image = {"file": "a.mp4", "frame_rate": 4.0, "frames_processed": [0, 4, 8], "detections": boxes}
    (tmp_path / "md.json").write_text(json.dumps({"images": [image]}))
    path = str(survey / "a.mp4")
    past = RecordsByFile(tmp_path / "md.json", [path])
    found, expected = (
        model.classify(filepaths=[path], detections_dict=dict(records), classify="all")
        for records in (past, {path: detected})
    )
    assert found == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"frames_processed": [0, 4, 99]},
        {"frames_processed": None},
        {"detections": [{"frame_number": 4, "timestamp": 1.5}]},
    ],
)
def test_detections_of_other_frames_are_not_classified(
    model: SpeciesNet, survey: Path, detected: Any, changes: dict[str, Any]
) -> None:
    path = str(survey / "a.mp4")
    boxes = [{**detected["detections"][0], **box} for box in changes.get("detections", [])]
    changed = {**detected, **changes, "detections": boxes or detected["detections"]}
    changed = {key: value for key, value in changed.items() if value is not None}
    found = model.classify(filepaths=[path], detections_dict={path: changed})
    assert found is not None
    assert found["predictions"][0].get("failures") == ["CLASSIFIER"]


def test_classifications_of_other_frames_are_refused(
    model: SpeciesNet, survey: Path, detected: Any
) -> None:
    path = str(survey / "a.mp4")
    classified = model.classify(filepaths=[path], frames=[0, 1])
    assert classified is not None
    with pytest.raises(InputError, match="different frames than its detections"):
        model.ensemble_from_past_runs(
            filepaths=[path],
            detections_dict={path: detected},
            classifications_dict={path: classified["predictions"][0]},
        )


def test_a_film_without_classes_fails(model: SpeciesNet, survey: Path, detected: Any) -> None:
    path = str(survey / "a.mp4")
    found = model.ensemble_from_past_runs(
        filepaths=[path],
        detections_dict={path: detected},
        classifications_dict={path: {"filepath": path, "failures": ["CLASSIFIER"]}},
    )
    assert found is not None
    assert found["predictions"][0].get("failures") == ["CLASSIFIER"]


def test_format_5_keeps_the_frames_of_boxes(model: SpeciesNet, survey: Path) -> None:
    path = str(survey / "a.mp4")
    every = model.predict(filepaths=[path], classify="all")
    found: Any = model.predict(filepaths=[path], output_format=5)
    assert every is not None
    film, [record] = every["predictions"][0], found["predictions"]
    for key in ("frame_rate", "frames_processed", "duration", "frame"):
        assert record[key] == film.get(key)
    keys = ("frame_number", "timestamp", "prediction")
    boxes = [[box.get(key) for key in keys] for box in from_format5(record).get("detections", ())]
    assert boxes == [[box.get(key) for key in keys] for box in film.get("detections", ())]


@pytest.mark.parametrize("output_format", [4, 5])
def test_a_finished_film_is_not_done_again(
    model: SpeciesNet,
    survey: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    output_format: int,
) -> None:
    out = tmp_path / "out.json"
    options: dict[str, Any] = {
        "filepaths": [str(survey / "a.mp4")],
        "predictions_json": str(out),
        "output_format": output_format,
    }
    model.predict(**options)
    before = out.read_bytes()
    monkeypatch.setattr("speciesnet.pipeline.films.open_film", None)
    model.predict(**options)
    assert out.read_bytes() == before


def test_other_frames_are_another_run(model: SpeciesNet, survey: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out.json")
    film, photograph = str(survey / "a.mp4"), str(survey / "e.jpg")
    model.predict(filepaths=[photograph], predictions_json=out)
    settings = Path(f"{out}.run.json")
    assert "video_fps" not in json.loads(settings.read_text())
    model.predict(filepaths=[photograph, film], predictions_json=out)
    assert json.loads(settings.read_text())["video_fps"] == 1.0
    model.predict(filepaths=[photograph], predictions_json=out)  # keeps the settings of the film
    with pytest.raises(OutputError, match="video_fps"):
        model.predict(filepaths=[photograph, film], predictions_json=out, video_fps=2.0)


def test_memory_holds_some_frames_of_a_film_only(tmp_path: Path) -> None:
    path = clips.film(tmp_path / "a.mp4", count=120)
    photos = read_films([path], FilmReader(Sampling(fps=30)))
    assert next(photos).frame is not None
    photos.close()


def test_a_film_with_the_name_of_a_photograph_is_left_out_if_films_are(survey: Path) -> None:
    from speciesnet.pipeline import read_photo

    assert "--videos skip leaves films out" in (read_photo(str(survey / "d.jpg")).error or "")


def test_films_follow_the_photographs_through_a_guard(survey: Path, model: SpeciesNet) -> None:
    guarded: dict[str, list[str]] = {}

    class Guarded:
        def photos(self, paths: list[str], _: object) -> Iterator[Photo]:
            guarded["photos"] = list(paths)
            yield from (Photo(path, is_damaged=True) for path in paths)

        def films(self, paths: list[str], _: object) -> Iterator[Photo]:
            guarded["films"] = list(paths)
            yield from map(Photo, paths)

    film, photograph, renamed = (str(survey / name) for name in ("a.mp4", "e.jpg", "d.jpg"))
    run = Run(films=Sampling())
    found = photos_of(run, model, cast("Guards", Guarded()), [film, photograph, renamed])
    assert [photo.filepath for photo in found] == [photograph, film, renamed]
    assert guarded == {"photos": [photograph, renamed], "films": [film, renamed]}
