"""Metadata of photographs: dates, positions and cameras, from EXIF, XMP and maker notes."""

from speciesnet.images.metadata.dates import (
    YEARS,
    day_comes_first,
    parse_datetime,
    parse_table_date,
    text_of,
)
from speciesnet.images.metadata.photo import MAX_TEXT, PhotoMetadata, metadata_of, metadata_of_exif

__all__ = [
    "MAX_TEXT",
    "YEARS",
    "PhotoMetadata",
    "day_comes_first",
    "metadata_of",
    "metadata_of_exif",
    "parse_datetime",
    "parse_table_date",
    "text_of",
]
