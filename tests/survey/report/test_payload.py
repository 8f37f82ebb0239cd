from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from surveys import BLANK, DEER, FOX, HUMAN, LABELS, UNKNOWN, box, correction, record, survey_of

from speciesnet.survey.report import payload as payload_module
from speciesnet.survey.report.payload import Mode, Payload, category_of_picture
from speciesnet.survey.report.thumbnails import Preview
from speciesnet.survey.survey import Survey


def header(survey: Survey, mode: Mode = "report", **options: Any) -> dict[str, Any]:
    text = Payload(survey, mode, **options).header()
    return json.loads(text.removeprefix("const SURVEY = "))


def rows(text: str) -> list[dict[str, Any]]:
    """The images of a chunk, each with its properties."""
    _, columns, found = json.loads(f"[{text.removeprefix('addPictures(').removesuffix(')')}]")
    return [dict(zip(columns, row, strict=True)) for row in found]


def pictures(survey: Survey, **preview: Any) -> list[dict[str, Any]]:
    return rows(Payload(survey, "report").chunk(0, lambda _: Preview(**preview)))


@pytest.mark.parametrize(
    ("found", "category"),
    [
        (record("a.jpg", FOX), "animal"),
        (record("a.jpg", HUMAN), "human"),
        (record("a.jpg", LABELS["vehicle"]), "vehicle"),
        (record("a.jpg", BLANK), "blank"),
        (record("a.jpg", UNKNOWN), "unknown"),
        ({"filepath": "a.jpg", "failures": ["CLASSIFIER"], "detections": [box()]}, "failed"),
        ({"filepath": "a.jpg", "detections": [box("human", 0.3), box(conf=0.2)]}, "human"),
        ({"filepath": "a.jpg", "detections": [box(conf=0.19)]}, "blank"),
        ({"filepath": "a.jpg", "detections": []}, "blank"),
        ({"filepath": "a.jpg"}, "unknown"),
    ],
)
def test_category(tmp_path: Path, found: Mapping[str, object], category: str) -> None:
    survey = survey_of(tmp_path, found)
    assert category_of_picture(survey.pictures[0]) == category
    assert pictures(survey)[0]["category"] == category


def test_image_with_all_its_properties(tmp_path: Path) -> None:
    at: dict[str, Any] = {"taken": "2024-05-01T06:30:00"}
    survey = survey_of(
        tmp_path,
        record("s/cam/a.jpg", FOX, 0.7, classes={FOX: 0.7, DEER: 0.2}, **at),
        record("s/cam/b.jpg", FOX, 0.9, boxes=[box(conf=0.04)], **at),
        record("s/other.jpg", DEER),
    )
    head = header(survey, camera_urls={"s/cam": "../s/cam/"})
    names = [label["name"] for label in head["labels"]]
    first, second, third = pictures(survey, thumbnail="aa/1.jpg", aspect=1.5)
    assert first == {
        "file": "a.jpg", "camera": 0, "category": "animal", "label": names.index("red fox"),
        "score": 0.7, "source": "classifier", "taken": "2024-05-01T06:30:00", "sequence": 1,
        "sequenceLabel": names.index("red fox"), "sequenceScore": 0.8, "checks": ["low"],
        "boxes": [["animal", 0.9, 0.2, 0.3, 0.4, 0.5]],
        "classes": [[names.index("red fox"), 0.7], [names.index("white-tailed deer"), 0.2]],
        "thumbnail": "aa/1.jpg", "aspect": 1.5, "problem": "", "correction": -1, "isPrivate": False,
    }  # fmt: skip
    assert (second["boxes"], second["sequence"]) == ([], 1)
    assert (third["camera"], third["sequence"], third["taken"]) == (1, -1, None)
    assert head["cameras"] == [{"name": "s/cam", "url": "../s/cam/"}, {"name": "s", "url": None}]
    assert head["labels"][names.index("red fox")] == {
        "text": FOX, "key": FOX.partition(";")[0], "name": "red fox", "scientific": "Vulpes vulpes",
        "taxa": "Mammalia, Carnivora, Canidae", "category": "animal",
    }  # fmt: skip


def test_prediction_is_kept_next_to_the_correction(tmp_path: Path) -> None:
    low = record("a.jpg", BLANK, 0.6)
    (picture,) = pictures(survey_of(tmp_path, low, corrections=[correction("a.jpg", DEER, BLANK)]))
    assert picture["category"] == "blank"
    assert (picture["checks"], picture["correction"] >= 0) == (["low"], True)


def test_review_offers_all_labels_of_the_model(tmp_path: Path) -> None:
    survey = survey_of(tmp_path, record("a.jpg"))
    assert {label["text"] for label in header(survey, "review")["labels"]} == set(LABELS.values())
    assert [label["text"] for label in header(survey)["labels"]] == [FOX]


def test_chunks_contain_all_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload_module, "CHUNK", 2)
    survey = survey_of(tmp_path, *(record(f"{i}.jpg") for i in range(5)))
    payload = Payload(survey, "report")
    requested: list[int] = []

    def preview_of(position: int) -> Preview:
        requested.append(position)
        return Preview()

    texts = [payload.chunk(number, preview_of) for number in range(payload.chunks)]
    assert [row["file"] for text in texts for row in rows(text)] == [f"{i}.jpg" for i in range(5)]
    assert requested == [0, 1, 2, 3, 4]
    assert texts[2].startswith("addPictures(2, ")


def test_scripts_are_ascii_without_html(tmp_path: Path) -> None:
    name = "</script><img src=x onerror=alert(1)>&\u2028\udce9🦊'\".jpg"
    survey = survey_of(tmp_path, record(f"<b>/{name}"))
    payload = Payload(survey, "report", {"<b>": "<a>"})
    text = payload.header() + payload.chunk(0, lambda _: Preview(problem="<i>"))
    assert text.isascii()
    assert not set("<>&") & set(text)
    assert (
        pictures(survey)[0]["file"] == "script><img src=x onerror=alert(1)>&\u2028\udce9🦊'\".jpg"
    )


def test_labels_of_other_programs_have_names(tmp_path: Path) -> None:
    genus = "u;mammalia;carnivora;canidae;vulpes;;"
    survey = survey_of(tmp_path, record("a.jpg", "fox"), record("b.jpg", genus))
    assert [(label["name"], label["scientific"]) for label in header(survey)["labels"]] == [
        ("fox", ""), ("Vulpes", ""),
    ]  # fmt: skip
