from __future__ import annotations

import torch
from commands import run_here
from frameworks import HAS_TENSORFLOW


def test_help_and_unknown_flags() -> None:
    outcome = run_here("gpu_test", "--help")
    assert outcome.code == 0
    assert outcome.out.startswith("Reports which GPUs PyTorch")
    outcome = run_here("gpu_test", "--gpus", "2")
    assert outcome.code == 1
    assert "gpus" in outcome.sentence


def test_report_names_the_engines_and_the_next_step() -> None:
    done = run_here("gpu_test")
    assert done.code == 0, done.err
    assert f"PyTorch {torch.__version__}" in done.out
    assert (
        "TensorFlow 2." if HAS_TENSORFLOW else "Only unusual classifiers need TensorFlow"
    ) in done.out
    assert "Both networks run on the" in done.out
    if not torch.cuda.is_available() and not torch.backends.mps.is_available():
        assert "No GPUs reported by PyTorch" in done.out
        assert not HAS_TENSORFLOW or "No GPUs reported by Tensorflow" in done.out
        assert "nvidia-smi" in done.out
