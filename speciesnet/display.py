"""A name that other programs import from here; it lives in ``drawing``."""

from speciesnet.drawing import draw_bboxes

__all__ = ["draw_bboxes"]
