"""Names that other programs import from this module."""

from speciesnet.ensemble import combine_predictions_for_single_item

__all__ = ["combine_predictions_for_single_item"]
