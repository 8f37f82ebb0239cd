"""Which photographs one passing animal set off."""

from __future__ import annotations

import pytest

from speciesnet.survey.sequences import camera_folder, sequence_numbers


@pytest.mark.parametrize(
    ("path", "folder"),
    [
        ("survey/cam1/a.jpg", "survey/cam1"),
        ("survey/cam1/DCIM/100RECNX/a.jpg", "survey/cam1"),
        ("C:\\survey\\cam1\\dcim\\101BTCF_\\a.jpg", "C:/survey/cam1"),
        ("survey/100RECNX/cam1/a.jpg", "survey/100RECNX/cam1"),
        ("a.jpg", ""),
    ],
)
def test_folders_that_a_camera_makes_belong_to_the_one_above(path: str, folder: str) -> None:
    assert "/".join(camera_folder(path)) == folder


def test_sequences_of_a_camera_end_with_a_pause() -> None:
    taken = [
        ("a", "2024-05-01T06:30:00"),
        ("b", "2024-05-01T06:30:10"),
        ("a", "2024-05-01T06:31:00"),
        ("a", "2024-05-01T06:32:01"),
        ("a", None),
        ("a", None),
    ]
    assert sequence_numbers(taken) == [1, 1, 1, 2, 3, 4]
    assert sequence_numbers(taken, gap=61) == [1, 1, 1, 1, 2, 3]
    assert sequence_numbers(taken, gap=0) == [1, 1, 2, 3, 4, 5]
