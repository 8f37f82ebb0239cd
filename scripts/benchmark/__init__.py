"""Benchmarks: how fast, how much memory, how alike. Run with PYTHONPATH=scripts."""

ENGINES = (
    ("torch,tensorflow", "fp32"),
    ("torch", "fp32"),
    ("openvino", "fp32"),
    ("torch", "bf16"),
    ("openvino", "bf16"),
)
