"""A name that other programs import from here; it lives in ``ensemble``."""

from speciesnet.ensemble import combine_predictions_for_single_item

__all__ = ["combine_predictions_for_single_item"]
