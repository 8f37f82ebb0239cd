"""Metadata of photographs: dates, positions and cameras, from EXIF, XMP and maker notes."""

from speciesnet.metadata.dates import YEARS, parse_datetime
from speciesnet.metadata.photo import MAX_TEXT, PhotoMetadata, metadata_of

__all__ = ["MAX_TEXT", "YEARS", "PhotoMetadata", "metadata_of", "parse_datetime"]
