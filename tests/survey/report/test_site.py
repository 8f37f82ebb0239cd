from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from photographs import NAIROBI, photograph
from PIL import ExifTags, Image
from surveys import BLANK, DEER, FOX, HUMAN, UNKNOWN, box, correction, record, survey_of

from speciesnet.errors import OutputError
from speciesnet.files.moved_photographs import Photographs
from speciesnet.survey.corrections import Correction
from speciesnet.survey.report.folder import check_report_folder
from speciesnet.survey.report.site import write_report

EVIL = "<evil-tag onerror=alert(1)>"
HOSTILE = [
    f"{EVIL}.jpg", f"\"'>{EVIL}.jpg", "{{ 7*7 }}.jpg", "x" * 200 + ".jpg", "🦊 狐.jpg", "%41#?&amp;.jpg",
    "a\nb.jpg", "'};alert(1);.jpg", "caf\udce9.jpg",
]  # fmt: skip


class Page(HTMLParser):
    """The elements of a page, its links, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"


def pages(out: Path) -> dict[str, Page]:
    return {path.name: Page(path.read_text(encoding="utf-8")) for path in out.glob("*.html")}


def data(out: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The data of the survey and of each image, as the scripts of the gallery read them."""
    header = (out / "data" / "survey.js").read_text(encoding="ascii")
    survey = json.loads(header.removeprefix("const SURVEY = "))
    text = (out / "data" / "pictures-0.js").read_text(encoding="ascii")
    _, columns, rows = json.loads(f"[{text.removeprefix('addPictures(').removesuffix(')')}]")
    return survey, [dict(zip(columns, row, strict=True)) for row in rows]


def thumbs(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (out / "thumbs").rglob("*.jpg")}


def report(
    tmp_path: Path,
    *records: Mapping[str, object],
    corrections: Sequence[Correction] = (),
    **options: Any,
) -> Path:
    survey = survey_of(tmp_path, *records, corrections=corrections)
    photographs = options.pop("photographs", Photographs())
    write_report(survey, tmp_path / "report", photographs, **options)
    return tmp_path / "report"


@pytest.fixture
def survey(tmp_path: Path) -> list[dict[str, Any]]:
    """Records of a small survey whose photographs exist."""
    folder = tmp_path / "survey"

    def one(
        name: str, *answer: Any, at: str = "2024:05:01 06:30:00", **values: Any
    ) -> dict[str, Any]:
        details = {ExifTags.Base.DateTimeOriginal: at}
        found = record(photograph(folder / name, details=details, gps=NAIROBI), *answer, **values)
        return {key: value for key, value in found.items() if key != "metadata"}

    return [
        one("cam1/a.jpg", FOX, 0.95),
        one("cam1/b.jpg", FOX, 0.7),
        one("cam1/c.jpg", BLANK, 0.99, at="2024:05:02 23:00:00"),
        one("cam2/a.jpg", DEER, 0.9),
        one("cam2/b.jpg", HUMAN, 0.9, boxes=[box("human")]),
        one("cam2/c.jpg", UNKNOWN, 0.3, boxes=[]),
    ]


def test_pages_of_a_report_link_to_each_other(tmp_path: Path, survey: list[dict[str, Any]]) -> None:
    failed = {
        "filepath": str(tmp_path / "survey" / "bad.jpg"),
        "failures": ["DETECTOR", "CLASSIFIER"],
    }
    out = report(tmp_path, *survey, failed, made=date(2024, 6, 1))
    found = pages(out)
    assert set(found) == {
        "index.html", "gallery.html", "species.html", "ecology.html", "check.html", "failures.html",
        "species-red-fox.html", "species-blank.html", "species-white-tailed-deer.html",
        "species-human.html", "species-no-cv-result.html",
    }  # fmt: skip
    for name, page in found.items():
        for link in page.links:
            target = link.partition("#")[0]
            assert link.startswith("data:") or not target or (out / target).is_file(), (name, link)
    overview = " ".join(found["index.html"].text.split())
    assert "7 images 3 animals 1 blank 1 people 0 vehicles 1 unknown 1 failed" in overview
    assert "3 folders, 4 sequences, from 2024-05-01 to 2024-05-02." in overview
    assert "1 image without a date. Not on the map: 1 image without a position." in overview
    assert "on 2024-06-01" in overview
    assert "2 images in 1 sequence, from 1 folder; mean score 0.8" in " ".join(
        found["species-red-fox.html"].text.split()
    )
    assert "bad.jpg" in found["failures.html"].text
    assert "classifier, detector" in found["failures.html"].text or (
        "detector, classifier" in found["failures.html"].text
    )
    assert {path.suffix for path in (out / "plots").iterdir()} == {".svg"}
    _, rows = data(out)
    assert [bool(row["thumbnail"]) for row in rows] == [True] * 6 + [False]


def test_photographs_are_found_from_the_pages(tmp_path: Path, survey: list[dict[str, Any]]) -> None:
    out = report(tmp_path, *survey)
    header, rows = data(out)
    for row, one in zip(rows, survey, strict=True):
        address = header["cameras"][row["camera"]]["url"] + row["file"]
        assert (out / unquote(address)).samefile(one["filepath"])
        assert not Path(address).is_absolute()


def test_report_without_dates_boxes_or_answers(tmp_path: Path) -> None:
    out = report(tmp_path, {"filepath": "a.jpg", "detections": [box()]}, {"filepath": "b.jpg"})
    assert "2 images without a date" in (out / "index.html").read_text()
    assert not (out / "plots").exists()
    (out / "report.json").unlink()


def test_second_report_reuses_thumbnails_and_removes_stale_files(
    tmp_path: Path, survey: list[dict[str, Any]]
) -> None:
    out = report(tmp_path, *survey)
    before = thumbs(out)
    assert len(before) == 6
    own = [
        out / name for name in ("notes.html", "data/notes.js", "plots/my.svg", "thumbs/my/a.txt")
    ]
    for path in own:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    again = report(tmp_path, *survey[:3])
    assert thumbs(again) == {name: before[name] for name in thumbs(again)}
    assert len(thumbs(again)) == 3
    assert "species-white-tailed-deer.html" not in pages(again)
    assert not (out / "plots" / "white-tailed-deer-by-the-hour.svg").exists()
    assert all(path.read_text() == "mine" for path in own)
    assert not list(out.rglob("*.part"))


@pytest.mark.parametrize("name", ["letter.html", "report.json"])
def test_folder_with_other_files_is_refused_and_untouched(
    tmp_path: Path, survey: list[dict[str, Any]], name: str
) -> None:
    mine = tmp_path / "report" / name
    mine.parent.mkdir()
    mine.write_text("{}")
    with pytest.raises(OutputError, match=r"contains other files\. Pass an empty or new folder"):
        report(tmp_path, *survey)
    assert [path.name for path in mine.parent.iterdir()] == [name]
    assert mine.read_text() == "{}"


def test_folders_that_cannot_be_written(tmp_path: Path, survey: list[dict[str, Any]]) -> None:
    file = tmp_path / "report"
    file.write_text("mine")
    with pytest.raises(OutputError, match=r"is not a folder\. Pass a different name"):
        report(tmp_path, *survey)
    with pytest.raises(OutputError, match="cannot be written"):
        write_report(survey_of(tmp_path, *survey), file / "below", Photographs())
    check_report_folder(tmp_path / "new")
    assert file.read_text() == "mine"


def test_photographs_that_moved(tmp_path: Path, survey: list[dict[str, Any]]) -> None:
    (tmp_path / "survey").rename(tmp_path / "now")
    out = report(tmp_path, *survey)
    text = " ".join(pages(out)["failures.html"].text.split())
    assert "6 photographs could not be shown" in text
    assert "make the report again with --image_root and the folder that contains them now" in text
    assert thumbs(out) == {}
    found = Photographs(str(tmp_path / "now"))
    out = report(tmp_path, *survey, photographs=found)
    assert len(thumbs(out)) == 6
    assert (found.found, found.missing) == (6, 0)
    header, rows = data(out)
    address = header["cameras"][rows[0]["camera"]]["url"] + rows[0]["file"]
    assert (out / unquote(address)).is_file()


def test_blurred_people_are_on_no_page(tmp_path: Path, survey: list[dict[str, Any]]) -> None:
    cells = Image.effect_noise((800, 600), 90).convert("RGB")
    person = survey[4]["filepath"]
    cells.save(person, quality=95)
    out = report(tmp_path, *survey, blur_humans=True)
    _, rows = data(out)
    assert [row["isPrivate"] for row in rows] == [0, 0, 0, 0, 1, 0]
    xmin, ymin, width, height = 0.2, 0.3, 0.4, 0.5
    with Image.open(out / "thumbs" / rows[4]["thumbnail"]) as made:
        w, h = made.size
        area = (xmin * w, ymin * h, (xmin + width) * w, (ymin + height) * h)
        grey = np.asarray(made.convert("L"), dtype=int)
        inside = grey[int(area[1]) : int(area[3]), int(area[0]) : int(area[2])]
        assert np.ptp(inside) < 40
        assert np.ptp(grey[:60, :60]) > 100
    for page in pages(out).values():
        assert not any(link.endswith("/b.jpg") for link in page.links)
    unblurred = report(tmp_path, *survey)
    assert rows[4]["thumbnail"].rpartition("/")[2] not in thumbs(unblurred)
    assert data(unblurred)[1][4]["isPrivate"] == 0


def test_corrections_are_counted(tmp_path: Path, survey: list[dict[str, Any]]) -> None:
    paths = [one["filepath"] for one in survey]
    corrections = [
        correction(paths[0], FOX),
        correction(paths[1], DEER),
        correction(paths[5], DEER, UNKNOWN),
    ]
    out = report(tmp_path, *survey, corrections=corrections)
    text = " ".join(pages(out)["index.html"].text.split())
    assert "Reviewers have confirmed or corrected 3 images" in text
    assert "red fox 2 1 50% white-tailed deer 1" in text
    assert "3 images" in " ".join(pages(out)["species-white-tailed-deer.html"].text.split())
    assert "species-no-cv-result.html" not in pages(out)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
@pytest.mark.parametrize("with_photographs", [True, False])
def test_hostile_names_are_text_in_every_page(tmp_path: Path, with_photographs: bool) -> None:
    records: list[dict[str, Any]] = []
    label = f"u;a;b;c;d;e;{EVIL}"
    for number, name in enumerate(HOSTILE):
        path = tmp_path / name.removesuffix(".jpg") / name
        if with_photographs:
            photograph(path, gps=NAIROBI)
        place: dict[str, Any] = {"latitude": float(number), "longitude": 1.0}
        records += [
            record(path, label, **place),
            {"filepath": f"{path}x", "failures": ["CLASSIFIER"]},
        ]
    (tmp_path / EVIL).mkdir(exist_ok=True)
    survey = survey_of(tmp_path, *records, model=None)
    survey.name = f"{EVIL}.json"
    survey.model_version = EVIL
    out = tmp_path / "report"
    write_report(survey, out, Photographs())
    assert "species-evil-tag-onerror-alert-1.html" in pages(out)
    for name, page in pages(out).items():
        assert "evil-tag" not in page.tags, name
        assert not any(attribute.startswith("on") for attribute in page.attributes), name
        assert "{{" not in page.text or "{{ 7*7 }}" in page.text
    assert EVIL in pages(out)["index.html"].text
    for path in out.rglob("*.js"):
        assert b"<evil" not in path.read_bytes()
    for path in (out / "plots").iterdir():
        assert "<evil" not in path.read_text(encoding="utf-8")
    header, rows = data(out)
    assert [row["file"] for row in rows[::2]] == HOSTILE
    for row in rows[::2]:
        if with_photographs:
            url = header["cameras"][row["camera"]]["url"]
            folder = out / unquote(url, errors="surrogateescape")
            assert (folder / row["file"]).is_file()


def test_names_of_pages_and_plots_are_unique(tmp_path: Path) -> None:
    taken: dict[str, Any] = {"taken": "2024-05-01T06:30:00"}
    names = ["狐", "狼", "w" * 200, "w" * 201, "Red Fox", "red fox"]
    records = [
        record(f"{i}.jpg", f"u{i};a;b;c;d;e;{name}", **taken) for i, name in enumerate(names)
    ]
    out = report(tmp_path, *records)
    found = {name for name in pages(out) if name.startswith("species-")}
    assert found == {
        "species-answer.html", "species-answer-2.html", f"species-{'w' * 60}.html",
        f"species-{'w' * 60}-2.html", "species-red-fox.html", "species-red-fox-2.html",
    }  # fmt: skip
    for path in out.glob("*.html"):
        ids = re.findall(r'\bid="([^"]+)"', path.read_text(encoding="utf-8"))
        assert len(ids) == len(set(ids)), path.name


def test_same_survey_gives_the_same_pages(tmp_path: Path, survey: list[dict[str, Any]]) -> None:
    def files(out: Path) -> dict[str, bytes]:
        return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}

    assert files(report(tmp_path, *survey)) == files(report(tmp_path, *survey))
