"""Flags that mean the same in a run on one machine and on many."""

from __future__ import annotations

from absl import flags

GEOFENCE = flags.DEFINE_bool(
    "geofence", True, "Roll species that do not live in the country up to a taxon that does."
)
TARGET_SPECIES_TXT = flags.DEFINE_string(
    "target_species_txt",
    None,
    "File with a label of the model a line: their raw scores (logits) are added to every record.",
)
COUNTRY = flags.DEFINE_string(
    "country", None, "Country of all images, ISO 3166-1 alpha-3, such as KEN."
)
ADMIN1_REGION = flags.DEFINE_string(
    "admin1_region", None, "State of all images, for the USA its two letters, such as CA."
)
METADATA = flags.DEFINE_bool(
    "metadata", False, "Add to every record the date, position and camera from the photograph."
)
BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 8, "Images that a network takes at once.", lower_bound=1
)
PROGRESS_BARS = flags.DEFINE_bool("progress_bars", True, "Show progress bars.")
