from __future__ import annotations

from typing import Any

import pytest

from speciesnet.constants import Classification, Detection
from speciesnet.survey.people import kind_of, people_in, shows_people, unmentioned, vehicles_in

DOG = "u;mammalia;carnivora;canidae;canis;familiaris;domestic dog"
HOMO = "u;mammalia;primates;hominidae;homo;;homo species"
HUMAN, VEHICLE, BLANK = (
    getattr(Classification, name).value for name in ("HUMAN", "VEHICLE", "BLANK")
)


def image(answer: str | None, **boxes: float) -> Any:
    """A record with one box of each kind that is named, of the given confidence."""
    categories = {"animal": "1", "human": "2", "person": "2", "vehicle": "3"}
    found = [
        {"category": categories[kind], "label": kind, "conf": conf, "bbox": [0.1, 0.2, 0.3, 0.4]}
        for kind, conf in boxes.items()
    ]
    answered = {} if answer is None else {"prediction": answer, "prediction_score": 0.8}
    return {"filepath": "a.jpg", "detections": found, **answered}


@pytest.mark.parametrize(
    ("record", "people", "shown", "beside"),
    [
        (image(DOG, animal=0.94, human=0.91), 1, True, ["human"]),
        (image(DOG, animal=0.94, person=0.91), 1, True, ["human"]),
        (image(DOG, animal=0.94, human=0.2), 1, True, ["human"]),
        (image(DOG, animal=0.94, human=0.19), 0, False, []),
        (image(DOG, vehicle=0.5), 0, False, ["vehicle"]),
        (image(DOG, human=0.5, person=0.4, vehicle=0.3), 2, True, ["human", "vehicle"]),
        (image(BLANK, human=0.3), 1, True, ["human"]),
        (image(VEHICLE, human=0.3, vehicle=0.9), 1, True, ["human"]),
        (image(HUMAN, human=0.9, vehicle=0.9), 1, True, []),
        (image(HOMO, human=0.9), 1, True, []),
        (image(HUMAN), 0, True, []),
        (image(None, animal=0.9, human=0.8), 1, True, ["human"]),
        (image(None, animal=0.7, human=0.8), 1, True, []),
        (image(None), 0, False, []),
        ({"filepath": "a.jpg"}, 0, False, []),
        (image(None, human=0.8) | {"failures": ["CLASSIFIER"]}, 1, True, ["human"]),
    ],
)
def test_people_and_vehicles_next_to_an_answer(
    record: Any, people: int, shown: bool, beside: list[str]
) -> None:
    assert people_in(record) == people
    assert shows_people(record) == shown
    assert [kind.value for kind in unmentioned(record)] == beside


def test_vehicles_are_counted() -> None:
    assert vehicles_in(image(DOG, vehicle=0.2, human=0.9)) == 1


def test_box_without_a_known_name_has_the_kind_of_its_number() -> None:
    box: Any = {"category": "2", "label": "hiker", "conf": 0.5, "bbox": [0, 0, 1, 1]}
    assert kind_of(box) is Detection.HUMAN
    with pytest.raises(ValueError, match="is not 1, 2 or 3"):
        kind_of(box | {"category": "7"})
