"""Launchers for clusters: what can be checked without a cloud, Kubernetes or Slurm."""

from __future__ import annotations

import copy
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import read_predictions, run_module

from speciesnet.images.instances import Instance, find_images, take_shard

LAUNCHERS = Path(__file__).parents[1] / "scripts" / "launch"
NAMES = sorted(path.name for path in LAUNCHERS.iterdir())


def _load(name: str) -> dict[str, Any]:
    return yaml.safe_load((LAUNCHERS / name).read_text(encoding="utf-8"))


def test_ray_takes_the_description_of_a_cluster() -> None:
    util = pytest.importorskip("ray.autoscaler._private.util")
    pytest.importorskip("jsonschema")
    description = _load("ray_cluster_aws.yaml")
    util.validate_config(util.prepare_config(copy.deepcopy(description)))
    description["available_node_types"]["gpu"]["cards"] = 1
    with pytest.raises(Exception, match="cards"):
        util.validate_config(util.prepare_config(description))


def test_amazon_takes_the_description_of_its_machines() -> None:
    session = pytest.importorskip("botocore.session").get_session()
    validate = pytest.importorskip("botocore.validate")
    shape = session.get_service_model("ec2").operation_model("RunInstances").input_shape
    for name, kind in _load("ray_cluster_aws.yaml")["available_node_types"].items():
        order = {**kind["node_config"], "MinCount": 1, "MaxCount": 1}
        report = validate.ParamValidator().validate(order, shape)
        assert not report.has_errors(), f"{name}: {report.generate_report()}"


def test_no_cluster_is_open_to_everybody() -> None:
    amazon = _load("ray_cluster_aws.yaml")
    assert "~/.ray/auth_token" in amazon["file_mounts"]
    assert any("RAY_AUTH_MODE=token" in line for line in amazon["setup_commands"])
    assert _load("kuberay.yaml")["spec"]["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    assert "export RAY_AUTH_MODE=token" in (LAUNCHERS / "slurm_ray.sh").read_text(encoding="utf-8")


def test_pods_with_a_card_come_when_they_are_needed_and_only_then() -> None:
    cluster = _load("kuberay.yaml")["spec"]["rayClusterSpec"]
    (group,) = cluster["workerGroupSpecs"]
    (worker,) = group["template"]["spec"]["containers"]
    (head,) = cluster["headGroupSpec"]["template"]["spec"]["containers"]
    assert cluster["enableInTreeAutoscaling"]
    assert group["minReplicas"] == 0 < group["maxReplicas"]
    assert worker["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert "nvidia.com/gpu" not in head["resources"]["limits"]
    assert worker["image"] == head["image"]


@pytest.fixture(scope="module")
def flags_of() -> Callable[[str], set[str]]:
    """Names of a command's flags, as its own help has them."""

    @cache
    def flags(module: str) -> set[str]:
        text = run_module(module, "--help", "all").out
        found = re.findall(r"--(\[no\])?(\w+)", text)
        return {name for _, name in found} | {f"no{name}" for negated, name in found if negated}

    return flags


@pytest.mark.parametrize("name", NAMES)
def test_flags_in_launchers_exist(name: str, flags_of: Callable[[str], set[str]]) -> None:
    text = re.sub(r"(?m)^[# ]+", "", (LAUNCHERS / name).read_text(encoding="utf-8"))
    commands = re.findall(r"(?s)speciesnet\.scripts\.(\w+)(.*?)(?:\n\n|\Z)", text)
    assert commands
    for module, words in commands:
        assert set(re.findall(r"--(\w+)", words)) <= flags_of(module)


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".sh")])
def test_scripts_are_valid(name: str) -> None:
    bash = shutil.which("bash") or pytest.skip("there is no bash")
    subprocess.run([bash, "-n", str(LAUNCHERS / name)], check=True)


@pytest.mark.skipif(sys.platform == "win32", reason="Slurm runs on Linux")
def test_a_job_of_an_array_does_its_part(tmp_path: Path) -> None:
    images = find_images(["demo"])
    part = [path for path in images if take_shard([Instance(path)], "2/6")]
    assert 0 < len(part) < len(images)
    slurm = {"SLURM_ARRAY_TASK_ID": "2", "SLURM_ARRAY_TASK_COUNT": "1", "SLURM_CPUS_PER_TASK": "1"}
    subprocess.run(
        ["bash", LAUNCHERS / "slurm_array.sh", tmp_path, "--model", "demo", "--folders", "demo"],
        env={
            **os.environ,
            **slurm,
            "PARTS": "6",  # for an array that is given again in part
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        check=True,
    )
    records = read_predictions(tmp_path / "part-2.json")
    assert [record["filepath"] for record in records] == part
