"""How long a run will take, and what it will cost."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from speciesnet import SpeciesNet
from speciesnet.errors import InputError
from speciesnet.images.instances import find_images
from speciesnet.run.model import Predictions
from speciesnet.scripts.planning import SAMPLE_IMAGES, WARM_UP_IMAGES, Estimate, measure


def test_machines_share_the_hours_and_not_the_cost() -> None:
    one = Estimate(10_000, 2_800, 2.0, price_per_hour=0.5)
    four = Estimate(10_000, 2_800, 2.0, machines=4, price_per_hour=0.5)
    assert (one.hours, one.cost) == (1.0, 0.5)
    assert (four.hours, four.cost) == (0.25, 0.5)
    assert Estimate(1, 0, 1.0).cost is None


def test_lines_of_an_estimate() -> None:
    lines = list(Estimate(10_000, 2_800, 2.0, 4, 0.5).lines("as specified"))
    assert lines == [
        "10,000 images, 2,800 of them already done: 7,200 to do.",
        "2 images/s on a machine, as specified.",
        "4 machines: 0.25 hours (15:00), not counting start-up.",
        "0.50 at 0.50 per machine per hour.",
    ]
    assert len(list(Estimate(1, 0, 1.0).lines("as specified"))) == 3


def asked(paths: list[str]) -> list[list[str]]:
    """The images that are predicted to measure the speed on some paths, by call."""
    calls: list[list[str]] = []

    def predict(filepaths: Sequence[str]) -> Predictions:
        calls.append(list(filepaths))
        return {"predictions": [{"filepath": path, "prediction": "deer"} for path in filepaths]}

    measure(predict, paths)
    return calls


def predict_demo(filepaths: Sequence[str]) -> Predictions | None:
    return SpeciesNet("demo").predict(filepaths=filepaths)


def test_sample_is_spread_over_the_list() -> None:
    warm_up, sample = asked([str(i) for i in range(1_600)])
    assert len(warm_up) == WARM_UP_IMAGES and len(sample) == SAMPLE_IMAGES
    assert [*warm_up, *sample] == [str(i) for i in range(0, 1_600, 100)]


def test_sample_of_a_short_list_takes_each_image_once() -> None:
    assert asked(["a", "b", "c", "d", "e", "e"]) == [["a", "b", "c", "d"], ["e"]]
    assert asked(["a", "a"]) == [["a"], ["a"]]


def test_speed_of_the_real_networks() -> None:
    assert measure(predict_demo, find_images(["demo"])[:6]) > 0


def test_unreadable_images_have_no_speed() -> None:
    with pytest.raises(InputError, match="--images_per_second"):
        measure(predict_demo, ["no.jpg", "nor.jpg"])
