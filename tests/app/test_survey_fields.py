from __future__ import annotations

from pathlib import Path

import pytest
from windows import Page


@pytest.mark.parametrize(
    "values",
    [
        {"name": ""},
        {"name": "x" * 101},
        {"name": ["a"]},
        {"folders": []},
        {"folders": [["a"]]},
        {"model": "hf:someone/else"},
        {"model": "/etc"},
        {"place": "Kenya"},
        {"place": {"kind": "country", "country": "Kenya; rm -rf"}},
        {"place": {"kind": "country", "country": "USA", "region": "--help"}},
        {"options": {"classify": "--help"}},
        {"options": {"engine": "torch"}},
        {"options": {"video_fps": "1; rm"}},
        {"options": {"max_frames_per_video": 7}},
        {"options": {"geofence": 0}},
        {"species_list": "/etc/passwd"},
        {"results": "/etc"},
        {"state": "done"},
        {"predictions": "/etc/passwd"},
    ],
)
def test_values_that_a_page_cannot_mean_are_refused(
    page: Page, home: Path, values: dict[str, object]
) -> None:
    body = {"folders": [str(home / "card1")], **values}
    answer = page.client.post("/api/surveys", json=body)
    assert answer.status_code in (403, 422)
    assert answer.json()["error"]
    assert page.get("/api/surveys")["surveys"] == []
