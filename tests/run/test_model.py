from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any

import golden
import numpy as np
import pytest
import torch
from frameworks import HAS_TENSORFLOW
from photographs import NAIROBI, photograph
from PIL import ExifTags

import speciesnet
from speciesnet import SpeciesNet
from speciesnet.errors import InputError, OutputError
from speciesnet.images.instances import find_images


@pytest.fixture
def in_materials(materials: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Paths in the reference outputs are relative to their folder."""
    monkeypatch.chdir(materials)
    return materials


@pytest.fixture
def in_shared(shared: Path, in_materials: Path) -> Path:
    """The same, where there are reference outputs."""
    return in_materials


@pytest.fixture(scope="module")
def model(small_package: Path) -> SpeciesNet:
    return SpeciesNet(str(small_package))


@pytest.fixture(
    scope="module",
    params=["auto", pytest.param("torch,tensorflow", marks=pytest.mark.slow), "torch", "openvino"],
)
def engine(request: pytest.FixtureRequest) -> str:
    if request.param == "openvino":
        pytest.importorskip("openvino")
    if request.param == "torch,tensorflow" and not HAS_TENSORFLOW:
        pytest.skip("TensorFlow is not installed")
    return request.param


@pytest.fixture(scope="module")
def reference_model(shared: Path, engine: str) -> SpeciesNet:
    return SpeciesNet(str(shared / "packages" / "small_random"), engine=engine, precision="fp32")


def records(answer: dict[str, Any] | None) -> list[dict[str, Any]]:
    assert answer is not None
    return answer["predictions"]


def by_file(answer: dict[str, Any] | None) -> dict[str, dict[str, Any]]:
    return {record["filepath"]: record for record in records(answer)}


def test_crop_model_gives_the_published_records(
    reference_model: SpeciesNet, engine: str, in_shared: Path
) -> None:
    answer = reference_model.predict(folders=["images"], country="USA", admin1_region="CA")
    expected = golden.load(in_shared / "golden" / "small_random_predictions.json")
    golden.assert_same(records(answer), expected, in_shared, other_rounding=engine == "openvino")


# The engines differ in the networks' outputs, which the tests above and below compare.
@pytest.mark.parametrize("engine", ["auto"], indirect=True, scope="module")
def test_mixed_countries_give_the_published_records(
    reference_model: SpeciesNet, engine: str, in_shared: Path
) -> None:
    answer = reference_model.predict(instances_json="golden/small_random_instances.json")
    expected = golden.load(in_shared / "golden" / "small_random_instances_predictions.json")
    golden.assert_same(records(answer), expected, in_shared, other_rounding=engine == "openvino")


def test_full_image_model_gives_the_published_records(engine: str, in_shared: Path) -> None:
    model = SpeciesNet("packages/small_random_b", engine=engine, precision="fp32")
    answer = model.predict(folders=["images"], country="USA", admin1_region="CA")
    expected = golden.load(in_shared / "golden" / "small_random_b_predictions.json")
    golden.assert_same(records(answer), expected, in_shared, other_rounding=engine == "openvino")


def test_three_steps_give_what_one_run_gives(model: SpeciesNet, in_materials: Path) -> None:
    place: dict[str, Any] = {"country": "USA", "admin1_region": "CA"}
    whole = model.predict(folders=["images/ena24"], **place)
    detections = by_file(model.detect(folders=["images/ena24"]))
    classifications = by_file(model.classify(folders=["images/ena24"], detections_dict=detections))
    joined = model.ensemble_from_past_runs(
        folders=["images/ena24"],
        detections_dict=detections,
        classifications_dict=classifications,
        **place,
    )
    assert joined == whole
    assert all(set(record) == {"filepath", "detections"} for record in detections.values())
    assert all(set(r) == {"filepath", "classifications"} for r in classifications.values())


@pytest.mark.parametrize("run_mode", ["single_thread", "multi_process"])
def test_run_modes_give_the_same(model: SpeciesNet, in_materials: Path, run_mode: Any) -> None:
    paths = ["images/ena24/352.jpg", "images/blank.jpg", "missing.jpg", "images/ena24/422.jpg"]
    reference = model.predict(filepaths=paths, batch_size=2)
    assert model.predict(filepaths=paths, batch_size=2, run_mode=run_mode) == reference
    assert records(reference)[2]["failures"] == ["CLASSIFIER", "DETECTOR"]
    assert "prediction" not in records(reference)[2]


def test_threads_do_not_change_the_answers(small_package: Path, in_materials: Path) -> None:
    paths = ["images/ena24/352.jpg", "images/blank.jpg", "images/ena24/422.jpg"]
    before = torch.get_num_threads()
    try:
        one, two = (
            SpeciesNet(str(small_package), precision="fp32", threads=threads).predict(
                filepaths=paths
            )
            for threads in (1, 2)
        )
    finally:
        torch.set_num_threads(before)  # which is that of the whole process
    golden.assert_same(records(one), records(two), in_materials)


def test_path_given_twice_is_reported_twice(model: SpeciesNet, in_materials: Path) -> None:
    instances = [
        {"filepath": "images/ena24/352.jpg", "country": "KEN"},
        {"filepath": "images/blank.jpg"},
        {"filepath": "images/ena24/352.jpg", "country": "USA"},
    ]
    answer = records(model.predict(instances_dict={"instances": instances}))
    assert [r.get("country") for r in answer] == ["KEN", None, "USA"]
    assert answer[0]["classifications"] == answer[2]["classifications"]


def test_target_species_have_each_images_own_logits(in_materials: Path, tmp_path: Path) -> None:
    labels = (in_materials / "packages/small_random/labels.txt").read_text("utf-8").splitlines()
    targets = tmp_path / "targets.txt"
    targets.write_text(f"{labels[40]}\nno label\n{labels[3]}\n", encoding="utf-8")
    model = SpeciesNet("packages/small_random", target_species_txt=str(targets))
    paths = ["images/ena24/352.jpg", "images/ena24/422.jpg"]
    together = records(model.classify(filepaths=paths))
    alone = [records(model.classify(filepaths=[path]))[0] for path in paths]
    for one, other in zip(together, alone, strict=True):
        assert one["classifications"]["target_classes"] == [labels[40], labels[3]]
        assert one["classifications"]["target_logits"] == pytest.approx(
            other["classifications"]["target_logits"], abs=1e-4
        )
    assert (
        alone[0]["classifications"]["target_logits"] != alone[1]["classifications"]["target_logits"]
    )


def test_own_combiner_decides(in_materials: Path) -> None:
    def mine(**evidence: Any) -> tuple[str, float, str]:
        assert {"classifications", "detections", "geofence_fn", "roll_up_fn"} <= set(evidence)
        return "a;b;c;d;e;f;g", 0.5, "mine"

    model = SpeciesNet("packages/small_random", combine_predictions_fn=mine)
    (record,) = records(model.predict(filepaths=["images/blank.jpg"]))
    assert record["prediction_source"] == "mine"


def test_file_is_written_and_continued(
    model: SpeciesNet, in_materials: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.json"
    first, second = "images/ena24/352.jpg", "images/ena24/422.jpg"
    assert model.detect(filepaths=[second], predictions_json=str(out)) is None
    assert model.detect(filepaths=[first, second], predictions_json=str(out)) is None
    written = json.loads(out.read_text("utf-8"))
    assert written == model.detect(filepaths=[first, second])
    with pytest.raises(OutputError, match="belongs to another run"):
        model.classify(filepaths=[first, second], predictions_json=str(out))


@pytest.fixture
def located(tmp_path: Path) -> Path:
    """One photograph from Nairobi and one that does not say where it is from."""
    taken = {ExifTags.Base.DateTimeOriginal: "2024:05:01 06:30:00"}
    photograph(tmp_path / "survey" / "1.jpg", details=taken, gps=NAIROBI)
    photograph(tmp_path / "survey" / "2.jpg")
    return tmp_path / "survey"


PLACES = ("country", "latitude", "longitude", "metadata")


def places(answer: dict[str, Any] | None) -> list[dict[str, Any]]:
    return [{key: r[key] for key in PLACES if key in r} for r in records(answer)]


def test_exif_stays_out_unless_it_is_asked_for(model: SpeciesNet, located: Path) -> None:
    assert places(model.predict(folders=[str(located)])) == [{}, {}]


def test_metadata_is_kept_on_request(model: SpeciesNet, located: Path) -> None:
    expected = {"datetime": "2024-05-01T06:30:00", "latitude": -1.29, "longitude": 36.82}
    for verb in (model.predict, model.detect, model.classify):
        assert places(verb(folders=[str(located)], metadata=True)) == [
            {"metadata": expected},
            {"metadata": {}},
        ]


def test_position_comes_from_exif_on_request(model: SpeciesNet, located: Path) -> None:
    nairobi = {"latitude": -1.29, "longitude": 36.82}
    options: dict[str, Any] = {"folders": [str(located)], "exif_gps": True}
    assert places(model.predict(**options)) == [nairobi, {}]
    looked_up = model.predict(**options, country_from_coordinates=True)
    assert places(looked_up) == [{"country": "KEN", **nairobi}, {}]


def test_country_that_contradicts_a_position_is_noted(
    model: SpeciesNet, located: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options: dict[str, Any] = {"folders": [str(located)], "country": "USA"}
    model.predict(**options)
    assert caplog.messages[-1].startswith(
        f"1 image has coordinates outside its country, such as {located / '1.jpg'} (in KEN, not in USA)"
    )
    caplog.clear()
    model.predict(folders=[str(located)], country="KEN")
    model.predict(folders=[str(located)])
    model.detect(**options)
    assert "coordinates" not in caplog.text


def test_position_of_an_instance_comes_first(model: SpeciesNet, located: Path) -> None:
    given = {"filepath": str(located / "1.jpg"), "latitude": 45.5, "longitude": -122.7}
    instances = {"instances": [given]}
    answer = model.predict(instances_dict=instances, exif_gps=True)
    assert places(answer) == [{"latitude": 45.5, "longitude": -122.7}]


def test_ensemble_takes_positions_from_earlier_steps(model: SpeciesNet, located: Path) -> None:
    options: dict[str, Any] = {"folders": [str(located)]}
    boxes = by_file(model.detect(**options, metadata=True))
    classes = by_file(model.classify(**options, detections_dict=boxes))
    answer = model.ensemble_from_past_runs(
        **options, detections_dict=boxes, classifications_dict=classes, exif_gps=True
    )
    assert places(answer) == [{"latitude": -1.29, "longitude": 36.82}, {}]


def test_run_with_exif_positions_is_continued(
    model: SpeciesNet, located: Path, tmp_path: Path
) -> None:
    path = str(tmp_path / "out.json")
    options: dict[str, Any] = {"exif_gps": True, "country_from_coordinates": True}
    options["predictions_json"] = path
    first = [str(located / "1.jpg")]
    model.predict(filepaths=first, **options)
    model.predict(folders=[str(located)], **options)
    assert places(json.loads(Path(path).read_text()))[0]["country"] == "KEN"
    with pytest.raises(OutputError, match="exif_gps on there, off here"):
        model.predict(folders=[str(located)], predictions_json=path, country_from_coordinates=True)


def test_verb_beyond_the_components_is_refused(small_package: Path) -> None:
    model = SpeciesNet(str(small_package), components="detector")
    with pytest.raises(InputError, match="components='detector'"):
        model.classify(filepaths=["a.jpg"])


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"run_mode": "fast"}])
def test_wrong_option_is_named(model: SpeciesNet, options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        model.detect(filepaths=["a.jpg"], **options)


def test_malformed_past_records_are_named(model: SpeciesNet) -> None:
    detections = {"a.jpg": {"filepath": "a.jpg", "detections": [{"box": 1}]}}
    classes = {
        "a.jpg": {"filepath": "a.jpg", "classifications": {"classes": ["x"], "scores": [1.0]}}
    }
    with pytest.raises(InputError, match=r"of a.jpg are malformed"):
        model.ensemble_from_past_runs(
            filepaths=["a.jpg"], detections_dict=detections, classifications_dict=classes
        )


PUBLISHED = (
    "BBox Classification DEFAULT_MODEL Detection ModelInfo PreprocessedImage SUPPORTED_MODELS SpeciesNet "
    "SpeciesNetClassifier SpeciesNetDetector SpeciesNetEnsemble draw_bboxes file_exists "
    "find_admin1_region load_rgb_image only_one_true"
)


def test_public_names_are_there() -> None:
    assert set(PUBLISHED.split()) <= set(speciesnet.__all__)
    for name in speciesnet.__all__:
        assert getattr(speciesnet, name) is not None
    keras = "kaggle:google/speciesnet/keras"
    assert f"{keras}/v4.0.0a" == speciesnet.DEFAULT_MODEL
    assert [f"{keras}/v4.0.0a", f"{keras}/v4.0.0b"] == speciesnet.SUPPORTED_MODELS
    assert speciesnet.only_one_true(0, "a", None)
    assert not speciesnet.only_one_true(1, "a") and not speciesnet.only_one_true()
    from speciesnet.display import draw_bboxes
    from speciesnet.ensemble_prediction_combiner import combine_predictions_for_single_item
    from speciesnet.geofence_utils import (
        geofence_animal_classification,
        roll_up_labels_to_first_matching_level,
        should_geofence_animal_classification,
    )
    from speciesnet.multiprocessing import SpeciesNet as SameSpeciesNet
    from speciesnet.taxonomy_utils import get_ancestor_at_level, get_full_class_string
    from speciesnet.utils import BBox, ModelInfo, load_partial_predictions, save_predictions

    assert SameSpeciesNet is SpeciesNet and draw_bboxes is speciesnet.draw_bboxes
    assert speciesnet.BBox is BBox
    assert "speciesnet.utils" in sys.modules
    assert all(
        map(
            callable,
            (
                geofence_animal_classification,
                roll_up_labels_to_first_matching_level,
                should_geofence_animal_classification,
                combine_predictions_for_single_item,
                get_ancestor_at_level,
                get_full_class_string,
                ModelInfo,
                load_partial_predictions,
                save_predictions,
            ),
        )
    )


def test_type_checkers_see_the_names_that_are_imported_lazily() -> None:
    source = Path(speciesnet.__file__).read_text(encoding="utf-8")
    [block] = [node for node in ast.parse(source).body if isinstance(node, ast.If)]
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    homes = {alias.name: f"{node.module}" for node in imports for alias in node.names}
    assert homes == {name: f"speciesnet.{home}" for name, home in speciesnet._HOMES.items()}
    assert set(homes) <= set(dir(speciesnet))


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        speciesnet.nothing  # noqa: B018


# Tables, as Ray Data and others pass them.


@pytest.fixture(scope="module")
def demo() -> SpeciesNet:
    return SpeciesNet("demo", precision="fp32")


SAMPLES = find_images(["demo"])[:3]


def test_table_of_images_gets_columns_of_answers(demo: SpeciesNet) -> None:
    table = {
        "filepath": np.array([SAMPLES[1], SAMPLES[0], SAMPLES[1]], dtype=object),
        "country": np.array(["KEN", None, "USA"], dtype=object),
        "latitude": np.array([-1.5, np.nan, 40.0]),
        "longitude": np.array([36.8, np.nan, -100.0]),
        "camera": np.array([1, 2, 3]),
    }
    answer = demo(table)
    wanted = records(
        demo.predict(
            instances_dict={
                "instances": [
                    {"filepath": SAMPLES[1], "country": "KEN", "latitude": -1.5, "longitude": 36.8},
                    {"filepath": SAMPLES[0]},
                    {
                        **{"filepath": SAMPLES[1], "country": "USA"},
                        **{"latitude": 40.0, "longitude": -100.0},
                    },
                ]
            }
        )
    )
    assert [json.loads(text) for text in answer["record"]] == wanted
    for name in ("prediction", "prediction_score", "prediction_source"):
        assert answer[name].tolist() == [record[name] for record in wanted]
    assert all(answer[name] is column for name, column in table.items())


def test_table_of_pandas_with_values_that_are_missing(demo: SpeciesNet) -> None:
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame(
        {
            "filepath": pd.array(SAMPLES[:2], dtype="string"),
            "country": pd.array(["KEN", None], dtype="string"),
            "latitude": pd.array([None, None], dtype="Float64"),
        }
    )
    countries = [json.loads(text).get("country") for text in demo(table)["record"]]
    assert countries == ["KEN", None]


def test_image_that_cannot_be_read_has_no_answer(demo: SpeciesNet) -> None:
    answer = demo({"filepath": ["/nowhere.jpg"]})
    assert answer["prediction"].tolist() == [None] and answer["prediction_score"].tolist() == [0.0]
    assert json.loads(answer["record"][0])["failures"]


def test_empty_table(demo: SpeciesNet) -> None:
    assert {name: len(column) for name, column in demo({"filepath": []}).items()} == {
        "filepath": 0, "prediction": 0, "prediction_score": 0, "prediction_source": 0, "record": 0
    }  # fmt: skip


def test_table_that_is_wrong(demo: SpeciesNet) -> None:
    with pytest.raises(InputError, match="no filepath column"):
        demo({"file": ["a"]})
    with pytest.raises(InputError, match='"latitude"'):
        demo({"filepath": ["a"], "latitude": np.array([91.0])})
    with pytest.raises(InputError, match='"country"'):
        demo({"filepath": ["a"], "country": np.array([3])})
