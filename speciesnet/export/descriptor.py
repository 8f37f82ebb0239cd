"""The descriptor of a Camtrap DP data package: ``datapackage.json``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import pairwise

from speciesnet.ensemble.taxonomy import Label
from speciesnet.errors import InputError
from speciesnet.export.deployments import Deployment

VERSION = "1.0.2"
SCHEMAS = f"https://raw.githubusercontent.com/tdwg/camtrap-dp/{VERSION}"
SAMPLING_DESIGNS = (
    "simpleRandom", "systematicRandom", "clusteredRandom", "experimental", "targeted", "opportunistic",
)  # fmt: skip
CAPTURE_METHODS = ("activityDetection", "timeLapse")
ROLES = ("contact", "principalInvestigator", "rightsHolder", "publisher", "contributor")
TABLES = ("deployments", "media", "observations")
DAY = len("2024-05-01")

_LICENSE_NAME = re.compile(r"[-a-zA-Z0-9._]+")  # from the schema for data packages
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


@dataclass(frozen=True)
class Project:
    """The facts about a survey that are not in a predictions file.

    Attributes:
        title: The title of the project and of its package.
        contributor: A person or an organization, or several; see ``contributor_of`` for each.
        sampling_design: One of ``SAMPLING_DESIGNS``.
        capture_method: One of ``CAPTURE_METHODS``.
        license_data: The license of the tables, such as "CC0-1.0", or its URL; GBIF accepts CC0-1.0,
            CC-BY-4.0 and CC-BY-NC-4.0. Requires ``license_media``.
        license_media: The license of the photographs.
    """

    title: str
    contributor: str | Sequence[str]
    sampling_design: str = "opportunistic"
    capture_method: str = "activityDetection"
    license_data: str | None = None
    license_media: str | None = None


def contributor_of(text: str) -> dict[str, str]:
    """Parses a contributor: a name, then a role, email address or URL, separated by semicolons.

    Raises:
        InputError: A part is invalid.

    Example:
        >>> contributor_of("Jane Doe; contact; jane@example.org")
        {'title': 'Jane Doe', 'role': 'contact', 'email': 'jane@example.org'}
    """
    name, *parts = (part.strip() for part in text.split(";"))
    found = {"title": name, "role": "contributor"}
    for part in filter(None, parts):
        if part in ROLES:
            found["role"] = part
        elif _EMAIL.fullmatch(part):
            found["email"] = part
        elif part.startswith(("https://", "http://")):
            found["path"] = part
        else:
            raise InputError(
                f"The contributor {text!r} has {part!r} after a semicolon; it must be a role "
                f"({', '.join(ROLES)}), an email address or a URL."
            )
    if not name:
        raise InputError(f"The contributor {text!r} has no name; start with the name.")
    return found


def contributors_of(project: Project) -> list[dict[str, str]]:
    """The contributors of a project.

    Raises:
        InputError: One is invalid, see ``contributor_of``.
    """
    one_or_more = project.contributor
    texts = [one_or_more] if isinstance(one_or_more, str) else one_or_more
    return [contributor_of(text) for text in texts]


def licenses_of(project: Project) -> list[dict[str, str]]:
    """The licenses of a project, for its data and its media; empty if there are none.

    Raises:
        InputError: Only one of them is given, or one is neither a URL nor an identifier.
    """
    scopes = {"data": project.license_data, "media": project.license_media}
    if not any(scopes.values()):
        return []
    found = []
    for scope, text in scopes.items():
        if not text:
            raise InputError(
                f"Camtrap DP requires licenses for both data and media; add --license_{scope}."
            )
        if text.startswith(("https://", "http://")):
            found.append({"path": text, "scope": scope})
        elif _LICENSE_NAME.fullmatch(text):
            found.append({"name": text, "scope": scope})
        else:
            raise InputError(
                f"--license_{scope} {text} is not a license; use an identifier without spaces, such as "
                "CC0-1.0 or CC-BY-4.0, or a URL."
            )
    return found


def descriptor_of(
    project: Project, deployments: Sequence[Deployment], taxa: Mapping[str, Label]
) -> dict[str, object]:
    """The content of ``datapackage.json``.

    ``gbifIngestion`` is left out: without it, every version of ``camtrapdp::write_dwc``, with which
    GBIF reads packages, uses only the observations of events. With its level "event", the code that
    introduced it for camtrapdp 0.4.0 uses those of media as well, so that each animal counts twice.

    Args:
        project: The facts that are not in the predictions.
        deployments: The complete deployments.
        taxa: The taxa in the observations, by their scientific names.
    """
    licenses = licenses_of(project)
    return {
        "profile": f"{SCHEMAS}/camtrap-dp-profile.json",
        "name": re.sub(r"[^a-z0-9]+", "-", project.title.lower()).strip("-") or "camera-traps",
        "title": project.title,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "contributors": contributors_of(project),
        **({"licenses": licenses} if licenses else {}),
        "project": {
            "title": project.title,
            "samplingDesign": project.sampling_design,
            "captureMethod": [project.capture_method],
            "individualAnimals": False,
            "observationLevel": ["media", "event"],
        },
        "spatial": outline_of(
            [(float(d.cells["longitude"]), float(d.cells["latitude"])) for d in deployments]
        ),
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


def outline_of(points: Sequence[tuple[float, float]]) -> dict[str, object]:
    """The rectangle around points as GeoJSON, in two parts if it crosses the 180th meridian.

    It crosses that meridian if two neighboring longitudes are more than half the globe apart. See RFC
    7946, section 3.1.9.

    Args:
        points: Longitudes and latitudes in degrees, at least one.

    Example:
        >>> [west, east] = outline_of([(179.5, -17.0), (-179.5, -18.0)])["coordinates"]
        >>> west
        [[(179.5, -18.0), (180.0, -18.0), (180.0, -17.0), (179.5, -17.0), (179.5, -18.0)]]
    """
    longitudes = sorted({longitude for longitude, _ in points})
    south, north = min(y for _, y in points), max(y for _, y in points)
    spans = [(longitudes[0], longitudes[-1])]
    for before, after in pairwise(longitudes):
        if after - before > 180:
            spans = [(after, 180.0), (-180.0, before)]
            # 180 and -180 are one meridian: a part without a width adds nothing.
            spans = [span for span in spans if span[0] != span[1]] or spans[:1]
    rectangles = [
        [[(west, south), (east, south), (east, north), (west, north), (west, south)]]
        for west, east in spans
    ]
    if len(rectangles) == 1:
        return {"type": "Polygon", "coordinates": rectangles[0]}
    return {"type": "MultiPolygon", "coordinates": rectangles}


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
