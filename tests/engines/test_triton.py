"""TensorFlow and Triton in one process, imported in either order."""

from __future__ import annotations

import subprocess
import sys

import pytest
from frameworks import needs_tensorflow

pytest.importorskip("triton", reason="PyTorch for processors comes without Triton")
IMPORT = "from speciesnet.engines.tensorflow import import_tensorflow; import_tensorflow()"
RUN = 'from speciesnet import SpeciesNet; SpeciesNet("demo", engine="torch").predict(folders=["demo"])'


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout


@needs_tensorflow
def test_triton_can_be_imported_after_tensorflow() -> None:
    run(f"{IMPORT}; import triton")


@needs_tensorflow
@pytest.mark.parametrize("code", [IMPORT, RUN])
def test_pytorch_works_where_the_caller_has_imported_tensorflow(code: str) -> None:
    run(f"import tensorflow\n{code}\nimport torch._dynamo, torchvision")
