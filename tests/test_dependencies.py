"""The versions of Python that the package supports, and what it installs on each."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from speciesnet.engines import tensorflow

requirements = pytest.importorskip("packaging.requirements")
specifiers = pytest.importorskip("packaging.specifiers")
tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no TOML reader")

REPOSITORY = Path(__file__).parents[1]
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def installed(project: dict[str, Any], python: str) -> set[str]:
    """The names of the direct dependencies on Linux."""
    machine = {"sys_platform": "linux", "platform_machine": "x86_64", "python_version": python}
    found = map(requirements.Requirement, project["dependencies"])
    return {one.name for one in found if one.marker is None or one.marker.evaluate(machine)}


def test_supported_versions_of_python_are_the_same_everywhere(project: dict[str, Any]) -> None:
    allowed = specifiers.SpecifierSet(project["requires-python"])
    minors = [f"3.{minor}" for minor in range(8, 20)]
    assert tuple(minor for minor in minors if f"{minor}.1" in allowed) == PYTHONS
    classifiers = "\n".join(project["classifiers"])
    assert tuple(re.findall(r"Python :: (3\.\d+)", classifiers)) == PYTHONS
    workflow = (REPOSITORY / ".github/workflows/tests.yml").read_text(encoding="utf-8")
    matrix = re.search(r"python: \[(.*)\]", workflow)
    assert matrix and tuple(re.findall(r'"(.+?)"', matrix[1])) == PYTHONS
    for page in ("README.md", "docs/install.md", "CHANGELOG.md"):
        assert "3.10 to 3.14" in (REPOSITORY / page).read_text(encoding="utf-8"), page


@pytest.mark.parametrize("python", PYTHONS)
def test_only_tensorflow_depends_on_the_version_of_python(
    project: dict[str, Any], python: str
) -> None:
    everywhere = installed(project, "3.12") - {"tensorflow", "tf_keras"}
    newest = "{}.{}".format(*tensorflow.NEWEST_PYTHON)
    has_tensorflow = PYTHONS.index(python) <= PYTHONS.index(newest)
    expected = everywhere | {"tensorflow", "tf_keras"} if has_tensorflow else everywhere
    assert installed(project, python) == expected
    assert {"torch", "torchvision", "openvino", "h5py", "ultralytics"} <= everywhere


def test_newest_tensorflow_is_the_one_that_messages_name(project: dict[str, Any]) -> None:
    found = [
        one
        for one in map(requirements.Requirement, project["dependencies"])
        if one.name in ("tensorflow", "tf_keras")
    ]
    major, minor = map(int, tensorflow.NEWEST_RELEASE.split("."))
    assert len(found) == 2
    for one in found:
        assert f"{major}.{minor}.9" in one.specifier
        assert f"{major}.{minor + 1}.0" not in one.specifier


def processes_of(tree: ast.AST) -> Iterator[str]:
    """What starts processes, with the method that is used."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "multiprocessing":
            yield from ("default" for alias in node.names if alias.name in ("Pool", "Process"))
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in ("multiprocessing.Pool", "multiprocessing.Process") or (
                name == "ProcessPoolExecutor" and "mp_context=" not in ast.unparse(node)
            ):
                yield "default"
            elif name.rpartition(".")[2] == "get_context":
                yield ast.unparse(node.args[0]) if node.args else "default"


def test_start_method_of_processes_does_not_depend_on_the_version_of_python() -> None:
    """The default on Linux is fork before Python 3.14, and forkserver from then on."""
    found: dict[str, set[str]] = {}
    for folder in ("speciesnet", "scripts"):
        for path in (REPOSITORY / folder).rglob("*.py"):
            for method in processes_of(ast.parse(path.read_text(encoding="utf-8"))):
                found.setdefault(method, set()).add(path.stem)
    assert "default" not in found, found["default"]
    assert set(found) == {"'spawn'"}
