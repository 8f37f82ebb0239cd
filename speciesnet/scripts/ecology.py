"""Writes tables for ecologists: ``speciesnet ecology``."""

from __future__ import annotations

import sys

from speciesnet.errors import InputError
from speciesnet.files.input_notes import counted
from speciesnet.scripts import console, flags
from speciesnet.scripts.inputs import chosen_predictions, date_rules, records_of
from speciesnet.scripts.outputs import sent_folder
from speciesnet.survey.ecology.occupancy import FirstDay, Occasions
from speciesnet.survey.events import ComparedTo

EVENT_GAP = flags.EVENT_GAP.but(
    help="Shortest pause between two independent events of a taxon at a camera, in minutes."
)
_COMPARED: tuple[ComparedTo, ...] = ("last_record", "last_independent_record")
COMPARED_TO: flags.Flag[ComparedTo] = flags.choice(
    "compared_to",
    _COMPARED,
    "What the pause of --event_gap is measured from: the previous photograph of the taxon, or the "
    "start of its previous event.",
)
PEOPLE = flags.switch("people", "Treat people and vehicles as taxa instead of leaving them out.")
OCCASION_DAYS = flags.integer("occasion_days", 7, "Length of an occasion in days.", at_most=3660)
_FIRST: tuple[FirstDay, ...] = ("survey", "station")
FIRST_DAY: flags.Flag[FirstDay] = flags.choice(
    "first_day",
    _FIRST,
    "Day on which the first occasion starts: the first day of the survey, or that of each station.",
)
MIN_ACTIVE_DAYS = flags.integer(
    "min_active_days", 1, "Occasions in which a station worked on fewer days are NA.", at_most=3660
)

USAGE = """\
Writes tables for ecologists: detections per 100 trap nights, activity by time
of day, detection histories for occupancy models, species accumulation, and
the tables of R's camtrapR.

  speciesnet ecology PREDICTIONS.json --out FOLDER --timezone Africa/Nairobi
"""


def main(values: flags.Values, source: str) -> None:
    """Reads all records and writes the tables."""
    from speciesnet.export.media_index import parse_timezone
    from speciesnet.files.moved_photographs import Photographs
    from speciesnet.survey.ecology.folder import (
        LAST_FILE,
        MADE_BY,
        Options,
        ecology_survey,
        write_ecology,
    )
    from speciesnet.survey.ecology.reading import read_records
    from speciesnet.survey.report.folder import MARKER, check_report_folder

    folder = values[flags.OUT]
    if folder is None:
        raise InputError("Pass the folder for the tables, such as --out tables.")
    occasions = Occasions(values[OCCASION_DAYS], values[FIRST_DAY], values[MIN_ACTIVE_DAYS])
    if occasions.min_active_days > occasions.days:
        raise InputError(
            f"--min_active_days {occasions.min_active_days} is more than the "
            f"{counted(occasions.days, 'day')} of an occasion; pass at most the value of --occasion_days."
        )
    deployments = values[flags.DEPLOYMENTS]
    options = Options(
        values[EVENT_GAP],
        values[COMPARED_TO],
        deployments,
        parse_timezone(values[flags.TIMEZONE]),
        occasions,
    )
    dates = date_rules(values, deployments)
    photographs = Photographs(values[flags.IMAGE_ROOT])
    with sent_folder(folder, last=LAST_FILE, mark=MARKER) as out:
        check_report_folder(out, MADE_BY)
        with chosen_predictions(source, values) as predictions:
            records = records_of(predictions, values, photographs, dates)
            found = read_records(
                records,
                photographs,
                dates,
                with_people=values[PEOPLE],
                deployments=deployments,
                zone=options.zone,
            )
        survey = ecology_survey(found, options)
        notes = write_ecology(survey, found, out, options)
    photographs.warn_of_missing("their dates and positions are unknown")
    nights = sum(station.nights for station in survey.stations)
    sys.stdout.write(
        f"{counted(len(survey.detections), 'detection')} of "
        f"{counted(len(survey.labels), 'taxon', 'taxa')} in {counted(nights, 'trap night')} at "
        f"{counted(len(survey.stations), 'station')}: {folder}\n"
    )
    sys.stdout.write("".join(f"{note}\n" for note in [*notes, *dates.notes]))


COMMAND = console.Command(
    main,
    USAGE,
    (
        flags.OUT.but(
            help="Folder (path or URL) for the tables: a new folder, or one with earlier tables."
        ),
        *(EVENT_GAP, PEOPLE, flags.TIMEZONE, flags.DEPLOYMENTS),
        flags.IMAGE_ROOT,
    ),
    topics={
        "events": ("when events are independent", (COMPARED_TO,)),
        "occasions": ("detection histories", (OCCASION_DAYS, FIRST_DAY, MIN_ACTIVE_DAYS)),
        "sequences": ("smoothing of boxes", (flags.SEQUENCE_GAP, flags.SMOOTH_BOXES)),
        **flags.ANSWERS,
        **flags.DATES,
    },
    **console.ONE_PREDICTIONS_FILE,
)

if __name__ == "__main__":
    console.start(COMMAND)
