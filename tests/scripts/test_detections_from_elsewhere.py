"""Detections of other programs, and images that are deleted between two commands."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Outcome, read_predictions, run_here
from PIL import Image

from speciesnet.predictions.file import PredictionsFile
from speciesnet.records import Record

CATEGORIES = {"1": "animal", "2": "person", "3": "vehicle"}
BOX = {"category": "1", "conf": 0.9, "bbox": [0.1, 0.2, 0.3, 0.4]}
CLASSES = {"classes": ["u;mammalia;carnivora;canidae;vulpes;vulpes;red fox"], "scores": [0.9]}
NAMES = ["cam1/IMG_0001.JPG", "cam1/IMG_0002.JPG", "cam2/IMG_0001.JPG"]


@pytest.fixture
def survey(tmp_path: Path) -> Path:
    folder = tmp_path / "survey"
    random = np.random.default_rng(3)
    for name in NAMES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 255, (60, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return folder


def write(path: Path, images: dict[str, Any]) -> Path:
    entries = [{"file": name, "detections": boxes} for name, boxes in images.items()]
    path.write_text(json.dumps({"images": entries, "detection_categories": CATEGORIES}))
    return path


def classify(folder: Path, detections: Path, survey: str | Path = "survey") -> Outcome:
    return run_here(
        "run_model", "--model", "demo", "--classifier_only", "--folders", survey, "--precision",
        "fp32", "--detections_json", detections, "--predictions_json", folder / "classes.json",
        cwd=folder,
    )  # fmt: skip


def decide(folder: Path, detections: Path, classes: Path) -> Outcome:
    return run_here(
        "run_model", "--model", "demo", "--ensemble_only", "--folders", "survey",
        "--detections_json", detections, "--classifications_json", classes, "--predictions_json",
        folder / "out.json", cwd=folder,
    )  # fmt: skip


def classes_of(folder: Path) -> dict[str, Any]:
    records = read_predictions(folder / "classes.json")
    return {r["filepath"]: r.get("classifications", r.get("failures")) for r in records}


def test_images_without_an_entry_fail(survey: Path, tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.json", {name: [BOX] for name in NAMES})
    assert classify(tmp_path, whole).code == 0
    expected = classes_of(tmp_path)
    (tmp_path / "classes.json").unlink()
    some = write(
        tmp_path / "some.json", {name: [BOX] for name in (*NAMES[:2], "cam3/IMG_0001.JPG")}
    )
    outcome = classify(tmp_path, some)
    assert outcome.code == 0, outcome.err
    expected["survey/cam2/IMG_0001.JPG"] = ["CLASSIFIER"]
    assert classes_of(tmp_path) == expected
    assert list(classes_of(tmp_path)) == [f"survey/{name}" for name in NAMES]
    for note in ("1 of 3 entries of", "1 of 3 images of this run", "1 image fails, because"):
        assert note in outcome.out and note in outcome.err
    outcome = decide(tmp_path, some, tmp_path / "classes.json")
    assert outcome.code == 0 and "3 images, 1 of them failed." in outcome.out
    assert read_predictions(tmp_path / "out.json")[2]["failures"] == ["CLASSIFIER", "DETECTOR"]


@pytest.mark.parametrize("origin", ["own", "megadetector", "moved"])
def test_detector_of_three_steps_is_that_of_the_first(
    survey: Path, tmp_path: Path, origin: str
) -> None:
    boxes = tmp_path / "boxes.json"
    if origin == "megadetector":
        write(boxes, {name: [BOX] for name in NAMES})
        found = {"info": {"detector": "md_v5b.0.1.pt"}, **json.loads(boxes.read_text())}
        boxes.write_text(json.dumps(found))
    else:
        records = [{"filepath": f"survey/{name}", "detections": []} for name in NAMES]
        boxes.write_text(json.dumps({"predictions": records}))
        settings = {"components": "detector", "detector_name": "md_v5b.0.1.pt"}
        (tmp_path / "boxes.json.run.json").write_text(json.dumps(settings))
    classes = tmp_path / "classes.json"
    records = [{"filepath": f"survey/{name}", "classifications": CLASSES} for name in NAMES]
    classes.write_text(json.dumps({"predictions": records}))
    if origin == "moved":
        (tmp_path / "boxes.json.run.json").unlink()
    assert decide(tmp_path, boxes, classes).code == 0
    assert run_here("speciesnet_to_md", tmp_path / "out.json", tmp_path / "md.json").code == 0
    info = json.loads((tmp_path / "md.json").read_text())["info"]
    assert info["detector"] == ("unknown" if origin == "moved" else "md_v5b.0.1.pt")


def test_results_of_another_step_are_refused_as_detections(survey: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    records = [{"filepath": f"survey/{name}", "classifications": {}} for name in NAMES]
    other.write_text(json.dumps({"predictions": records}))
    outcome = classify(tmp_path, other)
    assert outcome.code == 1 and "All 3 images failed" in outcome.sentence
    assert list(classes_of(tmp_path).values()) == [["CLASSIFIER"]] * 3


def test_images_on_which_the_detector_failed_are_classified_whole_and_counted(
    survey: Path, tmp_path: Path
) -> None:
    failed = write(tmp_path / "failed.json", {NAMES[0]: None, NAMES[1]: [], NAMES[2]: [BOX]})
    outcome = classify(tmp_path, failed)
    assert outcome.code == 0
    assert all("classes" in found for found in classes_of(tmp_path).values())
    note = (
        f"1 image is classified as a whole, because the detector failed on it in {failed}, such as "
        f"survey/{NAMES[0]}."
    )
    assert note in outcome.out and outcome.err.count(note) == 1
    assert "has none for" not in outcome.out
    outcome = decide(tmp_path, failed, tmp_path / "classes.json")
    assert outcome.code == 0 and "3 images, 1 of them failed." in outcome.out
    note = (
        f"1 image fails, because an earlier step has no result for it, such as survey/{NAMES[0]}."
    )
    assert note in outcome.out and outcome.err.count(note) == 1
    assert "to retry" not in outcome.out


def test_damaged_images_are_counted_and_not_offered_for_a_retry(
    survey: Path, tmp_path: Path
) -> None:
    arguments = (
        "--model", "demo", "--filepaths", f"survey/{NAMES[0]},survey/bad.jpg,survey/gone.jpg",
        "--predictions_json", tmp_path / "out.json", "--precision", "fp32",
    )  # fmt: skip
    (survey / "bad.jpg").write_bytes(b"\xff\xd8\xff not a photograph")
    outcome = run_here("run_model", *arguments, cwd=tmp_path)
    note = "1 image is damaged or not an image, such as survey/bad.jpg."
    assert note in outcome.out and outcome.err.count(note) == 1
    assert "Run the same command again to retry 1 of the failed images." in outcome.out
    shutil.copy(survey / NAMES[1], survey / "gone.jpg")
    outcome = run_here("run_model", *arguments, cwd=tmp_path)
    assert "3 images, 1 of them failed." in outcome.out and note in outcome.out
    assert "to retry" not in outcome.out


def test_results_of_our_own_detector_are_treated_like_those_of_others(
    survey: Path, tmp_path: Path
) -> None:
    records = [{"filepath": f"survey/{name}", "detections": []} for name in NAMES[:2]]
    records.append({"filepath": f"survey/{NAMES[2]}", "failures": ["DETECTOR"]})
    own = tmp_path / "own.json"
    own.write_text(json.dumps({"predictions": records}))
    outcome = classify(tmp_path, own)
    assert outcome.code == 0 and "1 image is classified as a whole" in outcome.out
    assert "classes" in classes_of(tmp_path)[f"survey/{NAMES[2]}"]


def test_renamed_images_are_counted_from_both_sides(survey: Path, tmp_path: Path) -> None:
    some = write(tmp_path / "some.json", {"cam1/A.JPG": [BOX], NAMES[1]: [BOX], NAMES[2]: [BOX]})
    outcome = classify(tmp_path, some)
    assert outcome.code == 0, outcome.err
    for note in (
        f"1 of 3 entries of {some} is left out: its image is not in this run, such as cam1/A.JPG.",
        f"1 of 3 images of this run has no entry in {some}, such as survey/{NAMES[0]}. If images "
        f"were renamed or moved after {some} was written",
    ):
        assert note in outcome.out and outcome.err.count(note) == 1
    other = write(tmp_path / "other.json", {"cam1/A.JPG": [BOX], "cam1/B.JPG": [BOX]})
    outcome = classify(tmp_path, other)
    assert outcome.code == 1
    assert f"None of the 2 entries of {other} matches any of the 3 images" in outcome.sentence
    assert "cam1/A.JPG" in outcome.sentence and f"survey/{NAMES[0]}" in outcome.sentence


def test_images_deleted_between_two_commands(survey: Path, tmp_path: Path) -> None:
    arguments = (
        "--model", "demo", "--folders", "survey", "--predictions_json", tmp_path / "out.json",
        "--precision", "fp32",
    )  # fmt: skip
    (survey / NAMES[1]).write_bytes(b"")
    outcome = run_here("run_model", *arguments, cwd=tmp_path)
    assert outcome.code == 0 and "3 images, 1 of them failed." in outcome.out
    (survey / NAMES[1]).unlink()
    before = (tmp_path / "out.json").read_bytes()
    outcome = run_here("run_model", *arguments, cwd=tmp_path)
    assert outcome.code == 0, outcome.err
    assert "2 images, 0 of them failed." in outcome.out
    note = f"1 record of {tmp_path / 'out.json'} is kept although its image is not in this run"
    assert note in outcome.out and note in outcome.err
    assert (tmp_path / "out.json").read_bytes() == before
    outcome = run_here("run_model", *arguments, "--ignore_existing", cwd=tmp_path)
    assert outcome.code == 0 and "are kept" not in outcome.out
    assert len(read_predictions(tmp_path / "out.json")) == 2
    merged = tmp_path / "merged.json"
    assert run_here("merge", merged, tmp_path / "out.json", tmp_path / "out.json.bak").code == 0
    assert len(read_predictions(merged)) == 3


def test_pictures_that_become_white_or_black_are_counted(survey: Path, tmp_path: Path) -> None:
    deep = np.arange(4800, dtype=np.uint16).reshape(60, 80)
    Image.fromarray(deep + 4000).save(survey / "white.png")
    Image.fromarray(deep.astype(np.float32) / 4799).save(survey / "black.tif")
    Image.fromarray(np.full((60, 80), 4000, np.uint16)).save(survey / "flat.png")
    Image.fromarray(deep % 256).save(survey / "dark.png")
    outcome = run_here(
        "run_model", "--model", "demo", "--folders", "survey", "--precision", "fp32",
        "--predictions_json", tmp_path / "out.json", cwd=tmp_path,
    )  # fmt: skip
    note = "2 images have more than 8 bits and become white or black, such as survey/black.tif."
    assert outcome.code == 0 and note in outcome.out and note in outcome.err


def test_image_files_that_are_cut_off_are_counted(survey: Path, tmp_path: Path) -> None:
    whole = survey / "whole.jpg"
    Image.effect_noise((80, 60), 60).convert("RGB").save(whole)
    (survey / "part.jpg").write_bytes(whole.read_bytes()[:2000])
    outcome = run_here(
        "run_model", "--model", "demo", "--folders", "survey", "--precision", "fp32",
        "--predictions_json", tmp_path / "out.json", cwd=tmp_path,
    )  # fmt: skip
    note = "1 image file is cut off; its answer comes from the part that can be read"
    assert outcome.code == 0 and note in outcome.out and note in outcome.err


def test_every_part_of_a_run_counts_the_image_files_of_the_whole_run_that_are_cut_off(
    survey: Path, tmp_path: Path
) -> None:
    def notes(*more: str) -> tuple[bool, bool, bool]:
        outcome = run_here(
            "run_model", "--model", "demo", "--folders", "survey", "--precision", "fp32",
            "--predictions_json", "out.json", *more, cwd=tmp_path,
        )  # fmt: skip
        assert outcome.code == 0, outcome.err
        assert ("cut off" in outcome.out) == ("cut off" in outcome.err)
        starts = ("1 image file is cut off", "2 image files are cut off", "cut off")
        one, two, any_ = (text in outcome.out for text in starts)
        return one, two, any_

    def cut_off(name: str) -> None:
        (survey / name).write_bytes(whole.read_bytes()[:2000])

    whole = tmp_path / "whole.jpg"
    Image.effect_noise((80, 60), 60).convert("RGB").save(whole)
    none, one, two = (False, False, False), (True, False, True), (False, True, True)
    assert notes() == none
    cut_off("part1.jpg")
    assert [notes(), notes()] == [one, one]  # the second run has nothing to do
    shutil.copy(whole, survey / "new.jpg")
    assert notes() == one
    cut_off("part2.jpg")
    assert [notes(), notes("--ignore_existing")] == [two, two]
    (survey / "part1.jpg").unlink()
    assert notes() == one


def test_image_files_that_are_cut_off_are_counted_after_an_interruption(
    survey: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole.jpg"
    Image.effect_noise((80, 60), 60).convert("RGB").save(whole)
    (survey / "cam1" / "A.JPG").write_bytes(whole.read_bytes()[:2000])  # the first image
    write_records = PredictionsFile.write

    def write_and_interrupt(self: PredictionsFile, records: Sequence[Record]) -> None:
        write_records(self, records)
        if records[0]["filepath"].endswith("IMG_0001.JPG"):
            raise KeyboardInterrupt

    arguments = (
        "run_model", "--model", "demo", "--folders", "survey", "--precision", "fp32",
        "--predictions_json", "out.json",
    )  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(PredictionsFile, "write", write_and_interrupt)
        assert run_here(*arguments, cwd=tmp_path).code == 130
    assert "1 image file is cut off" in run_here(*arguments, cwd=tmp_path).out


def test_images_without_classes_fail_as_if_the_classifier_had_failed(
    survey: Path, tmp_path: Path
) -> None:
    boxes = write(tmp_path / "boxes.json", {name: [BOX] for name in NAMES})
    classify(tmp_path, boxes)
    classes = tmp_path / "classes.json"
    document = json.loads(classes.read_text())
    document["predictions"][0]["classifications"] = {"classes": [], "scores": []}
    classes.write_text(json.dumps(document))
    outcome = decide(tmp_path, boxes, classes)
    note = (
        f"1 image fails, because an earlier step has no result for it, such as survey/{NAMES[0]}."
    )
    assert outcome.code == 0 and note in outcome.out and note in outcome.err
    first, *others = read_predictions(tmp_path / "out.json")
    assert first["failures"] == ["CLASSIFIER"] and "prediction" not in first
    assert first["detections"] and all("prediction" in one for one in others)
    again = run_here(  # a run that continues the file with the empty classes
        "run_model", "--model", "demo", "--classifier_only", "--folders", "survey", "--precision",
        "fp32", "--detections_json", boxes, "--predictions_json", classes, cwd=tmp_path,
    )  # fmt: skip
    assert again.code == 0, again.err


@pytest.mark.parametrize(
    "name",
    [
        "rel", "winrel", "nocats", "pw_cats", "abs", "other_root", "winabs", "intcat", "upper",
        "superset", "video", "case", "subset",
    ],
)  # fmt: skip
@pytest.mark.parametrize("root", ["", "here"])
def test_files_in_the_format_of_megadetector(
    shared: Path, tmp_path: Path, name: str, root: str
) -> None:
    case = shared / "cases" / "megadetector_json"
    if not case.is_dir():
        pytest.skip("needs the cases")
    shutil.copytree(case / "survey", tmp_path / "survey")
    text = (case / f"{name}.json").read_text()
    path = tmp_path / f"{name}.json"
    path.write_text(text.replace("/data/", f"{tmp_path.as_posix()}/") if name == "abs" else text)
    outcome = classify(tmp_path, path, tmp_path / "survey" if root else "survey")
    assert outcome.code == 0, outcome.err
    found = list(classes_of(tmp_path).values())
    assert ["classes" in classes for classes in found] == [True, True, name != "subset"]
    assert ("1 of 4 entries of" in outcome.out) == (name in ("superset", "video"))
    assert ("1 of 3 images of this run" in outcome.out) == (name == "subset")
    (tmp_path / "classes.json").unlink()
    assert classify(tmp_path, case / "rel.json").code == 0
    assert found[:2] == list(classes_of(tmp_path).values())[:2]


@pytest.mark.parametrize("name", ["strconf", "pw_coco"])
def test_files_in_other_formats_are_refused(shared: Path, tmp_path: Path, name: str) -> None:
    case = shared / "cases" / "megadetector_json"
    if not case.is_dir():
        pytest.skip("needs the cases")
    outcome = classify(tmp_path, case / f"{name}.json", case / "survey")
    assert outcome.code == 1 and f"{name}.json" in outcome.sentence
    assert not (tmp_path / "classes.json").exists()
