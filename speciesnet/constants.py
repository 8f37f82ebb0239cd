"""Labels, categories, failures, thresholds and limits that several modules share."""

from __future__ import annotations

import os
from enum import Enum
from typing import Literal

Classify = Literal["best", "all"]  # one answer for an image, or one for each of its boxes as well
OutputFormat = Literal[
    4, 5
]  # the format of a predictions file: that of version 4, or of the published version 5.0.6
OUTPUT_FORMATS: tuple[OutputFormat, ...] = (4, 5)
FORMAT_VERSION = "20261015"  # the name of format 5 in its files
Components = Literal["all", "classifier", "detector", "ensemble"]
RunMode = Literal["single_thread", "multi_thread", "multi_process"]
RUN_MODES: tuple[RunMode, ...] = ("single_thread", "multi_thread", "multi_process")

# Flaws of an image that can still be decoded: its file ends before its last pixel, or its pixels became
# white or black when they were converted to 8 bits.
Flaw = Literal["cut off", "clipped"]
FLAWS: tuple[Flaw, ...] = ("cut off", "clipped")

# MegaDetector's own threshold, of objectness and of objectness times class probability.
SCORE_THRESHOLD = 0.01
EDGE_TOLERANCE = 0.01  # how far boxes and scores may exceed their range, from rounding
REVIEWED = "review"  # the source of an answer that a person has given
BELOW_THRESHOLD = "+below_threshold"  # ends the source of a replaced answer
DETECTION_THRESHOLD = 0.2  # the decision table ignores boxes with a lower confidence
TOP_CLASSES = 5  # classes in a record, and classes that the decision table takes into account

# Suffixes of the files next to a predictions file.
RUN_ENDING = ".run.json"  # settings of the run
CORRECTIONS_ENDING = ".corrections.jsonl"  # corrections by reviewers

# Files that mark folders of pictures made from photographs.
CROPS_LIST = "crops.jsonl"
DRAWN_LIST = "drawn.jsonl"
UNDO_FILE = "undo.jsonl"  # written by a sort, which may have moved the photographs instead

DEFAULT_SEQUENCE_GAP = 60.0  # maximum seconds between two photographs of one sequence
DEFAULT_EVENT_GAP = 30.0  # minimum minutes between two independent events


def available_cpus() -> int:
    """The number of CPU cores that this process may use; containers and batch systems may limit it."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Classification(str, Enum):
    """Labels that the ensemble refers to: ``uuid;class;order;family;genus;species;common name``."""

    BLANK = "f1856211-cfb7-4a5b-9158-c0f72fd09ee6;;;;;;blank"
    ANIMAL = "1f689929-883d-4dae-958c-3d57ab5b6c16;;;;;;animal"
    HUMAN = "990ae9dd-7a59-4344-afcb-1b7b21368000;mammalia;primates;hominidae;homo;sapiens;human"
    VEHICLE = "e2895ed5-780b-48f6-8a11-9e27cb594511;;;;;;vehicle"
    UNKNOWN = (
        "f2efdae9-efb8-48fb-8a91-eccf79ab4ffb;no cv result;no cv result;no cv result;"
        "no cv result;no cv result;no cv result"
    )

    def __str__(self) -> str:
        return self.value


class Detection(str, Enum):
    """The classes of the detector."""

    ANIMAL = "animal"
    HUMAN = "human"
    VEHICLE = "vehicle"

    def __str__(self) -> str:
        return self.value

    @property
    def category(self) -> str:
        """The detector's class index plus one, as a string: "1", "2" or "3"."""
        return str(list(Detection).index(self) + 1)

    @classmethod
    def from_category(cls, category: str) -> Detection:
        """The detection of a category "1", "2" or "3"; raises ``ValueError`` for any other."""
        for detection in cls:
            if detection.category == category:
                return detection
        raise ValueError(f"Detection category {category!r} is not 1, 2 or 3.")


class Failure(str, Enum):
    """Components that can fail on an image, in the order in which records list them."""

    CLASSIFIER = "CLASSIFIER"
    DETECTOR = "DETECTOR"
    GEOLOCATION = "GEOLOCATION"

    def __str__(self) -> str:
        return self.value
