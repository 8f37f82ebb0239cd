"""Camtrap DP 1.0.2: a data package of deployments, media and observations.

https://camtrap-dp.tdwg.org
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import TextIO

from absl import logging

from speciesnet.errors import OutputError
from speciesnet.export.deployments import DEPLOYMENT_COLUMNS, Deployment
from speciesnet.export.files import check_not_same, output_file
from speciesnet.export.media_index import MediaIndex, Medium, parse_timezone
from speciesnet.files.storage import scheme_of
from speciesnet.predictions.reading import read_records
from speciesnet.records import Record, answer_of, in_file, record_errors
from speciesnet.survey.corrections import Correction, corrected
from speciesnet.survey.dates import DateRules
from speciesnet.survey.photographs import Photographs
from speciesnet.taxonomy import Label, category_of, split_label

VERSION = "1.0.2"
SCHEMAS = f"https://raw.githubusercontent.com/tdwg/camtrap-dp/{VERSION}"
SAMPLING_DESIGNS = (
    "simpleRandom", "systematicRandom", "clusteredRandom", "experimental", "targeted", "opportunistic",
)  # fmt: skip
CAPTURE_METHODS = ("activityDetection", "timeLapse")
DESCRIPTOR = "datapackage.json"
TABLES = ("deployments", "media", "observations")
FILES = (*(f"{name}.csv" for name in TABLES), DESCRIPTOR)

MAX_EXAMPLES = 3  # paths of photographs that are left out, in a warning
DAY = len("2024-05-01")

# Columns of the table schemas: all are required, in this order, but may be empty.
MEDIA_COLUMNS = (
    "mediaID", "deploymentID", "captureMethod", "timestamp", "filePath", "filePublic", "fileName",
    "fileMediatype", "exifData", "favorite", "mediaComments",
)  # fmt: skip
OBSERVATION_COLUMNS = (
    "observationID", "deploymentID", "mediaID", "eventID", "eventStart", "eventEnd",
    "observationLevel", "observationType", "cameraSetupType", "scientificName", "count", "lifeStage",
    "sex", "behavior", "individualID", "individualPositionRadius", "individualPositionAngle",
    "individualSpeed", "bboxX", "bboxY", "bboxWidth", "bboxHeight", "classificationMethod",
    "classifiedBy", "classificationTimestamp", "classificationProbability", "observationTags",
    "observationComments",
)  # fmt: skip

_MEDIA_TYPES = {"jpg": "image/jpeg", "jpeg": "image/jpeg", "jpe": "image/jpeg", "jfif": "image/jpeg",
                "png": "image/png", "tif": "image/tiff", "tiff": "image/tiff", "webp": "image/webp",
                "bmp": "image/bmp", "gif": "image/gif", "jp2": "image/jp2"}  # fmt: skip
# In an address, before its query or fragment, or in a parameter such as "?file=a.png".
_EXTENSION = re.compile(rf"\.({'|'.join(_MEDIA_TYPES)})(?=[?#&]|$)", re.IGNORECASE)
_PATH_RULE = re.compile(r"^(?=^[^./~])(^((?!\.{2}).)*$).*$")  # of media-table-schema.json
_SMALLEST_SIDE = 1e-15  # of a box, by observations-table-schema.json


@dataclass(frozen=True)
class Project:
    """The facts about a survey that a predictions file lacks.

    Attributes:
        title: The title of the project and of its package.
        contributor: A person or an organisation.
        sampling_design: One of ``SAMPLING_DESIGNS``.
        capture_method: One of ``CAPTURE_METHODS``.
    """

    title: str
    contributor: str
    sampling_design: str = "opportunistic"
    capture_method: str = "activityDetection"


@dataclass(frozen=True)
class Summary:
    """The contents of a package, in numbers.

    Attributes:
        deployments: Places and periods.
        media: Photographs.
        events: Sequences of photographs.
        left_out: Photographs without a date, or with a name that the format does not allow.
    """

    deployments: int
    media: int
    events: int
    left_out: int


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
) -> Summary:
    """Writes a package: ``datapackage.json`` and three tables.

    Every photograph has one observation: the answer of its record with the best box of that kind.
    Photographs of a deployment that follow each other closely share an event.

    Args:
        predictions: A predictions file; it is read twice, so that memory holds a few numbers per record.
        folder: The folder of the package; created if it does not exist, but not its parent.
        project: The facts that the predictions file lacks.
        photographs: The finder of photographs, to read dates and positions that records lack.
        deployments_csv: Path or URL of a table of deployments, see ``from_table``; None makes each folder
            a deployment.
        timezone_name: The time zone of the cameras' clocks, "Africa/Nairobi" or "+03:00"; required if
            the cameras did not write it.
        sequence_gap: The longest time between two photographs of one event, in seconds.
        corrections: The corrections that count, by filepath; these observations are human ones.
        dates: Dates from file names, and corrections of the cameras' clocks.

    Raises:
        InputError: A record is malformed; dates, a time zone or positions, which a package requires, are
            missing; or the package would overwrite one of its inputs.
        OutputError: A file cannot be written.

    Examples:
        >>> path = Path("out.json")
        >>> metadata = '{"datetime": "2024-05-01T06:30:00", "latitude": -1.29, "longitude": 36.82}'
        >>> record = '{"filepath": "cam1/a.jpg", "metadata": %s}' % metadata
        >>> _ = path.write_text('{"predictions": [%s]}' % record)
        >>> project = Project("Lions of Laikipia", "Jane Doe")
        >>> write_camtrap_dp(path, Path("dp"), project, timezone_name="+03:00")
        Summary(deployments=1, media=1, events=1, left_out=0)
    """
    folder = Path(folder)
    for name in FILES:
        check_not_same(predictions, folder / name)
        if deployments_csv is not None:
            check_not_same(deployments_csv, folder / name, "table of deployments")
    zone = parse_timezone(timezone_name)
    index = MediaIndex.read(read_records(predictions), photographs or Photographs(), zone, dates)
    deployments = index.deploy(deployments_csv)
    index.find_events(sequence_gap)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"The folder {folder} cannot be made ({error.strerror or error}). Fix the cause or pass "
            "another folder."
        ) from error
    records = corrected(read_records(predictions), corrections or {})
    with in_file(predictions):
        taxa, refused = _write_tables(folder, records, index, deployments, project)
    with output_file(folder / DESCRIPTOR) as part:
        descriptor = json.dumps(
            _descriptor(project, deployments, taxa), indent=2, ensure_ascii=False
        )
        part.write_text(descriptor, encoding="utf-8", errors="backslashreplace")
    _warn("have no date, or are not where the predictions say (see --image_root)", index.undated)
    _warn(
        "have names that Camtrap DP does not allow: with .. or a line break in them, or starting with "
        "/, ~ or .",
        refused,
    )
    left_out = len(index.undated) + len(refused)
    return Summary(len(deployments), index.kept - len(refused), index.event_count, left_out)


def _write_tables(
    folder: Path,
    records: Iterable[Record],
    index: MediaIndex,
    deployments: Sequence[Deployment],
    project: Project,
) -> tuple[dict[str, Label], list[str]]:
    """Writes the three tables; returns the taxa in them, and the paths that the format does not allow."""
    taxa: dict[str, Label] = {}
    refused: list[str] = []
    with ExitStack() as stack:

        def table(name: str, columns: Sequence[str]) -> csv.DictWriter[str]:
            part = stack.enter_context(output_file(folder / f"{name}.csv"))
            # Names that are invalid Unicode are written with backslashes.
            file: TextIO = stack.enter_context(
                part.open("w", encoding="utf-8", errors="backslashreplace", newline="")
            )
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            return writer

        table("deployments", DEPLOYMENT_COLUMNS).writerows(d.cells for d in deployments)
        media = table("media", MEDIA_COLUMNS)
        observations = table("observations", OBSERVATION_COLUMNS)
        for position, record in enumerate(records):
            medium = index.medium(position, record["filepath"])
            if medium is None:
                continue
            if _PATH_RULE.match(medium.path) is None:
                refused.append(medium.path)
                continue
            media.writerow(_media_row(medium, project))
            row, label = _observation_row(record, medium)
            if row["scientificName"]:
                taxa.setdefault(row["scientificName"], label)
            observations.writerow(row)
    return taxa, refused


def _warn(reason: str, left_out: Sequence[str]) -> None:
    if left_out:
        examples = ", ".join(left_out[:MAX_EXAMPLES])
        more = ", ..." if len(left_out) > MAX_EXAMPLES else ""
        logging.warning(
            "%d photographs are left out, which %s: %s%s.", len(left_out), reason, examples, more
        )


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
    """The media type of a photograph, by the extension of its name."""
    scheme = scheme_of(path)
    if scheme in ("http", "https"):
        match = _EXTENSION.search(path)
        return _MEDIA_TYPES[match[1].lower()] if match else "image/jpeg"
    extension = PurePosixPath(path).suffix.lower().removeprefix(".")
    return _MEDIA_TYPES.get(extension, "image/jpeg")


def _observation_row(record: Record, medium: Medium) -> tuple[dict[str, str], Label]:
    """The row of a photograph's observation, and its label."""
    with record_errors(record):
        text, score, source = answer_of(record)
        label = Label() if text is None else split_label(text)
        kind = "unclassified" if text is None else category_of(text)
        boxes = [box for box in record.get("detections") or [] if box["label"] == kind]
        cells = {
            "observationID": f"{medium.path}#1",
            "deploymentID": medium.deployment,
            "mediaID": medium.path,
            "eventID": medium.event,
            "eventStart": medium.event_start,
            "eventEnd": medium.event_end,
            "observationLevel": "media",
            "observationType": kind,
            "scientificName": label.scientific_name if kind in ("animal", "human") else "",
            "observationComments": source or "",
        }
        if text is not None:
            version = record.get("model_version")
            cells |= {
                "classificationMethod": "machine",
                "classifiedBy": f"SpeciesNet {version}" if version else "SpeciesNet",
                "classificationProbability": str(score),
            }
        if review := record.get("review"):
            cells |= {
                "classificationMethod": "human",
                "classifiedBy": review["reviewer"],
                "classificationTimestamp": review["at"],
                "classificationProbability": "",
            }
        return cells | (_box_cells(boxes[0]["bbox"]) if boxes else {}), label


def _box_cells(bbox: Sequence[float]) -> dict[str, str]:
    xmin, ymin, width, height = (min(max(float(side), 0.0), 1.0) for side in bbox)
    return {
        "bboxX": str(xmin),
        "bboxY": str(ymin),
        "bboxWidth": str(max(width, _SMALLEST_SIDE)),
        "bboxHeight": str(max(height, _SMALLEST_SIDE)),
    }


def _descriptor(
    project: Project, deployments: Sequence[Deployment], taxa: Mapping[str, Label]
) -> dict[str, object]:
    points = [(float(d.cells["longitude"]), float(d.cells["latitude"])) for d in deployments]
    (west, east), (south, north) = (
        (min(values), max(values)) for values in zip(*points, strict=True)
    )
    outline = [(west, south), (east, south), (east, north), (west, north), (west, south)]
    return {
        "profile": f"{SCHEMAS}/camtrap-dp-profile.json",
        "name": re.sub(r"[^a-z0-9]+", "-", project.title.lower()).strip("-") or "camera-traps",
        "title": project.title,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "contributors": [{"title": project.contributor, "role": "contributor"}],
        "project": {
            "title": project.title,
            "samplingDesign": project.sampling_design,
            "captureMethod": [project.capture_method],
            "individualAnimals": False,
            "observationLevel": ["media"],
        },
        "spatial": {"type": "Polygon", "coordinates": [outline]},
        "temporal": {
            "start": min(d.cells["deploymentStart"] for d in deployments)[:DAY],
            "end": max(d.cells["deploymentEnd"] for d in deployments)[:DAY],
        },
        "taxonomic": [_taxon(name, label) for name, label in sorted(taxa.items())],
        "resources": [
            {
                "name": name,
                "path": f"{name}.csv",
                "profile": "tabular-data-resource",
                "format": "csv",
                "mediatype": "text/csv",
                "encoding": "utf-8",
                "schema": f"{SCHEMAS}/{name}-table-schema.json",
            }
            for name in TABLES
        ],
    }


def _taxon(name: str, label: Label) -> dict[str, object]:
    ranks = {
        "class": label.class_, "order": label.order, "family": label.family, "genus": label.genus,
    }  # fmt: skip
    return {
        "scientificName": name,
        "taxonRank": label.rank,
        "kingdom": "Animalia",
        **{rank: value.capitalize() for rank, value in ranks.items() if value},
        **({"vernacularNames": {"eng": label.common_name}} if label.common_name else {}),
    }
