from __future__ import annotations

import subprocess
import sys

import torch


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
