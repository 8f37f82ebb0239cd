"""Benchmarks: how fast, how much memory, how alike. Run with PYTHONPATH=scripts."""
