"""A small survey whose tables were computed by hand.

cam1 worked from 1 May, 09:00 to 8 May, 15:00: 7 nights, 8 days. cam2 worked from 3 May to 5 May: 2
nights, 3 days. A fox came to cam1 twice in the night after 2 May and to cam2 once, a deer to cam1 once.
"""

from __future__ import annotations

from typing import Any

from surveys import BLANK, DEER, FOX, record

from speciesnet.records import Record
from speciesnet.survey.dates import DateRules
from speciesnet.survey.ecology.folder import EcologySurvey, Options, ecology_survey
from speciesnet.survey.ecology.reading import Found, read_records

PHOTOGRAPHS = (
    ("cam1", BLANK, "01T09:00:00"),
    ("cam1", FOX, "02T22:00:00"),
    ("cam1", FOX, "02T22:20:00"),
    ("cam1", FOX, "02T23:00:00"),
    ("cam1", DEER, "03T06:00:00"),
    ("cam1", BLANK, "08T15:00:00"),
    ("cam2", BLANK, "03T12:00:00"),
    ("cam2", FOX, "04T01:00:00"),
    ("cam2", BLANK, "05T12:00:00"),
)
SURVEY = [
    record(f"/survey/{camera}/{number}.jpg", label, taken=f"2024-05-{taken}")
    for number, (camera, label, taken) in enumerate(PHOTOGRAPHS)
]


def read(*records: Record, **options: Any) -> Found:
    """Reads records; by default those of the survey."""
    return read_records(records or SURVEY, None, DateRules(), **options)


def make(*records: Record, **options: Any) -> EcologySurvey:
    """The detections and stations of records; by default those of the survey."""
    of_reading = {key: options[key] for key in ("deployments", "zone") if key in options}
    return ecology_survey(read(*records, **of_reading), Options(**options))
