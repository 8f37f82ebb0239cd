"""What surrounds the classifier's network: crop and resize before, scores and targets after."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from frameworks import needs_tensorflow
from numpy.typing import NDArray
from PIL import Image

from speciesnet.classifier import (
    SpeciesNetClassifier,
    crop_rows,
    crop_to_box,
    resize_bilinear,
    softmax,
)
from speciesnet.engines.tensorflow import import_tensorflow
from speciesnet.errors import InputError
from speciesnet.images.decoding import read_image
from speciesnet.records import Record
from speciesnet.records.boxes import BBox

random = np.random.default_rng(20)


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return random.integers(0, 256, (height, width, 3), dtype=np.uint8)


# Crops.


def test_the_first_box_is_cropped() -> None:
    image = noise(100, 200)
    crop = crop_to_box(image, [BBox(0.25, 0.5, 0.5, 0.25), BBox(0, 0, 1, 1)])
    assert (crop == image[50:75, 50:150]).all()


def test_without_boxes_the_whole_image_stays() -> None:
    image = noise(10, 20)
    assert crop_to_box(image, []) is image


@pytest.mark.parametrize("box", [BBox(0.5, 0.5, 0.0, 0.001), BBox(1.0, 1.0, 0.0, 0.0)])
def test_a_crop_of_no_pixels_is_widened_to_one(box: BBox) -> None:
    assert crop_to_box(noise(100, 200), [box]).shape == (1, 1, 3)


def test_rows_of_every_height() -> None:
    for height in range(2, 3001):
        numbers = np.arange(height, dtype=np.int32)[:, None, None]
        rows = max(height * 7 // 10, height - 400)
        top = (height - rows) // 2
        cropped = crop_rows(numbers)  # type: ignore[arg-type]
        assert cropped.ravel().tolist() == list(range(top, top + rows)), height


def test_rows_do_not_suffer_from_floating_point() -> None:
    astray = [h for h in range(1, 3001) if int(max(h * 0.7, h - 400)) != max(h * 7 // 10, h - 400)]
    assert len(astray) == 21
    for height in astray:
        rows = len(crop_rows(np.zeros((height, 1, 3), dtype=np.uint8)))
        assert rows == int(max(height * 0.7, height - 400)) + 1


# Resizing.


@needs_tensorflow
def test_resizing_is_tensorflows_to_the_last_bit() -> None:
    tf, _ = import_tensorflow()
    shapes = [(1, 1), (1, 7), (9, 1), (2, 3), (480, 480), (480, 481), (479, 480), (240, 240)]
    shapes += [(960, 960), (961, 959), (1536, 2048), (31, 2047), (3000, 2), (720, 1280)]
    shapes += [(int(h), int(w)) for h, w in random.integers(1, 1100, (26, 2))]
    for height, width in shapes:
        image = noise(height, width)
        x = tf.constant(image.astype(np.float32) * np.float32(1 / 255))
        x = tf.image.resize(x, (480, 480), method="bilinear", antialias=False)
        expected = tf.image.convert_image_dtype(x, tf.uint8).numpy()
        assert (expected == np.trunc(x.numpy() * np.float32(255.5)).astype(np.uint8)).all()
        resized = resize_bilinear(image)
        assert resized.dtype == np.uint8
        assert (resized == expected).all(), (height, width)


def test_resizing_to_the_same_size_changes_nothing() -> None:
    every_value = np.arange(480 * 480 * 3, dtype=np.uint32).astype(np.uint8).reshape(480, 480, 3)
    assert (resize_bilinear(every_value) == every_value).all()


def test_resizing_takes_a_view_of_an_image() -> None:
    image = noise(300, 400)
    view = image[10:200:2, ::-1]
    assert (resize_bilinear(view) == resize_bilinear(view.copy())).all()


# Scores.


def test_softmax_of_known_logits() -> None:
    logits = np.log(np.array([[1, 2, 5], [1, 1, 2]], dtype=np.float32))
    scores = softmax(logits)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, [[0.125, 0.25, 0.625], [0.25, 0.25, 0.5]], rtol=1e-6)


def test_softmax_of_large_logits_does_not_overflow() -> None:
    scores = softmax(np.array([[1000, 1000, -1000]], dtype=np.float32))
    assert scores.tolist() == [[0.5, 0.5, 0.0]]


# Whole classifiers.


def classifications_of(record: Record) -> Any:
    return record.get("classifications")


@pytest.fixture(scope="module")
def labels(small_package: Path) -> list[str]:
    return (small_package / "labels.txt").read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module")
def targets(labels: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labels of the model, and other lines that people's files contain."""
    path = tmp_path_factory.mktemp("targets") / "targets, ñ.txt"
    lines = [labels[2000], "", labels[3], "lion", f"  {labels[7]}  ", labels[3]]
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    return path


@pytest.fixture(scope="module")
def cropping(small_package: Path, targets: Path) -> SpeciesNetClassifier:
    return SpeciesNetClassifier(str(small_package), target_species_txt=str(targets))


@pytest.fixture(scope="module")
def full_image(materials: Path) -> SpeciesNetClassifier:
    return SpeciesNetClassifier(str(materials / "packages" / "small_random_b"))


def test_a_cropping_model_crops_to_the_first_box(cropping: SpeciesNetClassifier) -> None:
    image = noise(100, 200)
    boxes = [BBox(0.25, 0.5, 0.5, 0.25), BBox(0, 0, 1, 1)]
    ready = cropping.preprocess(Image.fromarray(image), boxes)
    assert ready is not None
    assert (ready.arr == resize_bilinear(image[50:75, 50:150])).all()
    assert (ready.orig_width, ready.orig_height) == (200, 100)


@pytest.mark.parametrize("boxes", [None, []])
def test_a_cropping_model_sees_all_of_an_image_without_boxes(
    cropping: SpeciesNetClassifier, boxes: list[BBox] | None
) -> None:
    image = noise(100, 200)
    ready = cropping.preprocess(image, boxes)
    assert ready is not None
    assert (ready.arr == resize_bilinear(image)).all()


def test_a_full_image_model_crops_rows_and_no_boxes(full_image: SpeciesNetClassifier) -> None:
    image = noise(100, 200)
    ready = full_image.preprocess(image, [BBox(0.25, 0.5, 0.5, 0.25)])
    assert ready is not None
    assert (ready.arr == resize_bilinear(image[15:85])).all()


def test_a_full_image_model_takes_an_image_of_one_row(full_image: SpeciesNetClassifier) -> None:
    ready = full_image.preprocess(noise(1, 200))
    assert ready is not None
    assert ready.arr.shape == (480, 480, 3)


def test_a_crop_can_stay_in_its_own_size(cropping: SpeciesNetClassifier) -> None:
    image = noise(100, 200)
    ready = cropping.preprocess(image, [BBox(0.25, 0.5, 0.5, 0.25)], resize=False)
    assert ready is not None
    assert (ready.arr == image[50:75, 50:150]).all()


def test_no_image_gives_a_failure(cropping: SpeciesNetClassifier) -> None:
    assert cropping.preprocess(None) is None
    assert cropping.predict("a.jpg", None) == {"filepath": "a.jpg", "failures": ["CLASSIFIER"]}


def test_a_batch_answers_each_image_as_it_would_alone(cropping: SpeciesNetClassifier) -> None:
    images = [cropping.preprocess(noise(50, 60)) for _ in range(3)]
    paths = ["a", "b", "c", "d"]
    together = cropping.batch_predict(paths, [images[0], None, images[1], images[2]])
    assert [record["filepath"] for record in together] == paths
    assert together[1] == {"filepath": "b", "failures": ["CLASSIFIER"]}
    for record, image in zip((together[0], *together[2:]), images, strict=True):
        alone = classifications_of(cropping.predict(record["filepath"], image))
        found = classifications_of(record)
        assert found["classes"] == alone["classes"]
        for key in ("scores", "target_logits"):
            np.testing.assert_allclose(found[key], alone[key], atol=1e-4)


def test_five_classes_come_in_decreasing_order(
    full_image: SpeciesNetClassifier, labels: list[str]
) -> None:
    found = classifications_of(full_image.predict("a.jpg", full_image.preprocess(noise(50, 60))))
    assert list(found) == ["classes", "scores"]
    assert len(found["classes"]) == len(set(found["classes"])) == 5
    assert set(found["classes"]) <= set(labels)
    assert found["scores"] == sorted(found["scores"], reverse=True)
    assert {type(score) for score in found["scores"]} == {float}


def test_the_best_five_classes_are_given_with_their_probabilities(
    cropping: SpeciesNetClassifier,
) -> None:
    image = cropping.preprocess(noise(480, 480))
    assert image is not None
    logits = cropping.engine(image.arr[None])
    best = np.argsort(-logits[0])[:5]
    found = classifications_of(cropping.predict("a.jpg", image))
    assert found["classes"] == [cropping.labels[i] for i in best]
    assert found["scores"] == softmax(logits)[0][best].tolist()


def test_each_image_has_its_own_target_logits(
    cropping: SpeciesNetClassifier, labels: list[str]
) -> None:
    images = [cropping.preprocess(noise(50, 60)), cropping.preprocess(noise(50, 60) // 4)]
    found = [classifications_of(record) for record in cropping.batch_predict(["a", "b"], images)]
    for one, image in zip(found, images, strict=True):
        assert image is not None
        [logits] = cropping.engine(image.arr[None])
        assert list(one) == ["classes", "scores", "target_classes", "target_logits"]
        # Those that the model knows, once each, in the order of the file.
        assert one["target_classes"] == [labels[2000], labels[3], labels[7]]
        expected = logits[[2000, 3, 7]]
        np.testing.assert_allclose(one["target_logits"], expected, rtol=1e-3, atol=1e-4)
    assert found[0]["target_logits"] != found[1]["target_logits"]


def test_without_any_known_target_the_lists_are_empty(small_package: Path, tmp_path: Path) -> None:
    path = tmp_path / "targets.txt"
    path.write_text("lion\n", encoding="utf-8")
    classifier = SpeciesNetClassifier(str(small_package), target_species_txt=str(path))
    found = classifications_of(classifier.predict("a", classifier.preprocess(noise(5, 5))))
    assert (found["target_classes"], found["target_logits"]) == ([], [])


@pytest.mark.parametrize("content", [None, "folder", b"\xff\xfe\x00lion"])
def test_an_unreadable_target_file_is_named(
    small_package: Path, tmp_path: Path, content: str | bytes | None
) -> None:
    path = tmp_path / "targets.txt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "folder":
        path.mkdir()
    with pytest.raises(InputError, match=r"targets\.txt.*one label per line"):
        SpeciesNetClassifier(str(small_package), target_species_txt=str(path))


@pytest.mark.parametrize("name", ["cropping", "full_image"])
def test_the_published_programs_classes_come_out(
    shared: Path, name: str, request: pytest.FixtureRequest
) -> None:
    classifier: SpeciesNetClassifier = request.getfixturevalue(name)
    output = {"cropping": "small_random", "full_image": "small_random_b"}[name]
    path = shared / "golden" / f"{output}_predictions.json"
    records: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["predictions"]
    for record in records[::4]:
        boxes = [BBox(*detection["bbox"]) for detection in record["detections"]]
        image = classifier.preprocess(read_image(str(shared / record["filepath"])), boxes)
        found = classifications_of(classifier.predict(record["filepath"], image))
        assert found["classes"] == record["classifications"]["classes"]
        np.testing.assert_allclose(
            found["scores"], record["classifications"]["scores"], rtol=0, atol=1e-5
        )
