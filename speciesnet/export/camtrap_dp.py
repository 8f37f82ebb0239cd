"""Camtrap DP 1.0.2: a data package of deployments, media and observations.

https://camtrap-dp.tdwg.org
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile
from typing import TextIO

from absl import logging

from speciesnet.ensemble.taxonomy import Label
from speciesnet.errors import OutputError, file_errors
from speciesnet.export.deployments import (
    DEPLOYMENT_COLUMNS,
    MAX_EXAMPLES,
    some_of,
)
from speciesnet.export.descriptor import (
    CAPTURE_METHODS,
    SAMPLING_DESIGNS,
    TABLES,
    VERSION,
    Project,
    contributors_of,
    descriptor_of,
    licenses_of,
)
from speciesnet.export.files import check_not_same, output_file
from speciesnet.export.media_index import FAR_KM, MediaIndex, Medium, parse_timezone
from speciesnet.export.observations import (
    OBSERVATION_COLUMNS,
    Events,
    Observation,
    media_rows,
    observations_of,
)
from speciesnet.files.input_notes import counted, plural
from speciesnet.files.moved_photographs import Photographs
from speciesnet.files.storage import scheme_of
from speciesnet.records import Record, in_file
from speciesnet.survey.corrections import Correction
from speciesnet.survey.dates import DateRules
from speciesnet.survey.smoothed_records import SmoothedRecords

__all__ = [
    "CAPTURE_METHODS", "DESCRIPTOR", "FILES", "SAMPLING_DESIGNS", "VERSION", "Project", "Summary",
    "write_camtrap_dp",
]  # fmt: skip

DESCRIPTOR = "datapackage.json"
FILES = (*(f"{name}.csv" for name in TABLES), DESCRIPTOR)

# Columns of the table schema: all are required, in this order, but may be empty.
MEDIA_COLUMNS = (
    "mediaID", "deploymentID", "captureMethod", "timestamp", "filePath", "filePublic", "fileName",
    "fileMediatype", "exifData", "favorite", "mediaComments",
)  # fmt: skip

_MEDIA_TYPES = {"jpg": "image/jpeg", "jpeg": "image/jpeg", "jpe": "image/jpeg", "jfif": "image/jpeg",
                "png": "image/png", "tif": "image/tiff", "tiff": "image/tiff", "webp": "image/webp",
                "bmp": "image/bmp", "gif": "image/gif", "jp2": "image/jp2",
                "3gp": "video/3gpp", "asf": "video/x-ms-asf", "avi": "video/x-msvideo",
                "flv": "video/x-flv", "m4v": "video/x-m4v", "mkv": "video/x-matroska",
                "mov": "video/quicktime", "mp4": "video/mp4", "mpeg": "video/mpeg",
                "mpg": "video/mpeg", "wmv": "video/x-ms-wmv"}  # fmt: skip
# In an address, before its query or fragment, or in a parameter such as "?file=a.png".
_EXTENSION = re.compile(rf"\.({'|'.join(_MEDIA_TYPES)})(?=[?#&]|$)", re.IGNORECASE)
_PATH_RULE = re.compile(r"^(?=^[^./~])(^((?!\.{2}).)*$).*$")  # from media-table-schema.json


@dataclass(frozen=True)
class Summary:
    """The contents of a package, in numbers.

    Attributes:
        deployments: Places and periods.
        media: Photographs.
        events: Sequences of photographs.
        left_out: Photographs without a date, or with a name that the format does not allow.
        outside: Photographs whose date is outside the period of their deployment.
        doubtful: Deployments with definitely wrong dates.
        notes: Sentences about what is left out or wrong; they are also in the log.
    """

    deployments: int
    media: int
    events: int
    left_out: int
    outside: int = 0
    doubtful: int = 0
    notes: Sequence[str] = field(default=(), compare=False, repr=False)


def write_camtrap_dp(
    predictions: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    project: Project,
    *,
    photographs: Photographs | None = None,
    deployments_csv: str | None = None,
    timezone_name: str | None = None,
    sequence_gap: float = 60.0,
    corrections: Mapping[str, Correction] | None = None,
    dates: DateRules | None = None,
    smooth_boxes: bool = True,
) -> Summary:
    """Writes a package: ``datapackage.json`` and three tables.

    Every photograph has an observation: its record's answer, with the best box of that kind; people
    next to an animal have another one. Photographs of a deployment that follow each other closely
    share an event, which has an observation for each species. See ``observations``.

    Args:
        predictions: A predictions file; it is read twice, so that only a few numbers per record are
            kept in memory.
        folder: The folder of the package; created if it does not exist, but not its parent.
        project: The facts that are not in the predictions file.
        photographs: Finds the photographs, to read dates and positions that are not in the records.
        deployments_csv: Path or URL of a table of deployments, see ``from_table``; None makes each folder
            a deployment.
        timezone_name: The time zone of the cameras' clocks, "Africa/Nairobi" or "+03:00"; required if
            the cameras did not write it.
        sequence_gap: The longest time between two photographs of one event, in seconds.
        corrections: The corrections to apply, by filepath; their observations are marked as human.
        dates: Dates from file names, and corrections of the cameras' clocks.
        smooth_boxes: Whether doubtful boxes follow the reliable ones in their sequence.

    Raises:
        InputError: A record is malformed; dates, a time zone or positions, which a package requires, are
            missing; a contributor or a license is invalid; or the package would overwrite one of its
            inputs.
        OutputError: A file cannot be written.

    Examples:
        >>> path = Path("out.json")
        >>> metadata = '{"datetime": "2024-05-01T06:30:00", "latitude": -1.29, "longitude": 36.82}'
        >>> record = '{"filepath": "cam1/a.jpg", "metadata": %s}' % metadata
        >>> _ = path.write_text('{"predictions": [%s]}' % record)
        >>> project = Project("Lions of Laikipia", "Jane Doe")
        >>> write_camtrap_dp(path, Path("dp"), project, timezone_name="+03:00")
        Summary(deployments=1, media=1, events=1, left_out=0, outside=0, doubtful=0)
    """
    folder = Path(folder)
    check_outputs(folder, predictions, deployments_csv)
    contributors_of(project)  # fails before anything is read
    licenses_of(project)
    zone = parse_timezone(timezone_name)
    dates = DateRules() if dates is None else dates
    survey = _Survey(predictions, photographs or Photographs(), dates, sequence_gap)
    records = survey.records(corrections, smooth_boxes=smooth_boxes)
    index = survey.index(records, zone, deployments_csv)
    contents = _write_package(folder, predictions, records, index, project)
    return _summary(index, contents, dates, deployments_csv)


def check_outputs(
    folder: str | os.PathLike[str],
    predictions: str | os.PathLike[str],
    deployments_csv: str | None,
) -> None:
    """Raises ``InputError`` if a package in a folder, or at a URL, would overwrite one of its inputs."""
    for name in FILES:
        output = f"{os.fspath(folder).rstrip('/')}/{name}"
        check_not_same(predictions, output)
        if deployments_csv is not None:
            check_not_same(deployments_csv, output, "table of deployments")


@dataclass(frozen=True)
class _Survey:
    """What a package describes.

    Attributes:
        predictions: The predictions file.
        photographs: Finds the photographs.
        dates: Dates from file names, and corrections of the cameras' clocks.
        gap: The longest time between two photographs of one event, in seconds.
    """

    predictions: str | os.PathLike[str]
    photographs: Photographs
    dates: DateRules
    gap: float

    def records(
        self, corrections: Mapping[str, Correction] | None, *, smooth_boxes: bool
    ) -> SmoothedRecords:
        """The corrected and smoothed records."""
        return SmoothedRecords(
            self.predictions,
            corrections=corrections,
            photographs=self.photographs,
            dates=self.dates,
            gap=self.gap,
            smooth_boxes=smooth_boxes,
        )

    def index(
        self, records: SmoothedRecords, zone: tzinfo | None, deployments_csv: str | None
    ) -> MediaIndex:
        """The index of the records, with deployments and events."""
        with in_file(self.predictions):
            index = MediaIndex.read(records.predicted(), self.photographs, zone, self.dates)
        index.deploy(deployments_csv)
        index.find_events(self.gap)
        return index


@dataclass
class _Contents:
    """What the tables contain.

    Attributes:
        taxa: The taxa in them, by their scientific names.
        refused: Paths that the format does not allow.
        examples: Paths of some photographs with questionable dates, by the positions of their records.
    """

    taxa: dict[str, Label] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    examples: dict[int, str] = field(default_factory=dict)


def _write_package(
    folder: Path,
    predictions: str | os.PathLike[str],
    records: Iterable[Record],
    index: MediaIndex,
    project: Project,
) -> _Contents:
    """Creates the folder of a package and writes its files."""
    fix = "Fix the cause or pass a different folder."
    with file_errors(OutputError, f"The folder {folder}", "made", fix):
        folder.mkdir(exist_ok=True)
    with in_file(predictions):
        contents = _write_tables(folder, records, index, project)
    with output_file(folder / DESCRIPTOR) as part:
        descriptor = json.dumps(
            descriptor_of(project, index.deployments, contents.taxa), indent=2, ensure_ascii=False
        )
        part.write_text(descriptor, encoding="utf-8", errors="backslashreplace")
    return contents


def _write_tables(
    folder: Path, records: Iterable[Record], index: MediaIndex, project: Project
) -> _Contents:
    """Writes the three tables; observations of photographs come first, then those of events."""
    contents, events = _Contents(), Events()
    wanted = {*index.outside[:MAX_EXAMPLES], *_first_problems(index)}
    with ExitStack() as stack:

        def table(name: str, columns: Sequence[str]) -> tuple[TextIO, csv.DictWriter[str]]:
            part = stack.enter_context(output_file(folder / f"{name}.csv"))
            # Names that are invalid Unicode are written with backslashes.
            file = stack.enter_context(
                part.open("w", encoding="utf-8", errors="backslashreplace", newline="")
            )
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            return file, writer

        table("deployments", DEPLOYMENT_COLUMNS)[1].writerows(d.cells for d in index.deployments)
        _, media = table("media", MEDIA_COLUMNS)
        file, observations = table("observations", OBSERVATION_COLUMNS)
        rest = stack.enter_context(
            TemporaryFile("w+", encoding="utf-8", errors="backslashreplace", newline="")
        )
        of_events: csv.DictWriter[str] = csv.DictWriter(
            rest, OBSERVATION_COLUMNS, lineterminator="\n"
        )
        for position, record in enumerate(records):
            medium = index.medium(position, record["filepath"])
            if medium is None:
                continue
            if position in wanted:
                contents.examples[position] = medium.path
            found: list[Observation] = []
            if _PATH_RULE.match(medium.path) is None:
                contents.refused.append(medium.path)
            else:
                media.writerow(_media_row(medium, project))
                found = observations_of(record)
                observations.writerows(media_rows(medium, found))
            for one in found:
                if one.name:
                    contents.taxa.setdefault(one.name, one.label)
            of_events.writerows(events.add(medium, found))
        rest.seek(0)
        shutil.copyfileobj(rest, file)
    return contents


def _summary(
    index: MediaIndex, contents: _Contents, dates: DateRules, table: str | None
) -> Summary:
    """The contents in numbers, and warnings about what is left out or wrong."""
    notes = list(_notes(index, contents, table))
    for note in notes:
        logging.warning("%s", note)
    return Summary(
        deployments=len(index.deployments),
        media=index.kept - len(contents.refused),
        events=index.event_count,
        left_out=len(index.undated) + len(contents.refused),
        outside=len(index.outside),
        doubtful=len(index.doubtful),
        notes=(*dates.notes, *notes),
    )


def _notes(index: MediaIndex, contents: _Contents, table: str | None) -> Iterator[str]:
    """Sentences about what is left out or wrong."""
    yield from index.notes
    yield from _left_out(
        "without a date or not where the predictions say (see --image_root)", index.undated
    )
    yield from _left_out(
        "with names that Camtrap DP does not allow: with .. or a line break in them, or starting with /, "
        "~ or .",
        contents.refused,
    )
    yield from _dateless(index, table)
    yield from filter(None, [index.similar_folders])
    yield from _gathered(index, table)
    yield from _misplaced(index, table)
    yield from _doubtful_dates(index, contents.examples)


def _left_out(reason: str, left_out: Sequence[str]) -> Iterator[str]:
    if left_out:
        photographs = counted(len(left_out), "photograph is", "photographs are")
        yield f"{photographs} left out, {reason}: {some_of(left_out)}."


def _dateless(index: MediaIndex, table: str | None) -> Iterator[str]:
    if index.dateless:
        count = len(index.dateless)
        names = [
            f"{name} ({counted(len(paths), 'photograph')}, such as {paths[0]})"
            for name, paths in index.dateless.items()
        ]
        yield (
            f"{counted(count, 'deployment')} of {table} {plural(count, 'has', 'have')} photographs, but "
            f"none with a readable date: {some_of(names)}. In the package, "
            f"{plural(count, 'it seems', 'they seem')} to have recorded nothing. Write the dates into "
            "the photographs, see --date_from_name and --image_root, or remove "
            f"{plural(count, 'this row', 'these rows')}."
        )


def _gathered(index: MediaIndex, table: str | None) -> Iterator[str]:
    if index.gathered:
        names = [f"{name} ({some_of(cameras)})" for name, cameras in index.gathered.items()]
        yield (
            f"{counted(len(names), 'row')} of {table} {plural(len(names), 'combines', 'combine')} "
            f"the photographs of several cameras: {some_of(names)}. These count as one camera at "
            "one place; if that is wrong, give each camera its own row."
        )


def _misplaced(index: MediaIndex, table: str | None) -> Iterator[str]:
    if index.misplaced:
        count = sum(one.photographs for one in index.misplaced)
        places = [
            f"{one.deployment} is at {one.position[0]:g}, {one.position[1]:g}, and "
            f"{counted(one.photographs, 'photograph is', 'photographs are')} at {one.other[0]:g}, "
            f"{one.other[1]:g}, {one.km:,.0f} km away"
            for one in index.misplaced
        ]
        fix = "Give each camera its own folder, or pass the positions with --deployments."
        if table is not None:
            fix = (
                f"Correct the positions or folders in {table}, or add a coordinateUncertainty in meters "
                "if positions are deliberately inexact."
            )
        yield (
            f"{counted(count, 'photograph')} of {counted(len(places), 'deployment')} "
            f"{plural(count, 'was', 'were')} taken more than {FAR_KM:g} km from "
            f"{plural(count, 'its', 'their')} deployment: {'; '.join(places[:MAX_EXAMPLES])}"
            f"{'; ...' if len(places) > MAX_EXAMPLES else ''}. {fix}"
        )


def _doubtful_dates(index: MediaIndex, paths: Mapping[int, str]) -> Iterator[str]:
    if index.outside:
        examples = ", ".join(
            f"{paths[position]} ({index.taken(position)}; {index.period_of(position)})"
            for position in index.outside[:MAX_EXAMPLES]
        )
        yield (
            f"{counted(len(index.outside), 'photograph is', 'photographs are')} outside the period of "
            f"{plural(len(index.outside), 'its', 'their')} deployment: {examples}. "
            f"{plural(len(index.outside), 'It stays', 'They stay')} in the nearest deployment of the "
            "same folder; correct deploymentStart and deploymentEnd, or the clock."
        )
    if index.problems:
        counts = Counter(problem.reason for problem in index.problems)
        reasons = "; ".join(
            f"{counted(counts[reason], 'photograph')} {reason}, such as "
            f"{paths[position]} ({index.taken(position)})"
            for position, reason in _first_problems(index).items()
        )
        yield (
            f"{plural(len(index.doubtful), 'The clock of', 'The clocks of')} "
            f"{counted(len(index.doubtful), 'deployment seems', 'deployments seem')} to be wrong "
            f"({some_of(index.doubtful)}): {reasons}. "
            f"{plural(len(index.doubtful), 'It has', 'They have')} timestampIssues true; correct the "
            f"dates, or remove {plural(len(index.problems), 'this photograph', 'these photographs')}."
        )


def _first_problems(index: MediaIndex) -> dict[int, str]:
    """The first photograph with each reason for a wrong date, and the reason."""
    first = {problem.reason: problem.position for problem in reversed(index.problems)}
    return {position: reason for reason, position in first.items()}


def _media_row(medium: Medium, project: Project) -> dict[str, str]:
    path = PurePosixPath(medium.path)
    return {
        "mediaID": medium.path,
        "deploymentID": medium.deployment,
        "captureMethod": project.capture_method,
        "timestamp": medium.taken,
        "filePath": medium.path,
        "filePublic": "true" if "://" in medium.path else "false",
        "fileName": path.name,
        "fileMediatype": _media_type(medium.path),
    }


def _media_type(path: str) -> str:
    """The media type of a photograph or a film, by the extension of its name."""
    scheme = scheme_of(path)
    if scheme in ("http", "https"):
        match = _EXTENSION.search(path)
        return _MEDIA_TYPES[match[1].lower()] if match else "image/jpeg"
    extension = PurePosixPath(path).suffix.lower().removeprefix(".")
    return _MEDIA_TYPES.get(extension, "image/jpeg")
