"""A report with a film, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import clips
import numpy as np
from playwright.sync_api import Page, expect
from surveys import FOX, box, record, survey_of

from speciesnet.files.moved_photographs import Photographs
from speciesnet.survey.report.site import write_report

NewPage = Callable[..., Page]


def film(path: str) -> dict[str, object]:
    """The record of a two-second film, represented by its second examined frame."""
    frame = {"frame_number": 10, "timestamp": 1.0}
    return {
        **record(path, FOX, boxes=[]),
        "detections": [{**box(conf=0.9), **frame}],
        "frame_rate": 10.0,
        "frames_processed": [0, 10],
        "duration": 2.0,
        "frame": frame,
    }


def test_a_film_plays_in_the_page_from_its_frame(tmp_path: Path, new_page: NewPage) -> None:
    shown = [np.full((48, 64, 3), 5 * i, np.uint8) for i in range(20)]
    path = clips.film(tmp_path / "a.mp4", fps=10, shown=shown)
    survey = survey_of(tmp_path, film(path))
    page = new_page(write_report(survey, tmp_path / "report", Photographs()).as_uri())
    page.goto((tmp_path / "report" / "gallery.html").as_uri())
    page.locator("#cards img").click()
    player = page.locator("#view video")
    expect(player).to_be_visible()
    page.wait_for_function("document.querySelector('#view video').currentTime === 1")
    expect(page.locator("#view .frame .box")).to_have_count(1)
    expect(page.locator("#facts")).to_contain_text("at 1.00 s of the film")
    player.evaluate("video => { video.muted = true; return video.play(); }")
    page.wait_for_function("document.querySelector('#view video').currentTime > 1.2")
