from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image

from speciesnet.errors import InputError, OutputError
from speciesnet.export.megadetector import write_megadetector
from speciesnet.pipeline import PastResults
from speciesnet.predictions.lookup import RecordsByFile
from speciesnet.predictions.reading import read_records
from speciesnet.records import Instance
from speciesnet.run import Run, execute
from speciesnet.run.model import SpeciesNet

ANIMAL = {"category": "1", "conf": 0.9, "bbox": [0.1, 0.2, 0.3, 0.4]}
CATEGORIES = {"1": "animal", "2": "person", "3": "vehicle"}


def detections(tmp_path: Path, *images: Any, **more: Any) -> Path:
    path = tmp_path / "md.json"
    document = {"images": images, "detection_categories": CATEGORIES, "info": {}, **more}
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")
    return path


def image(file: str = "a.jpg", *boxes: Any) -> dict[str, Any]:
    return {"file": file, "detections": list(boxes)}


def test_boxes_become_those_of_our_detector(tmp_path: Path) -> None:
    person = ANIMAL | {"category": "2", "conf": 0.95}
    faint = ANIMAL | {"conf": 0.01}
    found = RecordsByFile(detections(tmp_path, image("a.jpg", ANIMAL, person, faint)), ["a.jpg"])
    assert found["a.jpg"].get("detections") == [
        {"category": "2", "label": "human", "conf": 0.95, "bbox": [0.1, 0.2, 0.3, 0.4]},
        {"category": "1", "label": "animal", "conf": 0.9, "bbox": [0.1, 0.2, 0.3, 0.4]},
    ]


def test_categories_go_by_name(tmp_path: Path) -> None:
    boxes = [ANIMAL | {"category": number} for number in ("0", "1", "7")]
    names = {"0": "vehicle", "1": "animal", "7": "unknown"}
    path = detections(tmp_path, image("a.jpg", *boxes), detection_categories=names)
    labels = [box["label"] for box in RecordsByFile(path, ["a.jpg"])["a.jpg"].get("detections", [])]
    assert labels == ["vehicle", "animal"]


def test_failures_are_kept(tmp_path: Path) -> None:
    failed = {"file": "a.jpg", "failure": "image access failure", "detections": None}
    found = RecordsByFile(detections(tmp_path, failed), ["a.jpg"])
    assert found["a.jpg"] == {"filepath": "a.jpg", "failures": ["DETECTOR"]}


@pytest.mark.parametrize("name", ["cam1/a.jpg", "cam1\\a.jpg", "./cam1/a.jpg", "/s/cam1/a.jpg"])
def test_relative_names_are_found_in_the_run(tmp_path: Path, name: str) -> None:
    paths = ["/s/cam1/a.jpg", "/s/cam2/a.jpg", "/s/xcam1/a.jpg"]
    found = RecordsByFile(detections(tmp_path, image(name, ANIMAL)), paths)
    assert list(found) == ["/s/cam1/a.jpg"]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            [image("b.jpg")],
            "The only entry of .* it names b.jpg, and the run has /s/1/a.jpg",
        ),
        ([image("a.jpg")], "may be /s/1/a.jpg or /s/2/a.jpg"),
        ([{"detections": []}], 'Image 1 of .* lacks "file"'),
        (
            [image("1/a.jpg", {"category": "1", "conf": "x"})],
            "detections of 1/a.jpg in .* malformed",
        ),
    ],
)
def test_images_outside_the_run_are_named(tmp_path: Path, images: list[Any], message: str) -> None:
    with pytest.raises((InputError, OutputError), match=message):
        RecordsByFile(detections(tmp_path, *images), ["/s/1/a.jpg", "/s/2/a.jpg"])


def test_file_cut_off_is_refused(tmp_path: Path) -> None:
    path = detections(tmp_path, image("a.jpg", ANIMAL))
    path.write_text(path.read_text()[:-200])
    with pytest.raises(InputError, match="is damaged, cut off or not in UTF-8"):
        RecordsByFile(path, ["a.jpg"])


@pytest.mark.parametrize("names", [3, ["animal"], {"1": None}, {"1": ["animal"]}])
def test_categories_without_names_are_refused(tmp_path: Path, names: Any) -> None:
    path = detections(tmp_path, image("a.jpg", ANIMAL), detection_categories=names)
    with pytest.raises(InputError, match="must map numbers to names"):
        RecordsByFile(path, ["a.jpg"])


@pytest.mark.parametrize(
    "box",
    [
        {"bbox": [0.1, 0.2, 0.3]},
        {"bbox": [0.1, 0.2, 0.3, 0.4, 0.5]},
        {"bbox": [0, 0, 1, "Infinity"]},
        {"bbox": "1234"},
        {"bbox": None},
        {"conf": "0.9"},
        {"conf": 91.2},
        {"conf": None},
        {"conf": True},
        {"bbox": ["0.1", "0.2", "0.3", "0.4"]},
        {"bbox": [10, 20, 100, 120]},
        {"bbox": [0.5, 0.5, 0.9, 0.9]},
    ],
)
def test_malformed_boxes_are_refused(tmp_path: Path, box: dict[str, Any]) -> None:
    path = detections(tmp_path, image("a.jpg", ANIMAL | box))
    with pytest.raises(InputError, match=r"detections of a\.jpg in .* are malformed"):
        RecordsByFile(path, ["a.jpg"])


@pytest.mark.parametrize(
    "name", ["caf\udce9.jpg", "\udcff.jpg", "half\ud83d.jpg", "\U0001f98a.jpg"]
)
def test_name_that_is_not_unicode_is_read(tmp_path: Path, name: str) -> None:
    found = RecordsByFile(detections(tmp_path, image(name, ANIMAL)), ["a.jpg", name])
    assert list(found) == [name] and len(found[name].get("detections", [])) == 1


@pytest.mark.parametrize("number", [2**63, 2**64, 10**30])
def test_large_integers_and_a_long_header_are_read(tmp_path: Path, number: int) -> None:
    more = {"info": {"id": number, "summary_report": "x" * 300_000}}
    path = tmp_path / "md.json"
    for document in (
        {**more, "images": [image("a.jpg", ANIMAL) | {"id": number}]},
        {"images": [image("a.jpg", ANIMAL)], **more},
    ):
        path.write_text(json.dumps(document))
        assert len(RecordsByFile(path, ["a.jpg"])["a.jpg"].get("detections", [])) == 1


@pytest.mark.parametrize(
    ("category", "names"),
    [
        (1, CATEGORIES),
        (1.0, CATEGORIES),
        ("1", {"1": "Animal", "2": "Person"}),
        ("0", {"0": " ANIMAL ", "1": "person"}),
        (0, {"0": "animal", "1": "person"}),
        ("animal", CATEGORIES),
    ],
)
def test_categories_may_be_numbers_and_in_any_case(
    tmp_path: Path, category: object, names: dict[str, str]
) -> None:
    path = detections(
        tmp_path, image("a.jpg", ANIMAL | {"category": category}), detection_categories=names
    )
    (box,) = RecordsByFile(path, ["a.jpg"])["a.jpg"].get("detections", [])
    assert (box["category"], box["label"]) == ("1", "animal")


@pytest.mark.parametrize(
    ("category", "names", "message"),
    [
        ("9", CATEGORIES, '"detection_categories" lacks'),
        ("1", {}, '"detection_categories" lacks'),
        ("1", {"1": "Animals"}, 'is "Animals"\\. Rename it in "detection_categories" to animal'),
        (True, CATEGORIES, r"detections of a\.jpg in .* malformed \(category "),
        (None, CATEGORIES, r"detections of a\.jpg in .* malformed \(category "),
    ],
)
def test_boxes_of_other_categories_are_refused(
    tmp_path: Path, category: object, names: dict[str, str], message: str
) -> None:
    path = detections(
        tmp_path, image("a.jpg", ANIMAL | {"category": category}), detection_categories=names
    )
    with pytest.raises(InputError, match=message):
        RecordsByFile(path, ["a.jpg"])


def test_boxes_of_unknown_things_are_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    boxes = [ANIMAL, ANIMAL | {"category": "4"}, ANIMAL | {"category": "4"}]
    names = {**CATEGORIES, "4": "Unknown"}
    path = detections(tmp_path, image("a.jpg", *boxes), detection_categories=names)
    with caplog.at_level("INFO", "absl"):
        found = RecordsByFile(path, ["a.jpg"])
    assert len(found["a.jpg"].get("detections", [])) == 1
    (note,) = found.notes
    assert note in caplog.text
    assert "2 boxes of" in caplog.text and "(unknown)" in caplog.text
    assert "contains 1 box in 1 image; MegaDetector failed on 0 of them" in caplog.text


def test_two_different_entries_of_an_image_are_refused(tmp_path: Path) -> None:
    again = image("a.jpg", ANIMAL)
    assert list(RecordsByFile(detections(tmp_path, again, again), ["a.jpg"])) == ["a.jpg"]
    with pytest.raises(InputError, match=r"two different entries for a\.jpg"):
        RecordsByFile(detections(tmp_path, again, image("a.jpg")), ["a.jpg"])


def test_entries_of_other_images_are_left_out_with_a_count(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = detections(
        tmp_path,
        *(image(f"cam{number}/1.jpg", ANIMAL) for number in (1, 2, 3)),
        image("cam1/2.mp4", ANIMAL | {"frame_number": 0}) | {"frame_rate": 30.0},
    )
    found = RecordsByFile(path, ["/s/cam1/1.jpg", "/s/cam2/1.jpg", "/s/cam2/2.jpg"])
    assert list(found) == ["/s/cam1/1.jpg", "/s/cam2/1.jpg"]
    left_out, missing = found.notes
    assert "2 of 4 entries of" in left_out and "such as cam3/1.jpg" in left_out
    assert "1 of 3 images of this run has no entry in" in missing and "/s/cam2/2.jpg" in missing
    assert left_out in caplog.text and missing in caplog.text


def test_labels_of_converters_become_ours(tmp_path: Path) -> None:
    path = tmp_path / "converted.json"
    box = {"category": 2, "label": "Person", "conf": 0.9, "bbox": [0.1, 0.2, 0.3, 0.4]}
    path.write_text(json.dumps({"predictions": [{"filepath": "a.jpg", "detections": [box]}]}))
    (found,) = RecordsByFile(path, ["a.jpg"])["a.jpg"].get("detections", [])
    assert found == {**box, "category": "2", "label": "human"}


def test_detections_survive_export_and_import(shared: Path, tmp_path: Path) -> None:
    records = list(read_records(shared / "golden" / "small_random_predictions.json"))
    write_megadetector(records, tmp_path / "md.json")
    found = RecordsByFile(tmp_path / "md.json", [r["filepath"] for r in records])
    assert {path: r.get("detections") for path, r in found.items()} == {
        r["filepath"]: r.get("detections") for r in records
    }


def test_boxes_of_mirrored_photographs_are_moved_in_both_steps(
    tmp_path: Path, small_package: Path
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 2
    paths = [str(tmp_path / name) for name in ("mirrored.jpg", "upright.jpg")]
    picture = Image.effect_noise((80, 60), 90).convert("RGB")
    picture.save(paths[0], exif=exif)
    picture.save(paths[1])
    boxes = detections(tmp_path, *(image(path, ANIMAL) for path in paths))
    past = PastResults(RecordsByFile(boxes, paths))
    instances = [Instance(path) for path in paths]
    model = SpeciesNet(str(small_package))
    classes = execute(Run(instances=instances, components="classifier", past=past), model).records
    assert classes is not None
    assert [record.get("orientation") for record in classes] == [2, None]
    both = PastResults(past.detections, {record["filepath"]: record for record in classes})
    found = execute(Run(instances=instances, components="ensemble", past=both), model).records
    assert found is not None
    assert [record.get("detections", [])[0]["bbox"] for record in found] == [
        [0.6, 0.2, 0.3, 0.4],
        [0.1, 0.2, 0.3, 0.4],
    ]
    assert all(record.keys().isdisjoint({"boxes_as_stored", "orientation"}) for record in found)


def test_boxes_that_reach_past_the_edge_are_clipped_and_counted(tmp_path: Path) -> None:
    boxes = [[-0.05, 0.2, 0.3, 0.4], [0.9, 0.9, 0.15, 0.18], [0.5, 0.5, 0.505, 0.2]]
    path = detections(tmp_path, image("a.jpg", *[ANIMAL | {"bbox": bbox} for bbox in boxes]))
    found = RecordsByFile(path, ["a.jpg"])
    assert [box["bbox"] for box in found["a.jpg"].get("detections", ())] == [
        [0.0, 0.2, 0.25, 0.4],
        [0.9, 0.9, 0.1, 0.1],
        [0.5, 0.5, 0.5, 0.2],  # by rounding, which needs no note
    ]
    assert found.notes == (
        f"2 boxes of {path} reach past the edges of their images and are clipped, such as detection 1 of "
        "a.jpg.",
    )


@pytest.mark.parametrize(
    "bbox",
    [
        [120, 80, 640, 480],  # pixels
        [0.6, 0.2, 0.9, 0.6],  # left, top, right, bottom
        [-0.2, 0.2, 0.3, 0.4],
        [0.5, 0.5, -0.05, 0.2],
    ],
)
def test_boxes_far_outside_are_refused(tmp_path: Path, bbox: list[float]) -> None:
    path = detections(tmp_path, image("a.jpg", ANIMAL | {"bbox": bbox}))
    with pytest.raises(InputError, match=r"a\.jpg in .* relative to the image, from 0 to 1"):
        RecordsByFile(path, ["a.jpg"])
