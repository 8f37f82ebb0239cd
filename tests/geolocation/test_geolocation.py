"""Regions and countries of coordinates, and the codes that are valid."""

from __future__ import annotations

import pytest

import speciesnet
from speciesnet.errors import InputError
from speciesnet.geolocation import (
    check_admin1_region,
    check_country,
    contradicted_by,
    country_name,
    find_admin1_region,
    find_country,
    nearest_place,
    resolve_locations,
    us_regions,
)
from speciesnet.geolocation.codes import US_TERRITORIES, us_states
from speciesnet.geolocation.coordinates import OPEN_SEA
from speciesnet.records import Instance

NEW_YORK = (41.46, -73.84)
NAIROBI = (-1.29, 36.82)
SAN_JUAN = (18.4, -66.1)

MEANT = {
    "usa": "USA", "US": "USA", "us": "USA", "U.S.A.": "USA", "840": "USA", "America": "USA",
    "UK": "GBR", "uk": "GBR", "England": "GBR", "Great Britain": "GBR", "GB": "GBR",
    "Kenya": "KEN", "KENYA": "KEN", "KENN": "KEN", "Keyna": "KEN", "ke": "KEN", " KEN ": "KEN",
    "Russia": "RUS", "Rusia": "RUS", "Russian Federation": "RUS", "ru": "RUS",
    "GER": "DEU", "de": "DEU", "Germany": "DEU", "Deutschland": "DEU", "SUI": "CHE", "RSA": "ZAF",
    "Holland": "NLD", "The Netherlands": "NLD", "NED": "NLD",
    "Ivory Coast": "CIV", "Cote d'Ivoire": "CIV", "C\xf4te d\u2019Ivoire": "CIV",
    "Kosovo": "XKX", "XK": "XKX", "xkx": "XKX", "NA": "NAM",
    "Niger": "NER", "Nigeria": "NGA", "Guinea": "GIN", "Georgia": "GEO", "Dominica": "DMA",
    "DRC": "COD", "Congo": "COG or COD", "Korea": "KOR or PRK", "South Korea": "KOR",
    "Burma": "MMR", "Swaziland": "SWZ", "Turkey": "TUR", "T\xfcrkiye": "TUR", "Cape Verde": "CPV",
    "Czech Republic": "CZE", "Macedonia": "MKD", "Palestine": "PSE", "The Gambia": "GMB",
    "Tanzania": "TZA", "Bolivia": "BOL", "Iran": "IRN", "UAE": "ARE", "Micronesia": "FSM",
}  # fmt: skip


@pytest.mark.parametrize(
    ("latitude", "longitude", "region"),
    [
        (*NEW_YORK, "NY"),
        (38.9072, -77.0369, "DC"),
        (33.75, -84.39, "GA"),
        (47.6, -122.3, "WA"),
        (21.3, -157.86, "HI"),
        (61.2, -149.9, "AK"),
        # Territories.
        (*SAN_JUAN, "PR"),
        (13.45, 144.78, "GU"),
        (-14.28, -170.7, "AS"),
        (15.18, 145.75, "MP"),
        (18.34, -64.93, "VI"),
        # Outside the USA.
        (*NAIROBI, None),
        (32.53, -117.03, None),
        (45.42, -75.7, None),
    ],
)
def test_the_region_of_the_usa_that_is_nearest(
    latitude: float, longitude: float, region: str | None
) -> None:
    found = find_admin1_region(country="USA", latitude=latitude, longitude=longitude)
    assert found == region


@pytest.mark.parametrize("country", [None, ""])
def test_without_a_country_there_is_no_region(country: str | None) -> None:
    latitude, longitude = NEW_YORK
    assert find_admin1_region(country, None, latitude, longitude) is None
    assert find_admin1_region(country, "NY", latitude, longitude) is None


def test_no_region_is_looked_up_outside_the_usa() -> None:
    assert find_admin1_region("KEN", None, *NEW_YORK) is None


@pytest.mark.parametrize(("country", "region"), [("USA", "CA"), ("KEN", "30"), ("CAN", "BC")])
def test_a_region_given_is_kept(country: str, region: str) -> None:
    assert find_admin1_region(country, region, *NEW_YORK) == region
    assert find_admin1_region(country, region) == region


@pytest.mark.parametrize(("latitude", "longitude"), [(41.46, None), (None, -73.84), (None, None)])
def test_half_a_place_does_not_count(latitude: float | None, longitude: float | None) -> None:
    assert find_admin1_region("USA", None, latitude, longitude) is None


def test_the_equator_and_the_meridian_are_places_too() -> None:
    assert find_admin1_region("USA", None, 0, 0) is None
    assert find_admin1_region("USA", None, 0.0, -73.84) is None


def test_the_lookup_is_a_public_name() -> None:
    assert speciesnet.find_admin1_region is find_admin1_region


def test_country_and_region_of_the_nearest_place() -> None:
    points = [NAIROBI, NEW_YORK, SAN_JUAN, (51.5, -0.12)]
    assert [nearest_place(*point) for point in points] == [
        ("KEN", None),
        ("USA", "NY"),
        ("USA", "PR"),
        ("GBR", None),
    ]


@pytest.mark.parametrize("point", [(90, 0), (-90, 0), (0, 180), (0, -180)])
def test_the_ends_of_the_earth_have_a_nearest_place(point: tuple[float, float]) -> None:
    country, region = nearest_place(*point)
    assert len(country) == 3
    assert region is None


def test_regions_of_the_usa() -> None:
    assert len(us_states()) == 51
    assert set(US_TERRITORIES.values()) == {"AS", "GU", "MP", "PR", "UM", "VI"}
    assert len(us_regions()) == 57


@pytest.mark.parametrize("country", ["USA", "KEN", "GBR", "ABW", "ZWE"])
def test_countries_of_iso_3166_are_known(country: str) -> None:
    check_country(country, "--country")


@pytest.mark.parametrize(
    ("country", "hint"),
    [
        *((text, f"did you mean {code}?") for text, code in MEANT.items()),
        ("", "codes look like"),
        ("QQQ", "codes look like"),
        ("XYZ", "codes look like"),
        ("Atlantis", "codes look like"),
        ("12345", "codes look like"),
    ],
)
def test_an_unknown_country_is_named_with_a_hint(country: str, hint: str) -> None:
    with pytest.raises(InputError, match="ISO 3166-1 alpha-3") as error:
        check_country(country, "--country")
    assert str(error.value).startswith(f"--country {country!r}")
    assert hint in str(error.value)


@pytest.mark.parametrize("region", ["CA", "DC", "PR", "UM", "VI"])
def test_states_and_territories_are_known(region: str) -> None:
    check_admin1_region(region, "USA", "--admin1_region")


@pytest.mark.parametrize(
    ("region", "hint"),
    [
        ("California", "did you mean CA"),
        ("ca", "did you mean CA"),
        ("ZZ", "codes look like"),
        ("US-CA", "codes look like"),
    ],
)
def test_an_unknown_state_is_named_with_a_hint(region: str, hint: str) -> None:
    with pytest.raises(InputError, match="two-letter state code") as error:
        check_admin1_region(region, "USA", "--admin1_region")
    assert str(error.value).startswith(f"--admin1_region {region!r}")
    assert hint in str(error.value)


@pytest.mark.parametrize("country", ["CAN", "KEN", None])
def test_regions_of_other_countries_are_anybodys_guess(country: str | None) -> None:
    check_admin1_region("anything", country, "--admin1_region")


# Places of instances.


def place(instance: Instance, **options: bool) -> tuple[str | None, str | None]:
    [resolved] = resolve_locations([instance], **options)
    assert resolved.filepath == instance.filepath
    assert (resolved.latitude, resolved.longitude) == (instance.latitude, instance.longitude)
    return resolved.country, resolved.admin1_region


@pytest.mark.parametrize(
    ("country", "region", "point", "expected"),
    [
        ("USA", None, NEW_YORK, ("USA", "NY")),
        ("USA", None, SAN_JUAN, ("USA", "PR")),
        ("USA", "CA", NEW_YORK, ("USA", "CA")),
        ("USA", None, NAIROBI, ("USA", None)),
        ("USA", None, (None, None), ("USA", None)),
        ("USA", None, (41.46, None), ("USA", None)),
        ("KEN", None, NEW_YORK, ("KEN", None)),
        ("KEN", "30", NEW_YORK, ("KEN", "30")),
        (None, None, NEW_YORK, (None, None)),
        (None, "NY", NEW_YORK, (None, None)),
        (None, "NY", (None, None), (None, None)),
    ],
)
def test_the_country_is_echoed_and_the_state_looked_up(
    country: str | None,
    region: str | None,
    point: tuple[float | None, float | None],
    expected: tuple[str | None, str | None],
) -> None:
    assert place(Instance("a.jpg", country, region, *point)) == expected


@pytest.mark.parametrize(
    ("country", "region", "point", "expected"),
    [
        (None, None, NAIROBI, ("KEN", None)),
        (None, None, NEW_YORK, ("USA", "NY")),
        (None, None, SAN_JUAN, ("PRI", None)),
        (None, None, (None, None), (None, None)),
        (None, "CA", NEW_YORK, ("USA", "CA")),
        (None, "CA", NAIROBI, ("KEN", None)),
        ("USA", None, NEW_YORK, ("USA", "NY")),
        ("USA", "CA", NEW_YORK, ("USA", "CA")),
        # Contradictions.
        ("KEN", None, NEW_YORK, ("USA", "NY")),
        ("USA", None, NAIROBI, ("KEN", None)),
        ("USA", "CA", NAIROBI, ("KEN", None)),
    ],
)
def test_coordinates_can_tell_the_country(
    country: str | None,
    region: str | None,
    point: tuple[float | None, float | None],
    expected: tuple[str | None, str | None],
) -> None:
    instance = Instance("a.jpg", country, region, *point)
    assert place(instance, country_from_coordinates=True) == expected


def test_an_overwritten_country_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    place(Instance("a.jpg", "USA", None, *NAIROBI), country_from_coordinates=True)
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("a.jpg is in KEN, not in USA")


@pytest.mark.parametrize("country", [None, "KEN"])
def test_nothing_is_warned_of_without_a_contradiction(
    country: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    place(Instance("a.jpg", country, None, *NAIROBI), country_from_coordinates=True)
    assert not caplog.records


def test_instances_keep_their_order_and_their_repetitions() -> None:
    instances = [
        Instance("b.jpg", "USA", None, *SAN_JUAN),
        Instance("a.jpg", "USA", None, *NEW_YORK),
        Instance("b.jpg", "USA", None, *SAN_JUAN),
        Instance("c.jpg"),
    ]
    resolved = resolve_locations(instances)
    assert [(i.filepath, i.admin1_region) for i in resolved] == [
        ("b.jpg", "PR"),
        ("a.jpg", "NY"),
        ("b.jpg", "PR"),
        ("c.jpg", None),
    ]


def test_a_territory_with_its_own_code_does_not_contradict() -> None:
    instance = Instance("a.jpg", country="PRI", latitude=18.4, longitude=-66.1)
    assert resolve_locations([instance], country_from_coordinates=True) == [instance]


@pytest.mark.parametrize(
    ("code", "name"),
    [("KEN", "Kenya"), ("XKX", "Kosovo"), ("BOL", "Bolivia"), ("RUS", "Russian Federation")],
)
def test_countries_have_their_common_names(code: str, name: str) -> None:
    assert country_name(code) == name


def test_an_unknown_code_is_its_own_name() -> None:
    assert country_name("QQQ") == "QQQ"


# Countries of coordinates.

TIJUANA = (32.53, -117.03)


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        (NEW_YORK, "USA"),
        (SAN_JUAN, "PRI"),
        ((13.45, 144.78), "GUM"),
        ((18.34, -64.93), "VIR"),
        ((-14.28, -170.7), "ASM"),
        ((15.18, 145.75), "MNP"),
        (TIJUANA, "MEX"),
        ((42.66, 21.17), "XKX"),
        ((0.0, 0.0), None),
        ((0.0, 32.5), "UGA"),  # Entebbe is north of the equator
        ((51.48, 0.0), "GBR"),
        ((80.0, 25.0), "SJM"),  # Svalbard; fewer degrees from Norway
    ],
)
def test_a_point_is_in_the_country_of_its_nearest_town(
    point: tuple[float, float], expected: str | None
) -> None:
    assert find_country(*point) == expected
    assert (
        place(Instance("a.jpg", None, None, *point), country_from_coordinates=True)[0] == expected
    )


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        ((-16.8, 179.99), "FJI"),  # Taveuni, whose nearest towns are west of the meridian
        ((-16.8, -179.99), "FJI"),
        ((-17.3, -178.95), "FJI"),  # Vanua Balavu
        ((71.2, -179.5), "RUS"),  # Wrangel Island
        ((71.2, 179.5), "RUS"),
        ((66.3, 179.9), "RUS"),
        ((51.97, 179.5), "USA"),  # Semisopochnoi, the Aleutian Islands
        ((51.4, 179.2), "USA"),  # Amchitka
    ],
)
def test_both_sides_of_the_180th_meridian(point: tuple[float, float], expected: str) -> None:
    assert find_country(*point) == expected
    assert nearest_place(*point)[0] == expected


@pytest.mark.parametrize("longitude", [179.5, -176.7])
def test_the_aleutian_islands_are_in_alaska(longitude: float) -> None:
    assert find_admin1_region("USA", None, 51.9, longitude) == "AK"


@pytest.mark.parametrize(
    ("given", "point", "expected"),
    [
        # Near a border both countries are possible.
        ("USA", TIJUANA, "USA"),
        ("MEX", TIJUANA, "MEX"),
        ("TZA", (-1.5, 35.2), "TZA"),  # the Serengeti
        ("KEN", (-1.5, 35.2), "KEN"),
        ("DEU", (47.555, 7.59), "DEU"),  # Basel
        ("FRA", (47.555, 7.59), "FRA"),
        ("ZAF", (-24.9, 31.9), "ZAF"),  # the Kruger Park
        ("MOZ", (-24.9, 31.9), "MOZ"),
        # Elsewhere only one is.
        ("ITA", (47.555, 7.59), "CHE"),
        ("KEN", NEW_YORK, "USA"),
        ("CAN", NEW_YORK, "USA"),
        ("USA", NAIROBI, "KEN"),
        ("TZA", (0.5, 35.3), "KEN"),
        ("AUS", (52.5, 13.4), "DEU"),
        # The USA include their territories, not the other way around.
        ("USA", SAN_JUAN, "USA"),
        ("PRI", SAN_JUAN, "PRI"),
        ("GUM", SAN_JUAN, "PRI"),
        ("PRI", NEW_YORK, "USA"),
        # The list has no town there.
        ("UMI", (28.2, -177.4), "UMI"),
        # No position.
        ("USA", (0.0, 0.0), "USA"),
        ("USA", (-0.0, 0.0), "USA"),
    ],
)
def test_a_given_country_is_kept_unless_the_point_is_definitely_elsewhere(
    given: str, point: tuple[float, float], expected: str
) -> None:
    assert find_country(*point, given) == expected
    instance = Instance("a.jpg", given, None, *point)
    assert place(instance, country_from_coordinates=True)[0] == expected


def test_the_usa_at_a_territory_have_its_region() -> None:
    instance = Instance("a.jpg", "USA", None, *SAN_JUAN)
    assert place(instance, country_from_coordinates=True) == ("USA", "PR")


@pytest.mark.parametrize(
    "point", [(30.0, -40.0), (-10.0, -20.0), (-35.0, 90.0), (75.0, -170.0), (15, -175)]
)
def test_a_point_at_sea_has_no_country(point: tuple[float, float]) -> None:
    assert find_country(*point) is None
    assert find_country(*point, "KEN") == "KEN"
    assert contradicted_by("KEN", *point) == OPEN_SEA


@pytest.mark.parametrize(
    ("point", "country"),
    [
        ((-4.2, 39.9), "KEN"),  # 20 km off the coast
        ((-25.0, 127.0), "AUS"),  # hundreds of kilometers from any town, but on land
        ((23.0, 12.0), "LBY"),
        ((72.0, -40.0), "GRL"),
        ((-20.2, 57.5), "MUS"),  # an island that is not on the map
    ],
)
def test_points_near_a_coast_and_far_inland_have_a_country(
    point: tuple[float, float], country: str
) -> None:
    assert find_country(*point) == country
    assert contradicted_by(country, *point) is None


def test_a_point_at_sea_near_the_given_country_does_not_contradict_it() -> None:
    assert contradicted_by("PRT", 38.5, -12.0) is None
