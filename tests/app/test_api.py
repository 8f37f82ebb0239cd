from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from surveys import DEER, FOX, record, write_predictions
from windows import Page, wait_for

from speciesnet.app.window import Window
from speciesnet.survey.corrections import CorrectionsFile, corrections_path

JPEG = b"\xff\xd8"


@pytest.fixture
def survey(page: Page, home: Path) -> str:
    """A survey with predictions."""
    images = sorted((home / "card1").iterdir())
    write_predictions(home / "card2" / "p.json", *(record(path, FOX) for path in images))
    page.get("/api/folders", path=str(home / "card2"), files=".json")
    values = {"predictions": str(home / "card2" / "p.json"), "folders": [str(home / "card1")]}
    return page.send("POST", "/api/surveys", 201, **values)["id"]


@pytest.mark.slow
def test_time_is_estimated_and_a_trial_shows_pictures(page: Page, home: Path) -> None:
    survey = page.add(home / "card1")
    estimate = page.job(survey, "estimate")
    assert (estimate["error"], estimate["state"]) == (None, "done")
    values = estimate["values"]
    assert (values["images"], values["done_before"]) == (3, 0)
    assert values["seconds"] == pytest.approx(3 / values["images_per_second"])
    assert 0 < values["disk_needed"] < values["disk_free"]
    trial = page.job(survey, "trial")
    assert (trial["error"], trial["values"]) == (None, {"images": 3})
    pictures = page.get(f"/api/surveys/{survey}/trial")["pictures"]
    assert {one["name"] for one in pictures} == {p.name for p in (home / "card1").iterdir()}
    assert page.client.get(pictures[0]["thumb"]).content.startswith(JPEG)
    assert not (home / "Documents").exists()


@pytest.mark.slow
def test_exports_say_what_they_wrote_and_sorting_is_undone(
    page: Page, survey: str, home: Path
) -> None:
    table = page.job(survey, "table", rows="sequence")
    assert [one["path"] for one in table["written"]] == [str(home / "card2" / "table.csv")]
    assert table["log"][-1].endswith("table.csv")
    timelapse = page.job(survey, "timelapse", beside_photographs=True)
    assert [one["path"] for one in timelapse["written"]] == [str(home / "card1/timelapse.json")]
    assert page.job(survey, "sort", dry_run=True)["written"] == []
    assert page.job(survey, "sort")["written"][0]["files"] == 4
    assert page.job(survey, "undo")["state"] == "done"
    assert not list((home / "card2").rglob("*.jpg"))[3:]
    failed = page.job(survey, "camtrap-dp")
    assert (failed["state"], failed["error"]) == (
        "failed",
        "Camtrap DP requires a title; add --title.",
    )
    kinds = [one["kind"] for one in page.get(f"/api/surveys/{survey}/jobs")]
    assert kinds == ["camtrap-dp", "undo", "sort", "sort", "timelapse", "table"]


@pytest.mark.slow
def test_the_report_is_shown_and_nothing_else_of_its_folder(
    page: Page, survey: str, home: Path
) -> None:
    assert page.job(survey, "report")["state"] == "done"
    (home / "card2" / "secret.txt").write_text("secret")
    (home / "card2" / "report" / "link.txt").symlink_to(home / "card2" / "secret.txt")
    address = f"/surveys/{survey}/report"
    assert "<h1>" in page.client.get(f"{address}/index.html").text
    for path in ("%2e%2e/secret.txt", "..%2fsecret.txt", "link.txt", "/etc/passwd", ""):
        assert page.client.get(f"{address}/{path}").status_code == 404


@pytest.mark.slow
def test_answers_are_compared_with_labels_and_those_below_the_thresholds_are_left_out(
    page: Page, survey: str, home: Path
) -> None:
    failed = page.job(survey, "evaluate")
    assert "pass labels as well" in failed["error"]
    images = sorted((home / "card1").iterdir())
    labels = home / "labels.csv"
    rows = [
        f"{path.name},{name}" for path, name in zip(images, ("fox", "deer", "deer"), strict=True)
    ]
    labels.write_text("\n".join(["file,label", *rows]).replace("fox", FOX).replace("deer", DEER))
    page.get("/api/folders", path=str(home), files=".csv")
    done = page.job(survey, "evaluate", labels=str(labels), wanted_precision="0.9")
    assert (done["error"], done["said"]) == (
        None,
        "3 labeled photographs in 3 sequences, compared by species.",
    )
    names = ["evaluation", "evaluation.json", "thresholds.csv"]
    assert [Path(one["path"]).name for one in done["written"]] == names
    described = page.get(f"/api/surveys/{survey}")
    assert (described["pages"], described["has_thresholds"]) == (["evaluation"], True)
    assert "<h1>" in page.client.get(f"/surveys/{survey}/evaluation/index.html").text

    (home / "card2" / "thresholds.csv").write_text(f"label,threshold\n{FOX},1\n")
    assert page.job(survey, "table", thresholds=True)["error"] is None
    assert (home / "card2" / "table.csv").read_text().count("below_threshold") == 3


@pytest.mark.slow
def test_a_review_is_the_same_as_in_the_terminal(page: Page, survey: str, home: Path) -> None:
    address = page.send("POST", f"/api/surveys/{survey}/review")["address"]
    assert "static/gallery.js" in page.client.get(address).text
    base = address.rpartition("/")[0]
    for path in ("data/survey.js", "data/pictures-0.js", "static/site.css", "thumbs/0.jpg"):
        assert page.client.get(f"{base}/{path}").status_code == 200
    image = sorted((home / "card1").iterdir())[0].as_posix()
    item = {"position": 0, "path": image, "label": DEER}
    answer = page.client.post(f"{base}/corrections", json={"items": [item]})
    assert answer.json() == {"saved": 1}
    assert "white-tailed deer" in corrections_path(home / "card2" / "p.json").read_text()
    other = page.client.post(
        f"{base}/corrections", json={"items": [item]}, headers={"origin": "null"}
    )
    assert other.status_code == 403
    assert page.client.get(f"{base}/thumbs/9.jpg").status_code == 404
    back = page.client.get(f"{base}/", follow_redirects=False)
    assert (back.status_code, back.headers["location"]) == (307, address)


@pytest.mark.slow
def test_what_another_program_reviews_is_not_opened(page: Page, survey: str, home: Path) -> None:
    with CorrectionsFile(corrections_path(home / "card2" / "p.json")):
        answer = page.send("POST", f"/api/surveys/{survey}/review", 409)
    assert "another review" in answer["error"]


def test_what_needs_predictions_asks_to_run_first(page: Page, home: Path) -> None:
    survey = page.add(home / "card1")
    for path, body in (("jobs", {"kind": "table"}), ("review", {})):
        answer = page.send("POST", f"/api/surveys/{survey}/{path}", 409, **body)
        assert (answer["code"], answer["action"]["name"]) == ("no_predictions", "run_first")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/surveys/nobody", 404),
        ("GET", "/surveys/nobody/report/index.html", 404),
        ("GET", "/surveys/nobody/review/gallery.html", 404),
        ("GET", "/surveys/nobody/thumbs/0.jpg", 404),
        ("GET", "/api/jobs/nothing", 404),
        ("GET", "/api/count", 422),
        ("POST", "/api/models/download", 422),
        ("PUT", "/api/surveys", 405),
        ("GET", "/nothing", 404),
    ],
)
def test_errors_are_sentences(page: Page, method: str, path: str, status: int) -> None:
    answer = page.client.request(method, path, json={} if method != "GET" else None)
    assert answer.status_code == status
    assert answer.json()["error"].endswith(".")


def test_bodies_without_an_object_are_refused(page: Page) -> None:
    headers = {"content-type": "application/json"}
    for content in (b"[]", b"{", b"[" * 10**4, b" " * 10**5, b"\xff"):
        answer = page.client.post("/api/surveys", content=content, headers=headers)
        assert answer.status_code in (400, 413)


def test_choices_are_found_by_name_in_any_language(page: Page) -> None:
    countries = {one["code"]: one for one in page.get("/api/countries", language="fr")}
    assert countries["ESP"]["name"] == "Espagne"
    assert {"spain", "españa", "hispania"} & set(countries["ESP"]["also"]) >= {"spain", "españa"}
    assert "uk" in countries["GBR"]["also"]
    assert {"code": "CA", "name": "California"} in countries["USA"]["regions"]
    models = {one["name"]: one for one in page.get("/api/models")}
    assert models["demo"]["on_disk"]
    assert [(one["version"], one["type"]) for one in models.values()] == [
        ("4.0.0a", "always_crop"),
        ("4.0.0b", "full_image"),
        (None, "demo"),
    ]


def test_a_photograph_that_is_gone_has_no_picture(page: Page, survey: str, window: Window) -> None:
    wait_for(lambda: page.get(f"/api/surveys/{survey}/progress")["done"], 3)
    thumb = page.get(f"/api/surveys/{survey}/progress")["latest"][0]["thumb"]
    assert page.client.get(thumb).content.startswith(JPEG)
    record = window.runner.follower(window.surveys.get(survey)).record(2)
    assert record is not None
    Path(record["filepath"]).unlink()
    assert page.client.get(thumb).json()["code"] == "no_picture"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("latitude", "longitude", "expected"),
    [
        (-2, 37, {"country": "KEN", "region": None}),
        (39, -120, {"country": "USA", "region": "CA"}),
    ],
)
def test_a_click_on_the_map_names_country_and_state(
    page: Page, latitude: float, longitude: float, expected: object
) -> None:
    assert page.get("/api/place", latitude=latitude, longitude=longitude) == expected


@pytest.mark.parametrize("query", [{}, {"latitude": "x"}, {"latitude": "nan"}])
def test_a_click_that_is_not_on_the_map_is_refused(page: Page, query: dict[str, Any]) -> None:
    assert "in degrees" in page.get("/api/place", 422, **{"longitude": 0, **query})["error"]
