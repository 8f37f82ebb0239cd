"""Labels, categories and failures with a meaning of their own."""

from __future__ import annotations

from enum import Enum
from typing import Literal

Components = Literal["all", "classifier", "detector", "ensemble"]
RunMode = Literal["single_thread", "multi_thread", "multi_process"]
RUN_MODES: tuple[RunMode, ...] = ("single_thread", "multi_thread", "multi_process")

SCORE_THRESHOLD = 0.01  # of a detection: of objectness, and of objectness times class probability

# Of the files that lie beside a predictions file, after its name.
RUN_ENDING = ".run.json"  # the settings of its run
CORRECTIONS_ENDING = ".corrections.jsonl"  # what people said


class Classification(str, Enum):
    """Labels that the ensemble treats by name: ``uuid;class;order;family;genus;species;common name``."""

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
    """What the detector tells apart."""

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
        raise ValueError(f"Detection category {category!r} is none of 1, 2, 3.")


class Failure(str, Enum):
    """Components that can fail on an image, in the order in which records list them."""

    CLASSIFIER = "CLASSIFIER"
    DETECTOR = "DETECTOR"
    GEOLOCATION = "GEOLOCATION"

    def __str__(self) -> str:
        return self.value
