from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from measure_code import LAYERS, SHIMS, Module, modules_of, upward_imports

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def modules() -> list[Module]:
    return modules_of(REPOSITORY)


def test_no_import_runs_upward(modules: list[Module]) -> None:
    assert upward_imports(modules) == []


def test_every_module_has_a_layer(modules: list[Module]) -> None:
    layers = {name for names in LAYERS for name in names}
    assert {module.component for module in modules} <= layers | set(SHIMS)


def test_an_upward_import_inside_a_function_is_found(tmp_path: Path) -> None:
    package = tmp_path / "speciesnet"
    package.mkdir()
    (package / "records.py").write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from speciesnet.run.model import SpeciesNet\n"
        "def late():\n    from speciesnet import survey\n"
    )
    found = upward_imports(modules_of(tmp_path))
    assert [line.rpartition("/")[2] for line in found] == ["records.py:5: records -> survey"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        ("import speciesnet.predictions", {"cv2", "PIL"}),
        (
            "import sys; from speciesnet.scripts.run_model import cli; sys.argv = ['x', '--help']\n"
            "try: cli()\nexcept SystemExit: pass",
            {"torch", "numpy"},
        ),
    ],
)
def test_light_commands_import_nothing_heavy(code: str, unwanted: set[str]) -> None:
    program = f"import sys\n{code}\nprint(*sys.modules, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    assert not unwanted & set(done.stdout.splitlines())
