from __future__ import annotations

import subprocess
import sys

import torch
from commands import run_module


def test_help_and_flags_that_there_are_not() -> None:
    outcome = run_module("gpu_test", "--help")
    assert outcome.code == 0
    assert outcome.out.startswith("Tells what PyTorch")
    outcome = run_module("gpu_test", "--gpus", "2")
    assert outcome.code == 1
    assert "gpus" in outcome.sentence


def test_report_names_what_is_there_and_what_to_do() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "speciesnet.scripts.gpu_test"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert f"PyTorch {torch.__version__}" in done.stdout
    assert "TensorFlow 2." in done.stdout
    assert "Both networks run on the" in done.stdout
    if not torch.cuda.is_available() and not torch.backends.mps.is_available():
        assert "No GPUs reported by PyTorch" in done.stdout
        assert "No GPUs reported by Tensorflow" in done.stdout
        assert "nvidia-smi" in done.stdout
