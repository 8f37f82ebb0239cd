"""A person's paths through the window."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import clips
import pytest
from barriers import check_barriers
from playwright.sync_api import Page, Route, expect
from shown_images import width_of
from window_users import LONG, App, Hand, NewPage, choose_file, prepare

if sys.platform == "win32":
    pytest.skip("Windows has other signals", allow_module_level=True)


def test_a_file_for_timelapse_needs_at_most_eight_clicks(app: App, opened: Page) -> None:
    expect(opened.locator("#welcome")).to_be_visible()
    check_barriers(opened)
    hand = Hand(opened)
    prepare(hand, "card")
    expect(opened.locator("#plan")).to_contain_text("3 photographs")
    check_barriers(opened)
    hand.click("#start")
    expect(opened.locator(".badge")).to_have_text("done", timeout=LONG)
    hand.click("[data-kind=timelapse] .write")
    expect(opened.locator("[data-kind=timelapse] .done")).to_be_visible(timeout=LONG)
    assert len(hand.clicks) <= 8, hand.clicks

    results = Path(app.surveys[0]["results"])
    assert len(json.loads((results / "timelapse.json").read_text())["images"]) == 3
    assert str(results / "timelapse.json") in opened.locator("[data-kind=timelapse]").inner_text()
    expect(opened.locator("#command")).to_contain_text("speciesnet --folders")
    expect(opened.locator("#numbers")).to_contain_text("3 of 3 images")
    shown = opened.locator("#latest img")
    expect(shown.first).to_be_visible()
    assert width_of(shown.first) > 0
    check_barriers(opened)


def test_results_are_handed_over_and_reviewed(app: App, opened: Page) -> None:
    app.add_card("handed over", 3)
    prepare(Hand(opened), "handed over")
    opened.click("#start")
    sort = opened.locator("[data-kind=sort]")
    expect(sort).to_be_visible(timeout=LONG)
    sort.locator(".dry").click()
    expect(sort.locator(".done")).to_contain_text("3 photographs would be sorted", timeout=LONG)
    sort.locator(".write").click()
    expect(sort.locator(".done")).to_contain_text("3 photographs sorted", timeout=LONG)
    sorted_files = Path(app.surveys[-1]["results"]) / "sorted"
    assert len(list(sorted_files.rglob("*.jpg"))) == 3
    sort.locator(".undo").click()
    expect(sort.locator(".done")).to_contain_text("Sorting undone for 3 photographs", timeout=LONG)
    assert not list(sorted_files.rglob("*.jpg"))

    package = opened.locator("[data-kind=camtrap-dp]")
    package.locator(".write").click()
    expect(package.locator("[data-option=contributor]")).to_be_focused()
    opened.locator("#open-review").click()
    expect(opened.locator(".card")).to_have_count(3)


def test_tables_and_failed_cameras_know_where_the_camera_was(app: App, opened: Page) -> None:
    app.add_card("placed", 3)
    prepare(Hand(opened), "placed")
    opened.click("#start")
    ecology, failed = (opened.locator(f"[data-kind={kind}]") for kind in ("ecology", "cameras"))
    expect(ecology).to_be_visible(timeout=LONG)
    opened.locator("#cameras summary").click()
    fields = {name: opened.locator(f"[data-option={name}]") for name in ("latitude", "longitude")}
    fields["latitude"].fill("-1.29")
    ecology.locator(".write").click()
    problem = opened.locator(".problem")
    expect(problem).to_contain_text("The longitude must be a number of degrees")
    problem.get_by_role("button").click()
    expect(opened.locator("#choose-deployments")).to_be_focused()
    fields["longitude"].fill("36.82")
    for part in (ecology, failed):
        part.locator(".write").click()
        expect(part.locator(".done")).to_be_visible(timeout=LONG)
    expect(ecology.locator(".done")).to_contain_text("detection")
    expect(failed.locator(".done")).to_contain_text("1 camera")
    expect(failed).to_contain_text(str(Path(app.surveys[-1]["results"]) / "camera_check.csv"))

    table = app.home / "Pictures" / "cameras.csv"
    table.write_text("deploymentID,latitude,longitude\nelsewhere,95,36.8\n")
    choose_file(opened, "#choose-deployments", "cameras.csv")
    expect(fields["latitude"]).to_be_disabled()
    ecology.locator(".write").click()
    expect(ecology.locator(".problem")).to_contain_text("'95' as latitude", timeout=LONG)
    opened.reload()
    expect(opened.locator("#deployments")).to_have_text(str(table))
    opened.locator("#cameras summary").click()
    check_barriers(opened)
    opened.click("#see-cameras")
    expect(opened.locator("h1")).to_be_visible()
    assert opened.url.endswith("/cameras/index.html")


def test_answers_are_compared_with_the_labels_of_a_table(app: App, opened: Page) -> None:
    card = app.add_card("labeled", 3)
    prepare(Hand(opened), "labeled")
    opened.click("#start")
    part = opened.locator("[data-kind=evaluate]")
    expect(part).to_be_visible(timeout=LONG)
    part.locator(".write").click()
    expect(part.locator(".problem")).to_contain_text("pass labels as well", timeout=LONG)
    rows = [f"{image.name},white-tailed deer" for image in card.iterdir()]
    (app.home / "Pictures" / "truth.csv").write_text("\n".join(["file,label", *rows]))
    choose_file(opened, "#choose-labels", "truth.csv")
    part.locator("[data-option=wanted_precision]").select_option("90%")
    expect(opened.locator("#thresholds")).to_be_hidden()
    part.locator(".write").click()
    expect(part.locator(".done")).to_contain_text("3 labeled photographs", timeout=LONG)
    expect(opened.locator("#thresholds")).to_be_visible()
    check_barriers(opened)
    part.locator("#see-evaluation").click()
    expect(opened.locator("h1")).to_be_visible()


def test_frames_are_chosen_where_the_folder_contains_films(app: App, opened: Page) -> None:
    card = app.add_card("filmed", 1)
    clips.film(card / "clip.mp4", count=90)
    opened.goto(f"{app.base}/new")
    opened.locator("#more summary").click()
    fps, most = (
        opened.locator(f"[data-option={x}]") for x in ("video_fps", "max_frames_per_video")
    )
    opened.get_by_role("button", name="Pictures").click()
    opened.get_by_role("button", name="filmed", exact=True).click()
    fps.select_option("5")
    most.select_option("10")
    opened.locator("[data-option=videos]").select_option("Leave films out")
    for field in (fps, most):
        expect(field).to_be_disabled()
    opened.locator("[data-option=videos]").select_option("Examine films as well")
    check_barriers(opened)
    opened.get_by_role("button", name="Up").click()
    opened.get_by_role("button", name="card", exact=True).click()  # without films
    expect(opened.locator(".browser h3")).to_have_text(str(card.with_name("card")))
    expect(opened.locator("#chosen")).to_contain_text("3 photographs")
    for field in (fps, most):
        expect(field).to_be_hidden()
    opened.get_by_role("button", name="Up").click()
    opened.get_by_role("button", name="filmed", exact=True).click()
    expect(most).to_have_value("10")
    opened.get_by_text("Demonstration").click()
    opened.get_by_text("Unknown").click()
    opened.click("#next")
    expect(opened.locator("#plan")).to_contain_text("1 photograph, 1 film")
    opened.click("#start")
    expect(opened.locator(".badge")).to_have_text("done", timeout=LONG)
    expect(opened.locator("#command")).to_contain_text("--video_fps 5 --max_frames_per_video 10")
    records = json.loads(Path(app.surveys[-1]["predictions"]).read_text())["predictions"]
    assert [len(one["frames_processed"]) for one in records if "frames_processed" in one] == [10]


def test_choices_are_flags_and_pictures_of_a_trial_appear_while_it_runs(
    app: App, opened: Page
) -> None:
    def go_on(route: Route) -> None:
        route.fulfill(json={**route.fetch().json(), "state": "running"})

    app.add_card("tried", 3)
    opened.goto(f"{app.base}/new")
    opened.locator("#more summary").click()
    opened.locator("[data-option=geofence]").uncheck()
    opened.locator("[data-option=classify]").select_option("all")
    check_barriers(opened)
    opened.get_by_role("button", name="Pictures").click()
    opened.get_by_role("button", name="tried", exact=True).click()
    opened.fill("#search", "kenya")
    opened.locator("#matches button").first.click()
    opened.get_by_text("Demonstration").click()
    opened.click("#next")
    expect(opened.locator("#plan")).to_contain_text("3 photographs")
    opened.get_by_text("Details", exact=True).click()
    expect(opened.locator("#command")).to_contain_text("--nogeofence --classify all")
    opened.route("**/api/jobs/*", go_on)
    opened.click("#try")
    expect(opened.locator("#trial li")).to_have_count(3, timeout=LONG)
    expect(opened.locator("#measured progress")).to_be_visible()
    opened.unroute_all()
    expect(opened.locator("#measured .done")).to_contain_text("3 photographs tried")


def test_choices_made_before_the_program_answers_count(app: App, opened: Page) -> None:
    held: list[Route] = []
    app.add_card("hasty", 2)
    opened.route("**/api/countries*", lambda route: held.append(route))
    opened.route("**/api/folders*hasty*", lambda route: held.append(route))
    opened.goto(f"{app.base}/new")
    opened.get_by_text("Unknown").click()
    opened.get_by_role("button", name="Pictures").click()
    opened.get_by_role("button", name="hasty", exact=True).click()
    opened.get_by_text("Demonstration").click()
    opened.click("#next")
    for route in held:
        route.continue_()
    expect(opened.locator("#plan")).to_contain_text("2 photographs")


@pytest.mark.parametrize("language", ["en", "es", "fr", "pt", "sw"])
def test_pages_fit_a_telephone_in_every_language(
    app: App, opened: Page, new_page: NewPage, language: str
) -> None:
    opened.set_viewport_size({"width": 390, "height": 844})
    with opened.expect_navigation():
        opened.select_option("#language", language)
    for path in ("/", "/new", f"/surveys/{app.surveys[0]['id']}"):
        opened.goto(app.base + path)
        expect(opened.locator("html")).to_have_attribute("lang", language)
        opened.evaluate(
            "document.querySelectorAll('details').forEach((one) => { one.open = true; })"
        )
        expect(opened.locator("#models label, .rows h2, #about .badge").first).to_be_visible()
        assert opened.evaluate("document.documentElement.scrollWidth") <= 390, path
    check_barriers(opened)


@pytest.mark.parametrize(
    ("typed", "found"), [("quenia", "Kenya"), ("ALLEMAGNE", "Germany"), ("drc", "Congo")]
)
def test_countries_are_found_by_their_names_in_other_languages(
    app: App, opened: Page, typed: str, found: str
) -> None:
    opened.goto(f"{app.base}/new")
    expect(opened.locator("#models label").first).to_be_visible()
    opened.fill("#search", "")
    opened.locator("#search").press_sequentially(typed)
    expect(opened.locator("#matches button").first).to_contain_text(found)
    opened.locator("#search").press("Enter")
    expect(opened.locator("#matched")).to_contain_text("✓ ")


def test_a_click_on_the_map_chooses_the_country(app: App, opened: Page) -> None:
    opened.goto(f"{app.base}/new")
    expect(opened.locator("#models label").first).to_be_visible()
    opened.locator("summary").first.click()
    opened.locator("#closer").click()
    box = opened.locator("#map img").bounding_box()
    assert box
    x, y = box["width"] * (-105 + 180) / 360, box["height"] * (84 - 55) / 140
    opened.locator("#map > div").click(position={"x": x, "y": y})
    expect(opened.locator("#matched")).to_have_text("✓ Canada")
    expect(opened.locator("#pin")).to_be_visible()


def test_a_page_continues_when_the_program_is_started_again(app: App, opened: Page) -> None:
    expect(opened.locator("#welcome, #surveys li").first).to_be_attached()
    app.end()
    expect(opened.locator("#lost")).to_contain_text("SpeciesNet is not running")
    app.start()
    expect(opened.locator("#lost")).to_be_hidden()

    opened.click("#quit")
    opened.locator("dialog .primary").click()
    expect(opened.locator("h1")).to_contain_text("SpeciesNet has ended")
    assert app.process
    assert app.process.wait(60) == 0
    app.start()
