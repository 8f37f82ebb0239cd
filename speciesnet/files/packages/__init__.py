"""Model packages: names, downloads and the files in them."""

from pathlib import Path

DEMO = Path(__file__).with_name(
    "demo"
)  # the embedded package in ``model``, and its sample ``images``
