"""Counts of records by their answers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from speciesnet.files.extensions import is_film_name
from speciesnet.files.input_notes import Examples
from speciesnet.records import Record, is_below_threshold, is_film

NOTHING = "nothing found"


def _placeless() -> Examples:
    return Examples(
        "image has no country, because its position is at sea or 0, 0",
        "images have no country, because their positions are at sea or 0, 0",
        ". Correct the positions, or give the country",
    )


@dataclass
class Tally:
    """Counts of records by their answers.

    Attributes:
        images: Records counted, including those of films.
        failed: Records with failures.
        answers: Predictions, or the top class or top box of a run of one component, by label.
        countries: Countries of the records that have one.
        placeless: Records with a position, but without a country. In runs that look up countries, their
            positions are not in any, see ``geolocation.find_country``.
        below_threshold: Records with an answer below its threshold, see ``ensemble.thresholds``.
        films: Records of films.
    """

    images: int = 0
    failed: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    countries: Counter[str] = field(default_factory=Counter)
    placeless: Examples = field(default_factory=_placeless)
    below_threshold: int = 0
    films: int = 0

    def count(self, record: Record) -> None:
        """Adds a record."""
        self.images += 1
        # The record of a film without frames shows only by its name that it is one.
        failed = bool(record.get("failures"))
        self.films += is_film(record) or (failed and is_film_name(record["filepath"]))
        if country := record.get("country"):
            self.countries[country] += 1
        elif "latitude" in record and "longitude" in record:
            self.placeless.add(
                f"{record['filepath']} (at {record['latitude']}, {record['longitude']})"
            )
        self.below_threshold += is_below_threshold(record)
        if failed:
            self.failed += 1
        elif "prediction" in record:
            self.answers[record["prediction"]] += 1
        elif "classifications" in record:
            found = record["classifications"]
            self.answers[found["classes"][0] if found["scores"] else NOTHING] += 1
        else:
            detections = record.get("detections") or [{"label": NOTHING}]
            self.answers[detections[0]["label"]] += 1

    def add(self, more: Tally) -> None:
        """Adds the counts of other records."""
        self.images += more.images
        self.films += more.films
        self.failed += more.failed
        self.answers.update(more.answers)
        self.countries.update(more.countries)
        self.placeless.add_all(more.placeless)
        self.below_threshold += more.below_threshold
