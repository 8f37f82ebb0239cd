"""Format 5: conversions in both directions, and files of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speciesnet.constants import Classification
from speciesnet.errors import InputError, MalformedRecordError, OutputError
from speciesnet.predictions.file import PredictionsFile
from speciesnet.predictions.format5 import (
    Form,
    checked_classes,
    checked_format,
    from_format5,
    is_format5,
    rounded,
    to_format5,
)
from speciesnet.predictions.layout import FOOTER, HEADERS, format_of, has_own_layout
from speciesnet.predictions.lookup import RecordsByFile
from speciesnet.predictions.reading import load_partial_predictions, read_as_written, read_records
from speciesnet.predictions.settings import RunSettings, settings_path
from speciesnet.records import Instance, Record
from speciesnet.records.boxes import BoxSelection

FOX, HARE, OWL = "1;;;;;;fox", "2;;;;;;hare", "3;;;;;;owl"
CLASSES = {"classes": [FOX, HARE, OWL], "scores": [0.9, 0.05, 0.01]}
ANSWER = {"prediction": FOX, "prediction_score": 0.9, "prediction_source": "classifier"}
PROCESSED = {"class": FOX, "score": 0.9, "source": "classifier"}
SETTINGS = RunSettings(
    "all",
    {"version": "1.0"},
    classify="all",
    detection_threshold_for_classification=0.1,
    output_format=5,
    max_classifications_per_detection=2,
)


def box(conf: float, **more: object) -> Any:
    return {"category": "1", "label": "animal", "conf": conf, "bbox": [0.1, 0.1, 0.5, 0.5], **more}


def answered(conf: float) -> Any:
    return box(conf, classifications=CLASSES, **ANSWER)


def record(*boxes: Any, **more: Any) -> Any:
    """The record of a run whose best box is the first one."""
    found: Any = {"filepath": "a.jpg", "country": "KEN", "classifications": CLASSES}
    return {**found, "detections": list(boxes), **ANSWER, "model_version": "1.0", **more}


def converted(given_record: Any, **form: Any) -> Any:
    return to_format5(given_record, Form(**form))


# Writing


def test_answers_of_boxes_are_written_and_those_of_the_image_are_not() -> None:
    found = converted(record(answered(0.9), box(0.05), latitude=1.5, longitude=2.5))
    assert list(found) == [
        *("filepath", "country", "latitude", "longitude", "detections", "model_version")
    ]
    best, other = found["detections"]
    assert list(best) == [
        *("category", "label", "conf", "bbox", "raw_classifications", "processed_classification")
    ]
    assert best["raw_classifications"] == {"classes": [FOX, HARE], "scores": [0.9, 0.05]}
    assert best["processed_classification"] == PROCESSED
    assert other == box(0.05)


@pytest.mark.parametrize(("classes", "count"), [(1, 1), (2, 2), (5, 3), (None, 3)])
def test_as_many_classes_as_asked_for_are_written(classes: int | None, count: int) -> None:
    targets: Any = {**CLASSES, "target_classes": [OWL], "target_logits": [-1.5]}
    boxes = [box(0.9, classifications=targets, **ANSWER)]
    raw = converted(record(*boxes), classes=classes)["detections"][0]["raw_classifications"]
    assert len(raw["classes"]) == len(raw["scores"]) == count
    assert raw["target_logits"] == [-1.5]


def test_conversion_leaves_the_record_alone() -> None:
    original = record(answered(0.9))
    before = json.dumps(original)
    converted(original, classes=1)
    converted(original, whole_image=True)
    assert json.dumps(original) == before


def test_a_model_of_whole_images_has_a_box_around_the_image() -> None:
    found = converted(record(box(0.9), box(0.2)), whole_image=True)
    assert found["detections"] == [
        {
            "category": "0",
            "label": "whole_image_classification",
            "conf": 1.0,
            "bbox": [0.0, 0.0, 1.0, 1.0],
            "raw_classifications": {"classes": [FOX, HARE], "scores": [0.9, 0.05]},
            "processed_classification": PROCESSED,
        },
        box(0.9),
        box(0.2),
    ]
    alone = {"filepath": "a.jpg", "classifications": CLASSES}
    [only] = converted(alone, whole_image=True)["detections"]
    assert "processed_classification" not in only


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        # What the published program 5.0.6 writes for these.
        (
            {"failures": ["CLASSIFIER", "DETECTOR"], "model_version": "1"},
            ["CLASSIFIER", "DETECTOR"],
        ),
        (
            {"failures": ["CLASSIFIER"], "detections": [box(0.9)], "model_version": "1"},
            ["CLASSIFIER"],
        ),
        ({"failures": ["CLASSIFIER"], "detections": [box(0.05)], "model_version": "1"}, None),
        ({"failures": ["CLASSIFIER"], "detections": [], "model_version": "1"}, None),
        ({"failures": ["CLASSIFIER"], "detections": [box(0.05)]}, None),
        ({"failures": ["CLASSIFIER", "GEOLOCATION"], "detections": []}, ["GEOLOCATION"]),
        ({"failures": ["DETECTOR"]}, ["DETECTOR"]),
        ({"classifications": CLASSES}, ["CLASSIFIER"]),  # the classifier alone, on an unknown image
    ],
)
def test_only_an_image_with_a_box_to_classify_fails_without_classes(
    values: Any, expected: list[str] | None
) -> None:
    found = converted({"filepath": "a.jpg", **values})
    assert found.get("failures") == expected
    assert found.get("detections") == values.get("detections")


def test_an_image_that_the_classifier_cannot_read_has_no_boxes() -> None:
    failed = {"filepath": "a.jpg", "failures": ["CLASSIFIER"], "detections": [box(0.9)]}
    assert converted(failed) == {"filepath": "a.jpg", "failures": ["CLASSIFIER"]}


def test_whole_image_without_detector_has_classes_and_no_answer() -> None:
    failed: Any = {"filepath": "a.jpg", "failures": ["DETECTOR"], "classifications": CLASSES}
    found = converted({**failed, "model_version": "1"}, whole_image=True)
    assert found["failures"] == ["DETECTOR"]
    assert [sorted(each) for each in found["detections"]] == [
        ["bbox", "category", "conf", "label", "raw_classifications"]
    ]


@pytest.mark.parametrize(
    ("output_format", "classify", "has_classes", "words"),
    [
        (5, "best", False, "leave it out, or use output_format 4"),
        (4, None, True, "add output_format 5"),
        (3, None, False, "must be 4 or 5"),
    ],
)
def test_contradictions_are_refused(
    output_format: int, classify: Any, has_classes: bool, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        checked_format(output_format, classify, has_classes=has_classes)


def test_format_5_implies_answers_for_all_boxes() -> None:
    assert checked_format(5, None) == checked_format(5, "all") == (5, "all")
    assert checked_format(None, None) == (4, "best")
    assert [checked_classes(count) for count in (None, -1, 3)] == [None, None, 3]
    with pytest.raises(InputError, match="at least 1"):
        checked_classes(0)


# Reading


def test_the_image_has_the_answer_of_its_best_box() -> None:
    found = from_format5(converted(record(answered(0.9), box(0.05))))
    short = {"classes": [FOX, HARE], "scores": [0.9, 0.05]}
    assert found == record(box(0.9, classifications=short, **ANSWER), box(0.05)) | {
        "classifications": short
    }
    assert list(found) == list(record(answered(0.9)))


@pytest.mark.parametrize(("boxes", "score"), [([], 1.0), ([box(0.0403), box(0.02)], 0.9597)])
def test_an_image_without_a_classified_box_is_blank(boxes: list[Any], score: float) -> None:
    found: Any = from_format5({"filepath": "a.jpg", "detections": boxes, "model_version": "1"})
    assert found["prediction"] == Classification.BLANK
    assert (found["prediction_score"], found["prediction_source"]) == (score, "detector")
    assert "classifications" not in found


@pytest.mark.parametrize(
    "values",
    [
        {"detections": [box(0.9)]},  # of the detector alone
        {"detections": []},
        {"failures": ["CLASSIFIER"], "detections": [box(0.9)], "model_version": "1"},
        {"failures": ["CLASSIFIER", "DETECTOR"], "model_version": "1"},
        {"failures": ["DETECTOR"]},
    ],
)
def test_records_of_single_steps_and_failures_get_no_answer(values: Any) -> None:
    assert from_format5({"filepath": "a.jpg", **values}) == {"filepath": "a.jpg", **values}


def test_a_whole_image_gives_its_classes_back() -> None:
    boxes = [box(0.9), box(0.2)]
    original = record(*boxes)
    assert from_format5(converted(original, whole_image=True, classes=None)) == original
    alone: Any = {"filepath": "a.jpg", "classifications": CLASSES}
    assert from_format5(converted(alone, whole_image=True, classes=None)) == alone


def test_records_of_format_4_are_not_of_format_5() -> None:
    assert not is_format5(record(answered(0.9)))
    assert not is_format5({"filepath": "a.jpg", "detections": [box(0.9)]})
    assert is_format5(converted(record(answered(0.9))))
    assert is_format5({"filepath": "a.jpg", "detections": [], "model_version": "1"})


confidences = st.lists(st.floats(0.01, 1), max_size=5).map(lambda c: sorted(c, reverse=True))
scores = st.lists(st.floats(0, 1), min_size=1, max_size=5).map(lambda s: sorted(s, reverse=True))


@st.composite
def records(draw: st.DrawFn) -> Any:
    """Records of runs that classify all boxes."""
    boxes: list[Any] = []
    for conf in draw(confidences):
        bbox = draw(st.lists(st.floats(0, 1), min_size=4, max_size=4))
        found = box(conf) | {"bbox": bbox, "category": draw(st.sampled_from("123"))}
        if conf >= 0.1:
            numbers = draw(scores)
            classes = [f"{number};class" for number in range(len(numbers))]
            found |= {
                "classifications": {"classes": classes, "scores": numbers},
                "prediction": draw(st.sampled_from([*classes, "animal"])),
                "prediction_score": draw(st.floats(0, 1)),
                "prediction_source": "classifier",
            }
        boxes.append(found)
    place = draw(st.sampled_from([{}, {"country": "KEN"}, {"latitude": 1.23456, "longitude": 2.0}]))
    best = boxes[0] if boxes and "prediction" in boxes[0] else {}
    image = {key: best[key] for key in ("classifications", *ANSWER) if key in best}
    return {"filepath": "a.jpg", **place, "detections": boxes, **image, "model_version": "1.0"}


@given(records())
def test_round_trip_keeps_everything_but_decimals(original: Any) -> None:
    written = rounded(converted(original, classes=None))
    assert is_format5(json.loads(json.dumps(written)))
    found: Any = from_format5(written)
    expected = rounded(original)
    if "prediction" not in original:
        assert found.pop("prediction") == Classification.BLANK
        del found["prediction_score"], found["prediction_source"]
    assert found == expected
    assert rounded(converted(from_format5(written), classes=None)) == written


# Files


def write_published(path: Path, records: list[Any]) -> None:
    """A file as the published program writes it."""
    document = {"info": {"format_version": "20261015"}, "predictions": rounded(records)}
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False), encoding="utf-8")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out.json"


def made(name: str) -> Record:
    return record(answered(0.123456), box(0.05)) | {"filepath": name}


def run(
    path: Path, names: list[str], form: Form | None = None, settings: RunSettings = SETTINGS
) -> list[str]:
    """Runs the pending images, and returns them."""
    instances = [Instance(name, country="KEN") for name in names]
    with PredictionsFile(path, instances, settings, form=form) as file:
        pending = file.pending
        for name in pending:
            file.write([made(name)])
    return pending


def test_a_file_has_the_header_of_format_5_and_one_record_a_line(path: Path) -> None:
    run(path, ["a.jpg", "b.jpg"], Form())
    lines = path.read_bytes().splitlines(keepends=True)
    assert lines[0] == HEADERS[5]
    assert len(lines) == 4
    document = json.loads(path.read_text())
    assert document["info"] == {"format_version": "20261015"}
    assert document["predictions"] == [
        rounded(converted(made(name))) for name in ("a.jpg", "b.jpg")
    ]
    assert (format_of(path), has_own_layout(path)) == (5, True)


@pytest.mark.parametrize("cut", [0, 1, 30, 61, 62, 70, 400, -1, -4, -5])
def test_a_run_that_was_killed_goes_on(path: Path, cut: int) -> None:
    names = ["a.jpg", "b.jpg", "c.jpg"]
    run(path, names, Form())
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    run(path, names, Form())
    assert path.read_bytes() == whole
    assert run(path, names, Form()) == []


@pytest.mark.parametrize("settings_are_lost", [False, True])
def test_a_file_of_the_other_format_is_refused(path: Path, settings_are_lost: bool) -> None:
    four = RunSettings(
        "all", {"version": "1.0"}, classify="all", detection_threshold_for_classification=0.1
    )
    for first, second, found in ((Form(), None, 5), (None, Form(), 4)):
        path.unlink(missing_ok=True)
        run(path, ["a.jpg"], first, SETTINGS if first else four)
        if settings_are_lost:
            settings_path(path).unlink()
        before = path.read_bytes()
        with pytest.raises(OutputError, match=f"Add --output_format {found} to continue it"):
            run(path, ["a.jpg"], second, SETTINGS if second else four)
        assert path.read_bytes() == before


def test_records_of_format_5_without_its_header_are_refused(path: Path) -> None:
    path.write_text(json.dumps({"predictions": [converted(made("a.jpg"))]}))
    with pytest.raises(OutputError, match="Add --output_format 5 to continue it"):
        run(path, ["a.jpg"], None)


def test_a_published_file_is_continued_with_its_records_as_they_are(path: Path) -> None:
    near = converted(made("a.jpg"), classes=1)
    near["detections"][1]["conf"] = 0.1  # of 0.09996, which was not classified
    empty = {
        "filepath": "c.jpg",
        "country": "KEN",
        "detections": [box(0.1)],
        "model_version": "1.0",
    }
    failed = {"filepath": "d.jpg", "failures": ["CLASSIFIER"], "country": "KEN"}
    write_published(
        path, [near, empty, {**failed, "detections": [box(0.9)], "model_version": "1.0"}]
    )
    names = ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    assert run(path, names, Form()) == ["b.jpg", "d.jpg"]
    by_name = {found["filepath"]: found for found in read_as_written(path)}
    assert by_name == {
        "a.jpg": rounded(near),
        "b.jpg": rounded(converted(made("b.jpg"))),
        "c.jpg": empty,
        "d.jpg": rounded(converted(made("d.jpg"))),
    }
    assert path.with_name("out.json.bak").exists()


def test_another_number_of_classes_is_another_run(path: Path) -> None:
    run(path, ["a.jpg"], Form())
    other = RunSettings(**{**vars(SETTINGS), "max_classifications_per_detection": 5})
    with pytest.raises(OutputError, match="max_classifications_per_detection 2 there, 5 here"):
        run(path, ["a.jpg", "b.jpg"], Form(classes=5), other)


def test_the_summary_counts_what_a_later_run_would(path: Path) -> None:
    found = record(box(0.05))  # classified as a whole: format 5 does not have this
    with PredictionsFile(path, [Instance("a.jpg", country="KEN")], SETTINGS, form=Form()) as file:
        file.write([found])
    assert file.tally.answers == {Classification.BLANK.value: 1}
    with PredictionsFile(path, [Instance("a.jpg", country="KEN")], SETTINGS, form=Form()) as again:
        assert again.tally == file.tally


@pytest.mark.parametrize("is_own", [True, False])
def test_readers_convert_and_say_once_what_is_missing(
    path: Path, caplog: pytest.LogCaptureFixture, is_own: bool
) -> None:
    blank = {"filepath": "b.jpg", "detections": [], "model_version": "1.0"}
    found = [converted(made("a.jpg")), blank]
    if is_own:
        lines = [json.dumps(rounded(each)).encode() for each in found]
        path.write_bytes(HEADERS[5] + b",\n".join(lines) + FOOTER)
    else:
        write_published(path, found)
    first, second = read_records(path)
    assert first.get("prediction") == FOX
    assert second.get("prediction") == Classification.BLANK
    list(read_records(path))
    [message] = [each.message for each in caplog.records]
    assert "1 of 2 photographs has no classified box and is read as blank" in message
    assert "1 of 1 classified box has at most 2 classes" in message
    assert "--max_classifications_per_detection 5" in message
    finished, left = load_partial_predictions(
        str(path), [{"filepath": "a.jpg"}, {"filepath": "b.jpg"}]
    )
    assert (list(finished), left) == (["a.jpg", "b.jpg"], [])


@pytest.mark.parametrize("is_own", [True, False])
def test_single_records_are_converted_as_well(path: Path, is_own: bool) -> None:
    if is_own:
        run(path, ["a.jpg"], Form())
    else:
        write_published(path, [converted(made("a.jpg"))])
    found = RecordsByFile(path, ["a.jpg"])
    assert found["a.jpg"] == next(read_records(path))
    [note] = found.notes
    assert "has at most 2 classes" in note
    assert RecordsByFile(path, ["a.jpg"], for_classes=False).notes == ()


@pytest.mark.parametrize(
    "change",
    [
        {"processed_classification": {"class": FOX}},
        {"processed_classification": 3},
        {"raw_classifications": {"classes": [FOX]}},
        {"raw_classifications": 3},
        {"conf": "high"},
    ],
)
def test_malformed_records_are_named(path: Path, change: Mapping[str, object]) -> None:
    found = converted(made("a.jpg"))
    found["detections"][0].update(change)
    write_published(path, [found])
    with pytest.raises(MalformedRecordError, match=r"a\.jpg is malformed"):
        list(read_records(path))


def test_a_selection_of_boxes_decides_what_can_fail() -> None:
    failed = {"filepath": "a.jpg", "failures": ["CLASSIFIER"], "detections": [box(0.3)]}
    failed["model_version"] = "1"
    assert "failures" not in converted(failed, boxes=BoxSelection(0.5))
