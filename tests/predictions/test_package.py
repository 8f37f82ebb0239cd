"""The names that the package exports, and the modules that it does not import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import speciesnet.predictions


def test_verbs_of_the_package_write_and_read(tmp_path: Path) -> None:
    path, records = str(tmp_path / "out.json"), [{"filepath": "a.jpg"}]
    speciesnet.predictions.save_predictions({"predictions": records}, path)
    assert list(speciesnet.predictions.read_records(path)) == records
    assert speciesnet.predictions.load_partial_predictions(path, records) == (
        {"a.jpg": records[0]},
        [],
    )
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        speciesnet.predictions.other  # noqa: B018


def test_no_image_library_is_imported() -> None:
    code = (
        "import sys, speciesnet.predictions.bucket, speciesnet.predictions.lookup\n"
        "print({'cv2', 'PIL', 'torch', 'speciesnet.detector'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
