"""Camtrap DP 1.0.2: a data package of deployments, media and observations.

https://camtrap-dp.tdwg.org
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import Any, TextIO

from absl import logging

from speciesnet.errors import OutputError
from speciesnet.export.deployments import COLUMNS as DEPLOYMENTS
from speciesnet.export.deployments import Deployment
from speciesnet.export.files import check_not_same, written_whole
from speciesnet.export.media_index import Whereabouts, parse_timezone
from speciesnet.predictions.reading import read_records
from speciesnet.records import Record, answer_of, named, read_from
from speciesnet.survey.corrections import REVIEW, Correction, corrected
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

MAX_EXAMPLES = 3  # of photographs that are left out
DAY = len("2024-05-01")

# Columns of the table schemas: all must be there, in this order, though they may be empty.
MEDIA = (
    "mediaID", "deploymentID", "captureMethod", "timestamp", "filePath", "filePublic", "fileName",
    "fileMediatype", "exifData", "favorite", "mediaComments",
)  # fmt: skip
OBSERVATIONS = (
    "observationID", "deploymentID", "mediaID", "eventID", "eventStart", "eventEnd",
    "observationLevel", "observationType", "cameraSetupType", "scientificName", "count", "lifeStage",
    "sex", "behavior", "individualID", "individualPositionRadius", "individualPositionAngle",
    "individualSpeed", "bboxX", "bboxY", "bboxWidth", "bboxHeight", "classificationMethod",
    "classifiedBy", "classificationTimestamp", "classificationProbability", "observationTags",
    "observationComments",
)  # fmt: skip

_MEDIA_TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png",
                ".tif": "image/tiff", ".tiff": "image/tiff", ".webp": "image/webp"}  # fmt: skip
_PATH_RULE = re.compile(r"^(?=^[^./~])(^((?!\.{2}).)*$).*$")  # of media-table-schema.json
_SMALLEST_SIDE = 1e-15  # of a box, by observations-table-schema.json


@dataclass(frozen=True)
class Project:
    """What a predictions file does not tell of a survey.

    Attributes:
        title: Of the project and its package.
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
    """What a package holds.

    Attributes:
        deployments: Places and periods.
        media: Photographs.
        events: Sequences of photographs.
        left_out: Photographs without a date, or with a name that the format does not take.
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
) -> Summary:
    """Writes a package: ``datapackage.json`` and three tables.

    Every photograph has one observation, the answer of its record with the best box of that kind.
    Photographs of a deployment that follow each other closely share an event.

    Args:
        predictions: A predictions file; read twice, so that memory holds a few numbers a record.
        folder: Made if it does not exist; its parent must.
        project: What the file does not tell.
        photographs: Where to read the dates and positions that records do not keep.
        deployments_csv: Path or URL of a table of deployments; without it each folder is one. See
            ``from_table``.
        timezone_name: Of the cameras' clocks, "Africa/Nairobi" or "+03:00"; needed where the cameras
            did not write it.
        sequence_gap: Seconds between two photographs of one event, at most.
        corrections: What people said, by filepath: their observations are human ones.

    Raises:
        InputError: A record is malformed, or something is missing that a package must have: dates, a
            time zone, positions; or the package would overwrite what it is made of.
        OutputError: A file cannot be written.
    """
    folder = Path(folder)
    for name in FILES:
        check_not_same(predictions, folder / name)
        if deployments_csv is not None:
            check_not_same(deployments_csv, folder / name, "table of deployments")
    survey = Whereabouts.read(
        read_records(predictions),
        photographs or Photographs(),
        parse_timezone(timezone_name),
    )
    deployments = survey.deploy(deployments_csv)
    survey.find_events(sequence_gap)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"The folder {folder} cannot be made ({error.strerror}); mend that, or give another one."
        ) from error
    taxa: dict[str, Label] = {}
    refused: list[str] = []
    with read_from(predictions), ExitStack() as stack:

        def table(name: str, columns: Sequence[str]) -> csv.DictWriter[str]:
            part = stack.enter_context(written_whole(folder / f"{name}.csv"))
            # Names that are no valid Unicode are shown with backslashes.
            file: TextIO = stack.enter_context(
                part.open("w", encoding="utf-8", errors="backslashreplace", newline="")
            )
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            return writer

        table("deployments", DEPLOYMENTS).writerows(d.given for d in deployments)
        media, observations = table("media", MEDIA), table("observations", OBSERVATIONS)
        records = corrected(read_records(predictions), corrections or {})
        for position, record in enumerate(records):
            photo = survey.photo(position, record["filepath"])
            if photo is None:
                continue
            if _PATH_RULE.match(photo.path) is None:
                refused.append(photo.path)
                continue
            media.writerow(
                {
                    "mediaID": photo.path,
                    "deploymentID": photo.deployment,
                    "captureMethod": project.capture_method,
                    "timestamp": photo.taken,
                    "filePath": photo.path,
                    "filePublic": "true" if "://" in photo.path else "false",
                    "fileName": PurePosixPath(photo.path).name,
                    "fileMediatype": _MEDIA_TYPES.get(
                        PurePosixPath(photo.path).suffix.lower(), "image/jpeg"
                    ),
                }
            )
            row, label = _observation(record)
            if row["scientificName"]:
                taxa.setdefault(row["scientificName"], label)
            observations.writerow(
                row
                | {
                    "observationID": f"{photo.path}#1",
                    "deploymentID": photo.deployment,
                    "mediaID": photo.path,
                    "eventID": photo.event,
                    "eventStart": photo.event_start,
                    "eventEnd": photo.event_end,
                }
            )
    with written_whole(folder / DESCRIPTOR) as part:
        descriptor = json.dumps(
            _descriptor(project, deployments, taxa), indent=2, ensure_ascii=False
        )
        part.write_text(descriptor, encoding="utf-8", errors="backslashreplace")
    _tell("have no date, or are not where the predictions say (see --image_root)", survey.undated)
    _tell(
        "have names that Camtrap DP does not take: with .. or a line break in them, or beginning with "
        "/, ~ or .",
        refused,
    )
    left_out = len(survey.undated) + len(refused)
    return Summary(len(deployments), survey.kept - len(refused), survey.event_count, left_out)


def _tell(why: str, left_out: Sequence[str]) -> None:
    if left_out:
        examples = ", ".join(left_out[:MAX_EXAMPLES])
        more = ", ..." if len(left_out) > MAX_EXAMPLES else ""
        logging.warning(
            "%d photographs are left out, which %s: %s%s.", len(left_out), why, examples, more
        )


def _observation(record: Record) -> tuple[dict[str, Any], Label]:
    """The cells that only the record tells, and its label."""
    with named(record):
        text, score, source = answer_of(record)
        label = Label() if text is None else split_label(text)
        kind = "unclassified" if text is None else category_of(text)
        boxes = [box for box in record.get("detections") or [] if box["label"] == kind]
        cells = {
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
        if REVIEW in record:
            cells |= {
                "classificationMethod": "human",
                "classifiedBy": record[REVIEW]["reviewer"],
                "classificationTimestamp": record[REVIEW]["at"],
                "classificationProbability": "",
            }
        return cells | (_box(boxes[0]["bbox"]) if boxes else {}), label


def _box(bbox: Sequence[Any]) -> dict[str, str]:
    xmin, ymin, width, height = (min(max(float(side), 0.0), 1.0) for side in bbox)
    return {
        "bboxX": str(xmin),
        "bboxY": str(ymin),
        "bboxWidth": str(max(width, _SMALLEST_SIDE)),
        "bboxHeight": str(max(height, _SMALLEST_SIDE)),
    }


def _descriptor(
    project: Project,
    deployments: Sequence[Deployment],
    taxa: Mapping[str, Label],
) -> dict[str, Any]:
    points = [(float(d.given["longitude"]), float(d.given["latitude"])) for d in deployments]
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
            "start": min(d.given["deploymentStart"] for d in deployments)[:DAY],
            "end": max(d.given["deploymentEnd"] for d in deployments)[:DAY],
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


def _taxon(name: str, label: Label) -> dict[str, Any]:
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
