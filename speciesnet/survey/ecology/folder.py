"""Writes the ecological tables of a survey into a folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path

from speciesnet.constants import DEFAULT_EVENT_GAP
from speciesnet.ensemble.taxonomy import split_label
from speciesnet.errors import OutputError, file_errors
from speciesnet.export.deployments import deployment_places, some_of
from speciesnet.export.tables import Row, write_table
from speciesnet.files.input_notes import counted, plural
from speciesnet.files.paths import safe_name
from speciesnet.survey.ecology import accumulation, activity_tables, camtrapr, rates
from speciesnet.survey.ecology.activity_tables import Activity, suns_of
from speciesnet.survey.ecology.occupancy import (
    Matrix,
    Occasions,
    detection_history,
    effort_matrix,
    operation_matrix,
)
from speciesnet.survey.ecology.reading import Found, left_out_rows
from speciesnet.survey.ecology.stations import (
    Detection,
    Station,
    detections_at,
    make_stations,
    taxon_names,
)
from speciesnet.survey.effort import effort_of
from speciesnet.survey.events import ComparedTo, find_events
from speciesnet.survey.report.folder import ReportFolder, unused_name

MADE_BY = "speciesnet.scripts.ecology"
HISTORIES = "detection_history"
LAST_FILE = "detections.csv"  # the last file that is uploaded to a bucket
_LEFT_OUT_COLUMNS: dict[str, type] = {"reason": str, "photographs": int, "first_file": str}
_UNDATED_COLUMNS: dict[str, type] = {"file": str, "taxon": str, "reason": str}


@dataclass(frozen=True)
class Options:
    """How the tables of a survey are made.

    Attributes:
        gap: The minutes between two independent events of a taxon at a camera.
        compared_to: See ``find_events``.
        deployments: Path or URL of a table of deployments, or None.
        zone: The time zone of the cameras' clocks, or None.
        occasions: The occasions of detection histories.
    """

    gap: float = DEFAULT_EVENT_GAP
    compared_to: ComparedTo = "last_record"
    deployments: str | None = None
    zone: tzinfo | None = None
    occasions: Occasions = field(default_factory=Occasions)


@dataclass(frozen=True)
class EcologySurvey:
    """The detections and the stations of a survey.

    Attributes:
        detections: The detections, by station, taxon and time.
        stations: All stations, even without detections.
        labels: The label of each taxon.
    """

    detections: list[Detection]
    stations: list[Station]
    labels: dict[str, str]

    @property
    def of_species(self) -> list[Detection]:
        """The detections of species and subspecies."""
        ranks = {taxon: split_label(label).rank for taxon, label in self.labels.items()}
        return [one for one in self.detections if ranks[one.taxon] in accumulation.IS_SPECIES]


def ecology_survey(found: Found, options: Options) -> EcologySurvey:
    """The detections and stations of a survey.

    Raises:
        InputError: The table of deployments is invalid.
    """
    efforts = effort_of(found.cameras, found.rows, without_photographs=found.unused)
    table = options.deployments
    places = {} if table is None else deployment_places(table)
    names = taxon_names(label for _, label, _ in found.sightings)
    events = find_events(found.sightings, options.gap, options.compared_to)
    since_start = options.compared_to == "last_independent_record"
    detections = detections_at(events, efforts, names, places, since_start=since_start)
    stations = make_stations(efforts, found.positions_of(), places)
    used = {one.taxon for one in detections}
    labels = {name: label for label, name in names.items() if name in used}
    return EcologySurvey(detections, stations, labels)


def write_ecology(
    survey: EcologySurvey, found: Found, out: str | os.PathLike[str], options: Options
) -> list[str]:
    """Writes all tables, replacing those of an earlier run.

    Args:
        survey: The detections and the stations.
        found: The data from the records, and what is left out.
        out: The folder; it is created if it does not exist.
        options: How the tables are made.

    Returns:
        Sentences on what the tables leave out or cannot show.

    Raises:
        OutputError: The folder cannot be written.
    """
    detections, stations = survey.detections, survey.stations
    suns = suns_of(detections, stations, options.zone)
    activity = Activity(detections, suns)
    days, operation = operation_matrix(stations)
    by_station = rates.rates_by_station(detections, stations, survey.labels)
    names = taxon_names(label for _, label, _ in found.undated)
    undated: list[Row] = [
        {"file": path, "taxon": names[label], "reason": reason}
        for path, label, reason in found.undated
    ]
    species = accumulation.accumulation_rows(survey.of_species, stations)
    tables: dict[str, tuple[Iterable[Row], Mapping[str, type]]] = {
        "left_out.csv": (left_out_rows(found), _LEFT_OUT_COLUMNS),
        "undated.csv": (undated, _UNDATED_COLUMNS),
        "record_table.csv": (camtrapr.record_rows(detections, suns), camtrapr.RECORD_COLUMNS),
        "camera_table.csv": (camtrapr.camera_rows(stations), camtrapr.camera_types(stations)),
        "camera_operation.csv": _matrix([day.isoformat() for day in days], operation),
        "activity.csv": (activity.summary_rows(), activity_tables.SUMMARY_COLUMNS),
        "activity_by_hour.csv": (activity.hour_rows(), activity_tables.HOUR_COLUMNS),
        "activity_density.csv": (activity.density_rows(), activity_tables.DENSITY_COLUMNS),
        "activity_overlap.csv": (activity.overlap_rows(), activity_tables.OVERLAP_COLUMNS),
        "accumulation.csv": (species, accumulation.ACCUMULATION_COLUMNS),
        "detections_by_station.csv": (by_station, rates.RATE_COLUMNS),
        LAST_FILE: (
            rates.rates_overall(detections, stations, survey.labels),
            rates.TOTAL_COLUMNS,
        ),
    }
    with file_errors(
        OutputError, f"The folder {out}", "written", "Pass a different folder to --out."
    ):
        folder = ReportFolder(Path(out), MADE_BY)
        folder.remove_earlier_files()
        lost = _write_histories(survey, folder, options.occasions)
        for name, (rows, types) in tables.items():
            write_table(rows, folder.new_file(name), types)
        folder.finish()
    return [*_notes(survey, found, options), *_sun_notes(survey, len(suns), options), *lost]


def _matrix(columns: Sequence[str], matrix: Matrix) -> tuple[Iterable[Row], Mapping[str, type]]:
    return camtrapr.matrix_rows(columns, matrix), camtrapr.matrix_types(columns)


def _write_histories(
    survey: EcologySurvey, folder: ReportFolder, occasions: Occasions
) -> list[str]:
    """Writes detection histories and the effort; returns a sentence on lost detections."""
    effort = effort_matrix(survey.stations, occasions)
    starts = occasions.starts(survey.stations)
    columns = [f"o{number + 1}" for number in range(max(map(len, effort.values()), default=0))]
    rows, types = _matrix(columns, effort)
    write_table(rows, folder.new_file("effort.csv"), types)
    all_lost, used = 0, set[str]()
    for taxon in survey.labels:
        own = [one for one in survey.detections if one.taxon == taxon]
        history, lost = detection_history(own, effort, starts, occasions)
        all_lost += lost
        name = unused_name(safe_name(taxon).replace(" ", "_"), ".csv", used)
        used.add(name)
        rows, types = _matrix(columns, history)
        write_table(rows, folder.new_file(f"{HISTORIES}/{name}"), types)
    if not all_lost:
        return []
    were = plural(all_lost, "is", "are")
    return [
        f"{counted(all_lost, 'detection')} {were} not in the detection histories: the camera was "
        f"not working then, or worked on fewer than {counted(occasions.min_active_days, 'day')} of "
        "the occasion."
    ]


def _notes(survey: EcologySurvey, found: Found, options: Options) -> list[str]:
    """Sentences on what is left out, and on trap nights."""
    notes = []
    if found.left_out:
        reasons = (f"{reason}: {one.count:,}" for reason, one in sorted(found.left_out.items()))
        notes.append(f"Photographs left out, see left_out.csv: {'; '.join(reasons)}.")
    if found.undated:
        files = list(dict.fromkeys(path for path, _, _ in found.undated))
        notes.append(
            f"{counted(len(files), 'photograph')} of animals without a reliable date "
            f"{plural(len(files), 'is', 'are')} in undated.csv: {some_of(files)}."
        )
    idle = [station.name for station in survey.stations if not station.nights]
    if idle:
        notes.append(f"{counted(len(idle), 'station')} without known trap nights: {some_of(idle)}.")
    if options.deployments is None:
        notes.append(
            "Trap nights are counted from the first to the last photograph of each camera. If cameras "
            "worked longer, pass their dates with --deployments."
        )
    return notes


def _sun_notes(survey: EcologySurvey, known: int, options: Options) -> list[str]:
    """Sentences on detections for which the position of the sun is unknown."""
    missing = len(survey.detections) - known
    if not missing:
        return []
    if options.zone is None:
        return [
            f"Sun times of {counted(missing, 'detection')} are not calculated, because the time zone of "
            "the clocks is unknown; pass --timezone, such as Africa/Nairobi or +03:00."
        ]
    unplaced = [station.name for station in survey.stations if station.position is None]
    return [
        f"Sun times of {counted(missing, 'detection')} are not calculated, because the positions of "
        f"{some_of(unplaced)} are unknown; pass them with --deployments."
    ]
