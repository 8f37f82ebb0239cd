"""The failures in a record: their order, whether it is failed, and whether it is finished."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from speciesnet.constants import Failure

if TYPE_CHECKING:
    from speciesnet.records import Record


def in_published_order(failures: Sequence[Failure]) -> list[str]:
    """The names of components that failed, in the order of the published program."""
    return [failure.value for failure in Failure if failure in failures]


def is_failed(record: Record) -> bool:
    """Whether a record has no answer because of a failure.

    An image whose location is unknown (GEOLOCATION) still has its answer and its boxes.
    """
    return "prediction" not in record and any(
        failure != Failure.GEOLOCATION.value for failure in record.get("failures") or ()
    )


def is_finished(record: Record) -> bool:
    """Whether a continued run keeps a record instead of predicting the image again."""
    return not record.get("failures")
