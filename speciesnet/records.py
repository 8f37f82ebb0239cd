"""The record of one image, as it stands in a predictions file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from speciesnet.constants import Failure
from speciesnet.errors import InputError

# One image of a predictions file, its keys in the order of ``_KEYS``; see docs/output_format.md.
Record = dict[str, Any]

_KEYS = (
    "country",
    "admin1_region",
    "latitude",
    "longitude",
    "classifications",
    "detections",
    "prediction",
    "prediction_score",
    "prediction_source",
    "model_version",
)


def make_record(filepath: str, failures: Sequence[Failure] = (), **values: Any) -> Record:
    """A record with its keys in the published order.

    Args:
        filepath: The image.
        failures: Components that failed; none leaves the key out.
        **values: Other keys of a record; None leaves a key out.

    Raises:
        TypeError: A key is none of a record's.
    """
    if unknown := values.keys() - set(_KEYS):
        raise TypeError(f"A record has no {', '.join(sorted(unknown))}.")
    record: Record = {"filepath": filepath}
    if failures:
        record["failures"] = [failure.value for failure in Failure if failure in failures]
    record.update((key, values[key]) for key in _KEYS if values.get(key) is not None)
    return record


def components_of(record: Mapping[str, Any]) -> str | None:
    """Which run wrote a record: "all" (an ensemble), "detector", "classifier", or None if unclear."""
    if "model_version" in record:
        return "all"
    has_classes, has_boxes = "classifications" in record, "detections" in record
    if has_classes != has_boxes:
        return "classifier" if has_classes else "detector"
    failures = record.get("failures", [])
    if failures == [Failure.DETECTOR.value]:
        return "detector"
    if failures == [Failure.CLASSIFIER.value]:
        return "classifier"
    return None


def answer_of(record: Mapping[str, Any]) -> tuple[str | None, float, str | None]:
    """The final answer of a record, or the best class of a run without ensemble.

    Returns:
        Its label, or None; its score in [0, 1], 0 without a label; and its source, or None.

    Raises:
        KeyError: The record is malformed; so are ``TypeError``, ``ValueError``, ``IndexError``.
    """
    if "prediction" in record:
        source = record.get("prediction_source")
        return record["prediction"], float(record["prediction_score"]), source
    classifications = record.get("classifications")
    if not classifications or not classifications["classes"]:
        return None, 0.0, None
    return classifications["classes"][0], float(classifications["scores"][0]), None


@contextmanager
def named(record: Mapping[str, Any]) -> Iterator[None]:
    """Turns what a malformed record raises within into an ``InputError`` that names the record."""
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise InputError(
            f"The record of {record.get('filepath')} is malformed ({type(error).__name__}: {error}); "
            "make the predictions again."
        ) from error


@dataclass
class Tally:
    """Counts of what records say.

    Attributes:
        images: Records counted.
        failed: Those with failures.
        answers: Predictions, or the top class or top box of a run of one component, by label.
    """

    images: int = 0
    failed: int = 0
    answers: Counter[str] = field(default_factory=Counter)

    def count(self, record: Mapping[str, Any]) -> None:
        """Adds a record."""
        self.images += 1
        if record.get("failures"):
            self.failed += 1
        elif "prediction" in record:
            self.answers[record["prediction"]] += 1
        elif "classifications" in record:
            self.answers[record["classifications"]["classes"][0]] += 1
        else:
            detections = record.get("detections") or [{"label": "nothing found"}]
            self.answers[detections[0]["label"]] += 1
