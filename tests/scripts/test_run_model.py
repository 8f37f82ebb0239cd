from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import golden
import pytest
from commands import Outcome, read_predictions, run_here
from frameworks import needs_tensorflow

import speciesnet
from speciesnet.files.packages.info import ModelInfo

Command = Callable[..., Outcome]


@pytest.mark.parametrize(
    "module", ["speciesnet", "speciesnet.scripts.run_model", "speciesnet.scripts.run_model.py"]
)
def test_all_names_of_the_command_work(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, "--version"], capture_output=True, text=True
    )
    assert done.stdout == f"speciesnet {speciesnet.__version__}\n"


@needs_tensorflow
def test_three_steps_on_the_command_line_give_the_published_records(
    shared: Path, tmp_path: Path
) -> None:
    common = (
        "--model", "packages/small_random", "--folders", "images", "--engine", "torch,tensorflow",
        "--precision", "fp32",
    )  # fmt: skip
    boxes, classes, out = (tmp_path / name for name in ("boxes.json", "classes.json", "out.json"))
    steps = (
        ("--detector_only", "--predictions_json", boxes),
        ("--classifier_only", "--detections_json", boxes, "--predictions_json", classes),
        (
            "--ensemble_only", "--detections_json", boxes, "--classifications_json", classes,
            "--predictions_json", out, "--country", "USA", "--admin1_region", "CA",
        ),
    )  # fmt: skip
    for step in steps:
        outcome = run_here("run_model", *common, *step, cwd=shared)
        assert outcome.code == 0, outcome.err
        assert "24 images, 0 of them failed." in outcome.out
    expected = golden.load(shared / "golden" / "small_random_predictions.json")
    golden.assert_same(read_predictions(out), expected, shared)


def test_published_records_can_be_the_input_of_the_ensemble(shared: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    published = shared / "golden" / "small_random_predictions.json"
    outcome = run_here("run_model",
        "--ensemble_only", "--model", "packages/small_random", "--folders", "images",
        "--detections_json", published, "--classifications_json", published,
        "--predictions_json", out, "--country", "USA", "--admin1_region", "CA", cwd=shared,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert read_predictions(out) == golden.load(published)


def test_ensemble_alone_and_help_import_no_framework(shared: Path, tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from speciesnet.scripts.run_model import cli\n"
        "try: cli()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'torch', 'tensorflow', 'keras', 'tf_keras', 'openvino', 'ultralytics', 'scipy'}\n"
        "print('imported', sorted(heavy & set(sys.modules)))\n"
    )
    published = shared / "golden" / "small_random_predictions.json"
    ensemble = [
        "--ensemble_only", "--model", "packages/small_random", "--folders", "images",
        "--detections_json", str(published), "--classifications_json", str(published),
        "--predictions_json", str(tmp_path / "out.json"), "--country", "USA",
        "--admin1_region", "CA",
    ]  # fmt: skip
    for arguments in (["--help"], ensemble):
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments], cwd=shared, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.endswith("imported []\n")


def test_log_is_plain_lines(command: Command, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    outcome = command("--model", "demo", "--folders", "demo", "--predictions_json", out)
    assert "\nThe classifier runs on " in outcome.err
    assert ":absl:" not in outcome.err


def test_demo_runs_on_its_own_images(tmp_path: Path) -> None:
    out = tmp_path / "demo.json"
    outcome = run_here(
        "run_model", "--model", "demo", "--folders", "demo", "--predictions_json", out
    )
    assert outcome.code == 0, outcome.err
    records = read_predictions(out)
    assert len(records) >= 16
    assert all("prediction" in record for record in records)
    assert f"Predictions: {out}" in outcome.out


def test_output_is_utf8_one_record_per_line(small_package: Path, tmp_path: Path) -> None:
    folder = tmp_path / "Žebřík ñ 🦊"
    folder.mkdir()
    (folder / "broken é.jpg").touch()
    out = tmp_path / "out.json"
    outcome = run_here(
        "run_model",
        "--detector_only",
        "--model",
        small_package,
        "--folders",
        folder,
        "--predictions_json",
        out,
    )
    assert outcome.code == 1, outcome.err
    assert outcome.sentence.startswith("speciesnet: The only image failed. ")
    assert "1 image, 1 failed." in outcome.out
    lines = out.read_bytes().split(b"\n")
    assert lines[0] == b'{"predictions": [' and lines[-2:] == [b"]}", b""]
    record = json.loads(lines[1])
    assert record == {"filepath": f"{folder.as_posix()}/broken é.jpg", "failures": ["DETECTOR"]}
    assert "broken é.jpg".encode() in lines[1]
    assert "Cannot read image" in outcome.err


def test_ignored_files_are_in_the_log_and_in_the_summary(photographs: Path, tmp_path: Path) -> None:
    shutil.copytree(photographs, tmp_path / "in")
    for name in ("VID_0002.MP4", "IMG_0003.HEIC", "._IMG_0001.JPG"):
        (tmp_path / "in" / name).touch()
    outcome = run_here(
        "run_model", "--model", "demo", "--folders", tmp_path / "in", "--videos", "skip",
        "--predictions_json", tmp_path / "out.json",
    )  # fmt: skip
    for text in (outcome.out, outcome.err):
        assert "2 other files were skipped: 1 .HEIC, 1 .MP4.\n" in text
        assert "1 hidden file was skipped, such as " in text


def test_summary_counts_the_images_of_a_country_that_the_model_does_not_know(
    tmp_path: Path,
) -> None:
    labels = ModelInfo("demo").read_lines("classifier_labels")
    fox = next(label for label in labels if label.endswith(";red fox"))
    paths = [f"{number}.jpg" for number in range(3)]
    steps = {
        "detections": [],
        "classifications": {"classes": [fox], "scores": [0.9]},
    }
    for name, found in steps.items():
        records = [{"filepath": path, name: found} for path in paths]
        (tmp_path / f"{name}.json").write_text(json.dumps({"predictions": records}))
    instances = [
        {"filepath": p, "country": c} for p, c in zip(paths, ("XKX", "KEN", "XKX"), strict=True)
    ]
    (tmp_path / "list.json").write_text(json.dumps({"instances": instances}))
    arguments = (
        "--model", "demo", "--ensemble_only", "--instances_json", "list.json", "--detections_json",
        "detections.json", "--classifications_json", "classifications.json", "--predictions_json",
        "out.json",
    )  # fmt: skip
    for _ in range(2):  # the second run has nothing left to do
        outcome = run_here("run_model", *arguments, cwd=tmp_path)
        assert outcome.code == 0, outcome.err
        assert outcome.out.count("2 images from Kosovo (XKX) are not geofenced") == 1
        assert outcome.out.count("not geofenced") == 1
