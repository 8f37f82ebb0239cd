from __future__ import annotations

import ast
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import speciesnet
from speciesnet import errors
from speciesnet.engines.base import EngineOptions
from speciesnet.records import MalformedRecord

EXCEPTIONS = [value for value in vars(errors).values() if isinstance(value, type)]


def test_the_docstring_names_every_exception() -> None:
    documented = errors.__doc__ or ""
    assert all(exception.__name__ in documented for exception in EXCEPTIONS)
    assert all(exception.__name__.endswith("Error") for exception in EXCEPTIONS)


def test_files_and_engines_define_no_exceptions_of_their_own() -> None:
    names = {exception.__name__ for exception in EXCEPTIONS}
    package = Path(speciesnet.__file__).parent
    sources = [
        *package.glob("records/*.py"),
        *package.glob("files/*.py"),
        *package.glob("engines/*.py"),
    ]
    for source in sources:
        tree = ast.parse(source.read_text(encoding="utf-8"))
        classes = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
        assert not classes & names, source


def test_earlier_names_stay() -> None:
    assert MalformedRecord is errors.MalformedRecordError


def test_a_remote_error_can_cross_processes() -> None:
    error = pickle.loads(pickle.dumps(errors.ObjectChangedError("it was replaced")))
    assert type(error) is errors.ObjectChangedError and error.strerror == "it was replaced"


@pytest.mark.parametrize("options", [{"engine": "steam"}, {"precision": "fp8"}])
def test_an_unknown_engine_or_precision_is_an_input_error(options: dict[str, str]) -> None:
    with pytest.raises(errors.InputError, match="it must be one of"):
        EngineOptions(**options)  # type: ignore[arg-type]  # the type allows known names only


def test_predictions_files_are_read_without_image_libraries() -> None:
    program = (
        "import sys, speciesnet.predictions.file, speciesnet.predictions.bucket\n"
        "print(sorted({'PIL', 'cv2', 'torch', 'tensorflow'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
