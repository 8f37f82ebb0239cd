from __future__ import annotations

from datetime import date

import pytest
from known_survey import make

from speciesnet.survey.ecology.folder import EcologySurvey
from speciesnet.survey.ecology.occupancy import (
    Matrix,
    Occasions,
    detection_history,
    effort_matrix,
    operation_matrix,
)


def history(survey: EcologySurvey, taxon: str, occasions: Occasions) -> tuple[Matrix, int]:
    effort = effort_matrix(survey.stations, occasions)
    own = [one for one in survey.detections if one.taxon == taxon]
    return detection_history(own, effort, occasions.starts(survey.stations), occasions)


def test_effort_is_the_number_of_days_on_which_a_station_worked() -> None:
    stations = make().stations
    assert effort_matrix(stations, Occasions(3)) == {"cam1": [3, 3, 2], "cam2": [1, 2, None]}
    assert effort_matrix(stations, Occasions(7)) == {"cam1": [7, 1], "cam2": [3, None]}
    assert effort_matrix(stations, Occasions(3, "station")) == {
        "cam1": [3, 3, 2],
        "cam2": [3, None, None],
    }


@pytest.mark.parametrize(
    ("occasions", "expected", "lost"),
    [
        (Occasions(3), {"cam1": [1, 0, 0], "cam2": [0, 1, None]}, 0),
        (Occasions(3, "station"), {"cam1": [1, 0, 0], "cam2": [1, None, None]}, 0),
        # Only complete occasions: the fox at cam2 is lost, and the short last occasion is NA.
        (Occasions(3, min_active_days=3), {"cam1": [1, 0, None], "cam2": [None, None, None]}, 1),
        (Occasions(1), {"cam1": [0, 1, *[0] * 6], "cam2": [None, None, 0, 1, 0, *[None] * 3]}, 0),
    ],
)
def test_detection_history(occasions: Occasions, expected: Matrix, lost: int) -> None:
    assert history(make(), "Vulpes vulpes", occasions) == (expected, lost)


def test_operation_matrix_covers_the_survey() -> None:
    days, matrix = operation_matrix(make().stations)
    assert (days[0], days[-1]) == (date(2024, 5, 1), date(2024, 5, 8))
    assert matrix == {"cam1": [1] * 8, "cam2": [None, None, 1, 1, 1, None, None, None]}


def test_a_survey_without_dates_has_no_occasions() -> None:
    assert effort_matrix([], Occasions()) == {}
    assert operation_matrix([]) == ([], {})
