"""Which engine runs a classifier, and what is reported where TensorFlow is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from commands import Outcome, run_here
from fuzz import files

from speciesnet.engines import tensorflow
from speciesnet.engines.base import EngineOptions
from speciesnet.engines.select import load_classifier_engine
from speciesnet.errors import ModelError

WITHOUT_TENSORFLOW = """
import sys

class Missing:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in ("tensorflow", "tf_keras"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing)
from speciesnet.scripts.commands import cli
cli()
"""


@pytest.fixture(params=["3.14", "older"])
def fix(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Removes TensorFlow, on a Python with and without wheels; returns the fix to be reported."""
    for name in ("tensorflow", "tf_keras"):
        monkeypatch.setitem(sys.modules, name, None)
    if request.param == "3.14":
        monkeypatch.setattr(tensorflow, "NEWEST_PYTHON", (3, 9))
        here = "{}.{}".format(*sys.version_info)
        return f"2.21 does not support Python {here}; install SpeciesNet with Python 3.9"
    monkeypatch.setattr(tensorflow, "NEWEST_PYTHON", (3, 99))
    return "run pip install tensorflow tf_keras"


def with_unknown_layer(path: Path) -> Path:
    """A classifier with a layer that only TensorFlow runs."""
    config = json.loads(files.member(files.keras_file(), "config.json"))
    config["config"]["layers"][4] |= {"class_name": "Softmax", "config": {"name": "layer_4"}}
    path.write_bytes(files.replaced(files.keras_file(), "config.json", json.dumps(config).encode()))
    return path


def test_requested_engine_names_the_fix(fix: str, tmp_path: Path) -> None:
    path = tmp_path / "classifier.keras"
    path.write_bytes(files.keras_file())
    with pytest.raises(ModelError, match=r"tensorflow engine cannot be loaded") as caught:
        load_classifier_engine(path, EngineOptions("tensorflow"))
    assert str(caught.value).endswith(f"{fix}, or use --engine auto.")
    assert "\n" not in str(caught.value)


def test_classifier_that_only_tensorflow_supports_names_the_fix(fix: str, tmp_path: Path) -> None:
    path = with_unknown_layer(tmp_path / "classifier.keras")
    with pytest.raises(ModelError, match=r"classifier\.keras has .*Softmax, which only") as caught:
        load_classifier_engine(path)
    assert str(caught.value).endswith(f"{fix}.")
    assert "--engine" not in str(caught.value)


def test_report_of_graphics_cards_continues_without_it(fix: str) -> None:
    outcome = run_here("gpu_test")
    assert outcome.code == 0
    assert "If yours does: " in outcome.out and f"{fix}." in outcome.out
    assert "Both networks run on the" in outcome.out


def test_broken_installation_is_not_reported_as_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "tensorflow.py").write_text("raise ImportError('DLL load failed')")
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        ImportError, match=r"\(DLL load failed\); run pip install --force-reinstall"
    ):
        tensorflow.import_tensorflow()
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)


@pytest.mark.parametrize("engine", ["auto", "torch,tensorflow"])
def test_demo_runs_without_it_unless_it_is_requested(engine: str, tmp_path: Path) -> None:
    output = tmp_path / "out.json"
    done = subprocess.run(
        [
            *(sys.executable, "-c", WITHOUT_TENSORFLOW, "--model", "demo", "--folders", "demo"),
            *("--predictions_json", output, "--engine", engine),
        ],
        capture_output=True,
        encoding="utf-8",
    )
    outcome = Outcome(done.returncode, done.stdout, done.stderr)
    if engine == "auto":
        assert outcome.code == 0, outcome.err
        assert "19 images, 0 of them failed." in outcome.out
    else:
        assert outcome.code == 1
        assert "tensorflow engine cannot be loaded: TensorFlow" in outcome.sentence
        assert not output.exists()
