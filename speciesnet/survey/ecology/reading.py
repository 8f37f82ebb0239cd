"""Reads the data for ecological tables from the records of a survey, and counts what they leave out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo

from speciesnet.constants import Classification, Detection
from speciesnet.ensemble.taxonomy import BLANK, UNKNOWN, category_of
from speciesnet.export.deployments import deployed
from speciesnet.files.input_notes import Examples
from speciesnet.files.moved_photographs import Photographs
from speciesnet.files.paths import Parts
from speciesnet.records import Record, answer_of
from speciesnet.records.failures import is_failed
from speciesnet.survey.cards import folder_parts, note_on
from speciesnet.survey.counts import largest_counts
from speciesnet.survey.dates import DateRules
from speciesnet.survey.effort import Deployed, periods_of
from speciesnet.survey.events import Sighting, sightings_of
from speciesnet.survey.photographs import position_of, with_metadata
from speciesnet.survey.reliable_dates import CameraDates, camera_dates
from speciesnet.survey.sequences import camera_folder
from speciesnet.survey.survey import Survey

Position = tuple[float, float]  # latitude and longitude in degrees
PEOPLE, VEHICLES = "people", "vehicles"
UNIDENTIFIED, FAILED = "unidentified animals", "failed"
UNDATED, UNRELIABLE = "animals without a date", "animals with an unreliable date"
_NOT_ANIMALS = {Detection.HUMAN.value: PEOPLE, Detection.VEHICLE.value: VEHICLES}


@dataclass
class Found:
    """The data from the records of a survey.

    Attributes:
        sightings: The camera, the taxon and the photograph of each dated sighting.
        taken: The path and the date, ISO 8601 or None, of every photograph.
        positions: The positions of each camera's photographs, and how often each occurs.
        cameras: The dates of each camera.
        rows: The deployments of each folder, see ``export.deployments.deployed``; None if there
            is no table.
        unused: The deployments without photographs.
        left_out: Photographs that the tables leave out, by the reason; one may have several.
        undated: The path and the taxon of each sighting whose date is missing or unreliable, and the
            reason.
    """

    sightings: list[tuple[str, str, Sighting]] = field(default_factory=list)
    taken: list[tuple[str, str | None]] = field(default_factory=list)
    positions: dict[str, Counter[Position]] = field(default_factory=lambda: defaultdict(Counter))
    cameras: list[CameraDates] = field(default_factory=list)
    rows: dict[str, list[Deployed]] | None = None
    unused: list[Deployed] = field(default_factory=list)
    left_out: dict[str, Examples] = field(default_factory=dict)
    undated: list[tuple[str, str, str]] = field(default_factory=list)

    def leave_out(self, reason: str, path: str) -> None:
        """Counts a photograph that a table leaves out."""
        self.left_out.setdefault(reason, Examples(reason, reason)).add(path)

    @property
    def folders(self) -> list[Parts]:
        """The folders of photographs with a date."""
        return list(dict.fromkeys(folder_parts(path) for path, date in self.taken if date))

    def positions_of(self) -> dict[str, Position]:
        """The most frequent position of each camera that has any."""
        return {camera: found.most_common(1)[0][0] for camera, found in self.positions.items()}


def read_records(
    records: Iterable[Record],
    photographs: Photographs | None,
    dates: DateRules,
    *,
    with_people: bool = False,
    deployments: str | None = None,
    zone: tzinfo | None = None,
) -> Found:
    """Reads all records once.

    People and vehicles (unless ``with_people``), unidentified animals, blank and unknown photographs,
    failures, and animals without a reliable date are left out.

    Args:
        records: Corrected records. If a path occurs twice, the first one counts.
        photographs: Finds the photographs, to read dates and positions that are not in the records.
        dates: Dates from file names, and corrections of the cameras' clocks.
        with_people: Whether people and vehicles count as taxa.
        deployments: Path or URL of a table of deployments, whose periods also show which dates are
            reliable; or None.
        zone: The time zone of the cameras' clocks, or None.

    Raises:
        InputError: A record is malformed; or the clock corrections or the deployments do not fit the
            photographs.
    """
    found = Found()
    folders: set[Parts] = set()
    seen: set[str] = set()
    for record, metadata in with_metadata(records, photographs, dates):
        path = record["filepath"]
        if path in seen:
            continue
        seen.add(path)
        folders.add(folder_parts(path))
        latitude, longitude = position_of(record, metadata)
        if latitude is not None and longitude is not None:
            found.positions["/".join(camera_folder(path))][latitude, longitude] += 1
        sightings = list(sightings_of(record, metadata))
        if not sightings:
            label = None if is_failed(record) else answer_of(record)[0]
            found.leave_out(_why_empty(label, is_failed=is_failed(record)), path)
        _add(found, path, metadata.datetime, sightings, with_people=with_people)
    dates.add_note(note_on(folders))
    if deployments is not None:
        undated = dict.fromkeys(folder_parts(path) for path, date in found.taken if date is None)
        found.rows, found.unused = deployed(deployments, found.folders, zone, [*undated])
    _leave_out_unreliable(found)
    return found


def found_in(survey: Survey) -> Found:
    """Does the same as ``read_records`` for a survey in memory, without people and vehicles."""
    found = Found()
    for picture in survey.pictures:
        path, taken = picture.filepath, picture.taken
        camera = "/".join(camera_folder(path))
        if picture.position is not None:
            found.positions[camera][picture.position] += 1
        counts = picture.counts if taken else largest_counts([picture.counts])
        sightings = [
            (camera, label, Sighting(taken, path, count)) for label, count in counts.items()
        ]
        if not sightings:
            found.leave_out(_why_empty(picture.answer, is_failed=bool(picture.failures)), path)
        _add(found, path, taken, sightings)
    _leave_out_unreliable(found)
    return found


def _add(
    found: Found,
    path: str,
    taken: str | None,
    sightings: Sequence[tuple[str, str, Sighting]],
    *,
    with_people: bool = False,
) -> None:
    """Adds a photograph and its sightings."""
    found.taken.append((path, taken))
    reasons = {label: _why_left_out(label, with_people) for _, label, _ in sightings}
    for reason in dict.fromkeys(filter(None, reasons.values())):
        found.leave_out(reason, path)
    kept = [one for one in sightings if reasons[one[1]] is None]
    if kept and taken is None:
        found.leave_out(UNDATED, path)
        found.undated += [(path, label, UNDATED) for _, label, _ in kept]
    else:
        found.sightings += kept


def _why_empty(label: str | None, *, is_failed: bool) -> str:
    """The reason why nothing was counted in a photograph with this answer."""
    if is_failed:
        return FAILED
    return BLANK if label is None or category_of(label) == BLANK else UNKNOWN


def _why_left_out(label: str, with_people: bool) -> str | None:
    """The reason why tables leave a label out, or None."""
    if label == Classification.ANIMAL:
        return UNIDENTIFIED
    category = category_of(label)
    return _NOT_ANIMALS.get(category) if not with_people else None


def _leave_out_unreliable(found: Found) -> None:
    """Sorts the dates of cameras, and removes the sightings during which their clocks were wrong."""
    found.cameras = camera_dates(found.taken, periods_of(found.rows or {}))
    unreliable = {one.filepath for camera in found.cameras for one in camera.unreliable}
    if not unreliable:
        return
    wrong = [one for one in found.sightings if one[2].filepath in unreliable]
    found.sightings = [one for one in found.sightings if one[2].filepath not in unreliable]
    for path in dict.fromkeys(one.filepath for _, _, one in wrong):
        found.leave_out(UNRELIABLE, path)
    found.undated += [(one.filepath, label, UNRELIABLE) for _, label, one in wrong]


def left_out_rows(found: Found) -> Iterator[dict[str, str | int | float | None]]:
    """The rows of the table that lists what the other tables leave out."""
    for reason, examples in sorted(found.left_out.items()):
        yield {"reason": reason, "photographs": examples.count, "first_file": examples.first}
