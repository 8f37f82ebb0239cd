"""The notebook of the documentation runs from top to bottom, without a network."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="nbformat runs notebooks, and is not installed")
nbclient = pytest.importorskip("nbclient", reason="nbclient runs notebooks, and is not installed")
for needed in ("ipykernel", "matplotlib", "pandas"):
    pytest.importorskip(needed, reason=f"the notebook needs {needed}, which is not installed")

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"


def test_the_notebook_is_kept_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


def test_the_notebook_runs_from_top_to_bottom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No proxy answers at this address: everything that uses the network fails.
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute(env=dict(os.environ))

    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    tables = [output for output in outputs if "text/html" in output.get("data", {})]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    shown = "\n".join(str(output.get("data", {}).get("text/plain", "")) for output in outputs)
    assert len(tables) == 3
    assert len(pictures) == 2
    for answer in ("wild turkey", "blank", "canine family"):
        assert answer in shown
    assert (tmp_path / "predictions.json").is_file()
