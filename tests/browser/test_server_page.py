from __future__ import annotations

import base64
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import clips
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect
from servers import SAMPLES, Server, served

pytest.importorskip("fastapi", reason='the extra "server" is not installed')
if sys.platform == "win32":
    pytest.skip("Windows has other signals", allow_module_level=True)

NewPage = Callable[..., Page]

OWN_PICTURES = "blob:http://127.0.0.1:"  # URLs that the page creates for local files

KEY = "a key that is long enough"
HOSTILE = "<img src=x onerror=alert(1)> & 'ñ'.jpg"
DROP = """(content) => {
    const transfer = new DataTransfer();
    const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
    transfer.items.add(new File([bytes], "dropped.jpg", { type: "image/jpeg" }));
    const send = (type) =>
        document.getElementById("drop").dispatchEvent(
            new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true }));
    send("dragover");
    const marked = document.getElementById("drop").classList.contains("over");
    send("drop");
    return marked;
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tmp_path_factory.mktemp("page"), "--max_image_mb", "1") as server:
        yield server


def test_chosen_photographs_are_predicted(
    server: Server, new_page: NewPage, tmp_path: Path
) -> None:
    page = new_page(server.address, expected=(OWN_PICTURES,))
    hostile = tmp_path / HOSTILE.replace("/", "")
    hostile.write_bytes(SAMPLES[1].read_bytes())
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no photograph")
    page.set_input_files("#files", [SAMPLES[0], hostile, broken])
    expect(page.locator("#status")).to_have_text("3 of 3 files done.", timeout=60_000)

    first = page.locator("#cards > li", has_text="IMG_0001.jpg")
    expect(first.locator(".name")).to_have_text("northern raccoon")
    expect(first.locator("p").first).to_have_text("procyon lotor")
    assert 0 < float(first.locator(".score").inner_text()) <= 1
    box = first.locator(".box.animal").first
    expect(box).to_be_visible()
    frame, drawn = first.locator(".frame").bounding_box(), box.bounding_box()
    assert frame and drawn
    assert frame["x"] <= drawn["x"] < drawn["x"] + drawn["width"] <= frame["x"] + frame["width"] + 1
    expect(page.locator("#cards > li", has_text=hostile.name)).to_have_count(1)
    expect(page.locator("#cards img[onerror]")).to_have_count(0)
    failed = page.locator("#cards > li", has_text="broken.jpg")
    expect(failed.locator(".problem")).to_have_text(
        "This file is not a readable photograph or film."
    )
    expect(failed.locator(".no-picture")).to_be_visible()

    boxes = page.locator(".box").count()
    page.locator("[name=conf]").fill("0.01")
    page.locator("[name=conf]").blur()
    assert page.locator(".box").count() >= boxes
    page.locator("[name=conf]").fill("1")
    page.locator("[name=conf]").blur()
    expect(page.locator(".box")).to_have_count(0)


def test_dropped_photograph_is_predicted(server: Server, new_page: NewPage) -> None:
    page = new_page(server.address, expected=(OWN_PICTURES,))
    page.locator("[name=country]").fill("usa")
    assert page.evaluate(DROP, base64.b64encode(SAMPLES[0].read_bytes()).decode())
    expect(page.locator("#cards > li .name")).to_have_text("northern raccoon", timeout=60_000)
    expect(page.locator("#drop")).not_to_have_class("over")


def test_errors_are_shown(server: Server, new_page: NewPage, tmp_path: Path) -> None:
    page = new_page(server.address, expected=(OWN_PICTURES, "400", "413"))
    page.locator("[name=country]").fill("XXX")
    page.set_input_files("#files", [SAMPLES[0]])
    expect(page.locator(".problem")).to_contain_text("not an ISO 3166-1 alpha-3 country code")
    large = tmp_path / "large.jpg"
    large.write_bytes(SAMPLES[0].read_bytes() + b"x" * 2**20)
    page.set_input_files("#files", [large])
    expect(page.locator(".problem").first).to_contain_text("larger than 1 MiB")


def test_page_asks_for_a_key_if_one_is_needed(new_page: NewPage, tmp_path: Path) -> None:
    keys = tmp_path / "keys.txt"
    keys.write_text(KEY)
    folder = tmp_path / "server"
    folder.mkdir()
    with served(folder, "--api_key_file", keys) as server:
        page = new_page(server.address, expected=(OWN_PICTURES, "401"))
        expect(page.locator("#key")).to_be_hidden()
        page.set_input_files("#files", [SAMPLES[0]])
        expect(page.locator(".problem")).to_contain_text("API key")
        page.locator("[name=key]").fill(KEY)
        page.set_input_files("#files", [SAMPLES[0]])
        expect(page.locator(".name").first).to_have_text("northern raccoon", timeout=60_000)


@pytest.mark.parametrize("width", [360, 768, 1440])
def test_page_fits_the_screen(server: Server, new_page: NewPage, width: int) -> None:
    page = new_page(
        server.address, expected=(OWN_PICTURES,), viewport={"width": width, "height": 800}
    )
    page.set_input_files("#files", SAMPLES[:3])
    expect(page.locator("#status")).to_have_text("3 of 3 files done.", timeout=60_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_film_shows_the_frame_that_stands_for_it(
    server: Server, new_page: NewPage, tmp_path: Path
) -> None:
    black, animal = np.zeros((240, 320, 3), np.uint8), Image.open(SAMPLES[0]).convert("RGB")
    shown = [black] * 8 + [np.asarray(animal.resize((320, 240)))] * 8
    clips.film(tmp_path / "film.mp4", size=(320, 240), fps=4, shown=shown)
    page = new_page(server.address, expected=(OWN_PICTURES,))
    page.set_input_files("#files", [tmp_path / "film.mp4"])
    expect(page.locator("#status")).to_have_text("1 of 1 files done.", timeout=60_000)
    card = page.locator("#cards > li")
    expect(card.locator(".name")).to_have_text("northern raccoon")
    expect(card.locator(".box.animal").first).to_be_visible()
    video = card.locator("video")
    page.wait_for_function("document.querySelector('video').readyState > 1")
    assert video.evaluate("(video) => video.currentTime") >= 2
