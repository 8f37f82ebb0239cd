"""Takes the screenshots of the documentation: report, review and window on the demo's sample images.

PYTHONPATH=scripts python -m documentation.screens

Requires Chromium, on the path or in SPECIESNET_CHROMIUM, and the package playwright.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from documentation.chromium import chromium_path
from speciesnet.images.instances import SAMPLE_IMAGES

IMAGES = Path(__file__).parents[2] / "docs" / "images"
WIDTH = 1000  # pixels in the documentation
QUALITY = 78
SIZES = ((390, 844), (1280, 800), (1920, 1080))  # pixels: a phone, a laptop, a large screen
SHOWN_HEIGHT = 400  # of each of them
SCHEMES = ("light", "dark")


def command(module: str, *arguments: str) -> list[str]:
    """One of our commands."""
    return [sys.executable, "-m", f"speciesnet.scripts.{module}", *arguments]


def take(page: Page, name: str) -> None:
    """Saves a screenshot of the window."""
    page.wait_for_timeout(600)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.thumbnail((WIDTH, WIDTH))
    picture.save(IMAGES / f"{name}.jpg", quality=QUALITY, optimize=True)
    print(IMAGES / f"{name}.jpg")


def take_all(page: Page, folder: Path) -> None:
    """Walks through both programs."""
    page.goto((folder / "report" / "index.html").as_uri())
    take(page, "report_overview")
    page.goto((folder / "report" / "gallery.html").as_uri())
    page.locator(".card", has_text="wild turkey").click()
    take(page, "report_picture")
    review = command("review", "survey.json")
    with subprocess.Popen(review, cwd=folder, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            page.goto(server.stdout.readline().split()[-1])
            page.locator(".card").nth(2).click()
            page.keyboard.press("c")
            page.keyboard.type("deer")
            take(page, "review")
        finally:
            server.terminate()


def take_sizes(page: Page, browser: Browser, name: str) -> None:
    """Saves the page of a window on three screens, light and dark, as one picture."""
    rows = []
    for scheme in SCHEMES:
        row = []
        for width, height in SIZES:
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme=scheme,
                storage_state=page.context.storage_state(),
            )
            shown = context.new_page()
            shown.goto(page.url)
            shown.locator("#latest li").first.wait_for()
            shown.wait_for_timeout(600)
            picture = Image.open(io.BytesIO(shown.screenshot())).convert("RGB")
            row.append(picture.resize((width * SHOWN_HEIGHT // height, SHOWN_HEIGHT)))
            context.close()
        rows.append(row)
    gap = 10
    width = sum(picture.width + gap for picture in rows[0]) - gap
    canvas = Image.new("RGB", (width, len(rows) * (SHOWN_HEIGHT + gap) - gap), "gray")
    for number, row in enumerate(rows):
        left = 0
        for picture in row:
            canvas.paste(picture, (left, number * (SHOWN_HEIGHT + gap)))
            left += picture.width + gap
    canvas.save(IMAGES / f"{name}.jpg", quality=QUALITY, optimize=True)
    print(IMAGES / f"{name}.jpg")


def take_window(page: Page, browser: Browser) -> None:
    """Walks through the window of a user whose pictures folder contains the sample images."""
    folder = Path(tempfile.gettempdir()) / "anna"  # pictures show its name
    for card in range(1, 6):  # so many that the run has not ended when its picture is taken
        shutil.copytree(SAMPLE_IMAGES, folder / "Pictures" / "Mill creek" / f"card {card}")
    home = {
        "HOME": str(folder),
        "SPECIESNET_DATA": str(folder / ".data"),
        "XDG_CACHE_HOME": str(Path.home() / ".cache"),
    }
    window = [sys.executable, "-m", "speciesnet", "app", "--nobrowser", "--port", "8790"]
    with subprocess.Popen(
        window, env={**os.environ, **home}, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            page.goto(server.stdout.readline().split()[-1])
            page.locator("a.primary").click()
            page.get_by_role("button", name="Pictures").click()
            page.get_by_role("button", name="Mill creek").click()
            page.fill("#search", "quen")
            page.locator("#matches button").first.wait_for()
            page.fill("#search", "estados unidos")
            page.locator("#search").press("Enter")
            take(page, "app_new")
            page.get_by_text("Demonstration").click()
            page.locator("#next").click()
            page.locator("#start").click()
            page.locator("#latest li").nth(3).wait_for(timeout=300_000)
            take(page, "app_run")
            page.locator("#results").wait_for(timeout=300_000)
            page.locator("[data-kind=table] .write").click()
            page.locator("[data-kind=table] .done").wait_for(timeout=60_000)
            page.locator("#h-results").scroll_into_view_if_needed()
            take(page, "app_results")
            take_sizes(page, browser, "app_sizes")
        finally:
            server.terminate()
            shutil.rmtree(folder)


def main() -> None:
    """Command line."""
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        shutil.copytree(SAMPLE_IMAGES, folder / "survey")
        flags = ("--model", "demo", "--folders", "survey", "--predictions_json", "survey.json")
        subprocess.run(command("run_model", *flags), cwd=folder, check=True)
        subprocess.run(command("report", "survey.json", "--out", "report"), cwd=folder, check=True)
        chromium = playwright.chromium.launch(
            executable_path=chromium_path(), args=["--no-sandbox"]
        )
        take_all(chromium.new_page(viewport={"width": 1280, "height": 820}), folder)
        take_window(chromium.new_page(viewport={"width": 1280, "height": 900}), chromium)
        chromium.close()


if __name__ == "__main__":
    main()
