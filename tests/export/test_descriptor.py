"""The descriptor of a Camtrap DP package."""

from __future__ import annotations

import pytest

from speciesnet.errors import InputError
from speciesnet.export.descriptor import (
    Project,
    contributor_of,
    contributors_of,
    licenses_of,
    outline_of,
)


def test_contributors_have_roles_and_addresses() -> None:
    project = Project(
        "Lions", ["Jane Doe; jane@example.org;contact", "Wildlife Trust; rightsHolder"]
    )
    assert contributors_of(project) == [
        {"title": "Jane Doe", "role": "contact", "email": "jane@example.org"},
        {"title": "Wildlife Trust", "role": "rightsHolder"},
    ]
    assert contributors_of(Project("Lions", "Institute (INBO)")) == [
        {"title": "Institute (INBO)", "role": "contributor"}
    ]
    orcid = "https://orcid.org/0000-0002-1825-0097"
    assert contributor_of(f"J; {orcid}")["path"] == orcid


@pytest.mark.parametrize(
    ("text", "message"),
    [("Jane; boss", "'boss' after a semicolon; it must be a role"), ("; contact", "has no name")],
)
def test_contributor_that_cannot_be_read_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        contributor_of(text)


def test_licences_are_identifiers_or_addresses() -> None:
    assert licenses_of(Project("T", "C")) == []
    page = "https://creativecommons.org/licenses/by/4.0/"
    assert licenses_of(Project("T", "C", license_data="CC0-1.0", license_media=page)) == [
        {"name": "CC0-1.0", "scope": "data"},
        {"path": page, "scope": "media"},
    ]
    with pytest.raises(InputError, match="add --license_media"):
        licenses_of(Project("T", "C", license_data="CC0-1.0"))
    with pytest.raises(InputError, match=r"--license_data CC BY 4\.0 is not a license"):
        licenses_of(Project("T", "C", license_data="CC BY 4.0", license_media="CC0-1.0"))


def box(west: float, east: float) -> list[list[tuple[float, float]]]:
    return [[(west, -1.0), (east, -1.0), (east, 1.0), (west, 1.0), (west, -1.0)]]


def test_outline_does_not_wrap_round_the_earth() -> None:
    def outline(*longitudes: float) -> tuple[object, object]:
        points = [(x, y) for x in longitudes for y in (-1.0, 1.0)]
        found = outline_of(points)
        return found["type"], found["coordinates"]

    assert outline(36.0, 37.0) == ("Polygon", box(36, 37))
    assert outline(-100.0, 20.0, 140.0) == ("Polygon", box(-100, 140))
    assert outline(179.0, -179.5, 178.0) == ("MultiPolygon", [box(178, 180), box(-180, -179.5)])
    assert outline(179.0, -180.0) == ("Polygon", box(179, 180))
    assert outline(180.0, -179.0) == ("Polygon", box(-180, -179))
    assert outline(180.0, -180.0) == ("Polygon", box(180, 180))
