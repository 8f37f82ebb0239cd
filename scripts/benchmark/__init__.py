"""Benchmarks of speed, memory use and agreement. Run with PYTHONPATH=scripts."""

ENGINES = (
    ("torch,tensorflow", "fp32"),
    ("torch", "fp32"),
    ("openvino", "fp32"),
    ("torch", "bf16"),
    ("openvino", "bf16"),
)
