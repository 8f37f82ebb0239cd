"""The locations of instances: given, or found from their coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from absl import logging

from speciesnet.errors import InputError
from speciesnet.geolocation.codes import (
    USA,
    check_admin1_region,
    check_country,
    country_codes,
    country_name,
    us_regions,
)
from speciesnet.geolocation.coordinates import (
    contradicted_by,
    distance_km,
    find_country,
    nearest_place,
)
from speciesnet.records import Instance

__all__ = [
    "USA",
    "check_admin1_region",
    "check_country",
    "contradicted_by",
    "country_codes",
    "country_name",
    "distance_km",
    "find_admin1_region",
    "find_country",
    "nearest_place",
    "override_location",
    "resolve_locations",
    "us_regions",
    "with_coordinates",
]


def find_admin1_region(
    country: str | None = None,
    admin1_region: str | None = None,
    latitude: float | None = None,
    longitude: float | None = None,
) -> str | None:
    """The region of an image: the given one, or, in the USA, that of its coordinates.

    Args:
        country: ISO 3166-1 alpha-3 code; if None, there is no region.
        admin1_region: The given region code, or None.
        latitude: Degrees, or None.
        longitude: Degrees, or None.

    Examples:
        >>> find_admin1_region("USA", latitude=37.77, longitude=-122.42)
        'CA'
    """
    if not country:
        return None
    if admin1_region or country != USA or latitude is None or longitude is None:
        return admin1_region or None
    return nearest_place(latitude, longitude)[1]


def override_location(
    instances: list[Instance], country: str | None, admin1_region: str | None, first: int = 1
) -> list[Instance]:
    """Sets the country (and the region, if given) of every instance.

    Args:
        instances: Part of a list.
        country: ISO 3166-1 alpha-3 code, or None to change nothing.
        admin1_region: State or province code, or None to keep the region of each instance.
        first: Number of the first instance in the list, for error messages.

    Raises:
        InputError: The country or a region is unknown.
    """
    if admin1_region and not country:
        raise InputError(
            f"--admin1_region {admin1_region} needs a country. Add, for example, --country USA."
        )
    if not country:
        return instances
    check_country(country, "--country")
    if admin1_region:
        check_admin1_region(admin1_region, country, "--admin1_region")
        return [replace(i, country=country, admin1_region=admin1_region) for i in instances]
    for number, i in enumerate(instances, start=first):
        if i.admin1_region:
            where = f'Instance {number} ({i.filepath}) has a wrong "admin1_region":'
            check_admin1_region(i.admin1_region, country, where)
    return [replace(i, country=country) for i in instances]


def resolve_locations(
    instances: Sequence[Instance], *, country_from_coordinates: bool = False
) -> list[Instance]:
    """Fills in the locations of instances from their coordinates.

    A missing region of the USA is looked up; a region without a country is dropped.

    Args:
        instances: The instances of a run.
        country_from_coordinates: Whether to also look up missing countries, and to overwrite
            countries if the point is definitely elsewhere; see ``find_country``.
    """
    if country_from_coordinates:
        instances = [_with_country(i) for i in instances]
    regions = (
        find_admin1_region(i.country, i.admin1_region, i.latitude, i.longitude) for i in instances
    )
    return [replace(i, admin1_region=r) for i, r in zip(instances, regions, strict=True)]


def with_coordinates(
    instance: Instance,
    latitude: float | None,
    longitude: float | None,
    *,
    country_from_coordinates: bool = False,
) -> Instance:
    """Adds a photograph's coordinates to an instance that has none, and resolves its location.

    Args:
        instance: An instance from ``resolve_locations``.
        latitude: Degrees, or None.
        longitude: Degrees, or None.
        country_from_coordinates: See ``resolve_locations``.
    """
    if None in (latitude, longitude) or None not in (instance.latitude, instance.longitude):
        return instance
    located = replace(instance, latitude=latitude, longitude=longitude)
    return resolve_locations([located], country_from_coordinates=country_from_coordinates)[0]


def _with_country(instance: Instance) -> Instance:
    if instance.latitude is None or instance.longitude is None:
        return instance
    country = find_country(instance.latitude, instance.longitude, instance.country)
    if country == instance.country:
        return instance
    if instance.country:
        logging.warning(
            "%s is in %s, not in %s: its country is overwritten.",
            instance.filepath,
            country,
            instance.country,
        )
    keeps_region = not instance.country and country == USA
    region = instance.admin1_region if keeps_region else None
    return replace(instance, country=country, admin1_region=region)
