"""Metadata of photographs: dates, positions and cameras, from EXIF, XMP and maker notes."""

from speciesnet.metadata.dates import YEARS, day_comes_first, parse_datetime, parse_table_date
from speciesnet.metadata.photo import MAX_TEXT, PhotoMetadata, metadata_of

__all__ = [
    "MAX_TEXT",
    "YEARS",
    "PhotoMetadata",
    "day_comes_first",
    "metadata_of",
    "parse_datetime",
    "parse_table_date",
]
