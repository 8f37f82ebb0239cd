"""Flags of the commands that take a predictions file and its photographs."""

from __future__ import annotations

from absl import flags

IMAGE_ROOT = flags.DEFINE_string(
    "image_root",
    None,
    "Folder that the photographs have moved to; their paths are matched from the end.",
)
