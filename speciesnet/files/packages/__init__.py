"""Model packages: names, downloads and the files in them."""

from pathlib import Path

# The embedded package in ``model``, and its sample ``images``.
DEMO = Path(__file__).with_name("demo")
