from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from servers import SAMPLES, Server, in_base64, picture

from speciesnet import SpeciesNet

PLACES: list[dict[str, Any]] = [
    {"country": "USA", "admin1_region": "CA"},
    {"country": "USA", "latitude": 37.5, "longitude": -122.0},
    {"country": "KEN"},
    {"latitude": 1.0, "longitude": 36.5},
    {},
    {"admin1_region": "CA"},
]


def instances_of(paths: list[Path]) -> list[dict[str, Any]]:
    return [
        {"filepath": str(path), **PLACES[number % len(PLACES)]} for number, path in enumerate(paths)
    ]


def assert_same(record: dict[str, Any], expected: dict[str, Any]) -> None:
    """Compares records except for the last bits of scores, which depend on the batch."""
    assert list(record) == list(expected)
    for key, value in expected.items():
        if key == "classifications":
            assert record[key]["classes"] == value["classes"]
            assert record[key]["scores"] == pytest.approx(value["scores"], abs=1e-5)
        elif key == "detections":
            assert [d["bbox"] for d in record[key]] == [d["bbox"] for d in value]
            assert [d["conf"] for d in record[key]] == pytest.approx(
                [d["conf"] for d in value], abs=1e-5
            )
        else:
            assert record[key] == (
                pytest.approx(value, abs=1e-5) if key == "prediction_score" else value
            )


@pytest.fixture(scope="module")
def expected() -> list[dict[str, Any]]:
    """The records of the Python API for the sample images."""
    predictions = SpeciesNet("demo").predict(instances_dict={"instances": instances_of(SAMPLES)})
    assert predictions is not None
    return [{**record} for record in predictions["predictions"]]


def test_records_equal_those_of_the_python_api(
    server: Server, expected: list[dict[str, Any]]
) -> None:
    sent = [
        instance | {"image": in_base64(Path(instance["filepath"]))}
        for instance in instances_of(SAMPLES)
    ]
    for record, wanted in zip(server.predict(*sent).records, expected, strict=True):
        assert_same(record, wanted)


def test_names_that_are_not_unicode_and_large_integers_are_returned(server: Server) -> None:
    name = "caf\udce9.jpg"
    sent = {"filepath": name, "image": in_base64(SAMPLES[0]), "camera": 2**64 + 1}
    (record,) = server.predict(sent).records
    assert (record["filepath"], record["camera"]) == (name, 2**64 + 1)
    assert "prediction" in record
    rejected = server.predict({**sent, "latitude": 91})
    assert rejected.status == 400 and "latitude" in rejected.error


def test_each_of_many_parallel_requests_gets_its_own_records(
    server: Server, expected: list[dict[str, Any]]
) -> None:
    def ask(number: int) -> dict[str, Any]:
        place = {name: str(value) for name, value in PLACES[number % len(PLACES)].items()}
        name = str(SAMPLES[number])
        (record,) = server.upload((name, SAMPLES[number].read_bytes()), fields=place).records
        return record

    with ThreadPoolExecutor(12) as executor:
        for record, wanted in zip(executor.map(ask, range(len(SAMPLES))), expected, strict=True):
            assert_same(record, wanted)


def test_files_in_an_allowed_folder_are_read(server: Server, allowed: Path) -> None:
    paths = [str(allowed / "cam1" / name) for name in ("0.jpg", "1.jpg", "0.jpg")]
    records = server.predict(*({"filepath": path} for path in paths)).records
    assert [record["filepath"] for record in records] == paths
    assert all("prediction" in record for record in records)
    assert records[0] == records[2]


def test_bad_images_do_not_affect_the_others(server: Server, allowed: Path) -> None:
    names = ["0.jpg", "gone.jpg", "broken.jpg", "1.jpg"]
    sent: list[dict[str, Any]] = [{"filepath": str(allowed / "cam1" / name)} for name in names]
    sent += [
        {"filepath": "empty", "image": ""},
        {"filepath": "text", "image": in_base64(b"text"), "country": "KEN"},
        {"filepath": "cut.jpg", "image": in_base64(SAMPLES[0].read_bytes()[:5000])},
        {"filepath": "good.jpg", "image": in_base64(SAMPLES[0])},
    ]
    records = server.predict(*sent).records
    assert [record["filepath"] for record in records] == [one["filepath"] for one in sent]
    failed = ["prediction" not in record for record in records]
    assert failed == [False, True, True, False, True, True, False, False]
    assert records[5]["failures"] == ["CLASSIFIER", "DETECTOR"]
    assert records[5]["country"] == "KEN"
    assert "model_version" in records[5]
    (record,) = server.upload(("x.jpg", b"no photograph")).records
    assert record["failures"] == ["CLASSIFIER", "DETECTOR"]


def test_extra_fields_are_copied_into_records(server: Server) -> None:
    image = in_base64(picture())
    sent = [
        {"filepath": "a", "image": image, "camera": {"id": 7}, "note": "ñ<b>", "other": 1},
        {"filepath": "b", "image": image, "note": None},
        {"filepath": "c", "image": image},
    ]
    first, second, third = server.predict(*sent).records
    assert list(first)[-2:] == ["camera", "note"]
    assert (first["camera"], first["note"]) == ({"id": 7}, "ñ<b>")
    assert (second["note"], "camera" in second) == (None, False)
    assert {"other", "image"}.isdisjoint(first)
    assert {"camera", "note"}.isdisjoint(third)
    (record,) = server.upload(("a", picture()), fields={"note": "x", "other": "y"}).records
    assert (record["note"], "other" in record) == ("x", False)


def test_health_checks_and_metrics(server: Server) -> None:
    assert server.ask("/health").json == {"status": "alive"}
    assert server.ask("/ready").json == {"status": "ready"}
    before = server.metric('speciesnet_images_total{outcome="answered"}')
    server.predict({"filepath": "a", "image": in_base64(picture())})
    assert server.metric('speciesnet_images_total{outcome="answered"}') == before + 1
    assert server.metric("speciesnet_workers_ready") == 1
    assert server.metric("speciesnet_images_accepted") == 0
    assert server.metric("speciesnet_spool_bytes") == 0


def test_head_is_answered_like_get_without_a_body(server: Server) -> None:
    for path in ("/", "/health", "/ready", "/metrics", "/openapi.json", "/static/site.css"):
        head, get = server.ask(path, method="HEAD"), server.ask(path)
        assert (head.status, head.body) == (200, b"")
        assert head.headers["content-type"] == get.headers["content-type"]
        if path != "/metrics":  # its numbers change
            assert int(head.headers["content-length"]) == len(get.body)
    for path, status in (("/nothing", 404), ("/predict", 405)):
        answer = server.ask(path, method="HEAD")
        assert (answer.status, answer.body) == (status, b"")
    assert server.ask("/health", method="PUT").headers["allow"] == "GET, HEAD"


def test_requests_and_responses_match_the_openapi_document(server: Server) -> None:
    document = server.ask("/openapi.json").json
    path = document["paths"]["/predict"]["post"]
    answer = path["responses"]["200"]["content"]["application/json"]
    records = server.predict(
        {"filepath": "a", "image": in_base64(SAMPLES[0]), "country": "USA"},
        {"filepath": "b", "image": ""},
    )
    jsonschema.validate(records.json, answer["schema"])
    jsonschema.validate(answer["example"], answer["schema"])
    body = path["requestBody"]["content"]
    for example in body["application/json"]["examples"].values():
        jsonschema.validate(example["value"], body["application/json"]["schema"])
    fields = body["application/json"]["schema"]["properties"]["instances"]["items"]["properties"]
    assert {"camera", "note", "image", "country"} <= set(fields)
    error = path["responses"]["400"]["content"]["application/json"]["schema"]
    jsonschema.validate(server.ask(body="{").json, error)


def test_only_the_page_and_its_files_are_served(server: Server) -> None:
    page = server.ask("/")
    assert page.status == 200
    assert "script-src 'self'" in page.headers["content-security-policy"]
    for name in ("site.css", "theme.js", "server.css", "server.js"):
        assert f"static/{name}".encode() in page.body
        assert server.ask(f"/static/{name}").status == 200
    for path in (
        "/static/index.html",
        "/static/..%2fapp.py",
        "/static/../app.py",
        "/docs",
        "/redoc",
    ):
        assert "nothing at this path" in server.ask(path).error


def test_request_of_the_published_server_gets_the_same_response(
    server: Server, allowed: Path
) -> None:
    path = (allowed / "cam1" / "0.jpg").as_posix()
    answer = server.predict({"filepath": path})
    assert answer.headers["content-type"] == "application/json"
    (record,) = answer.json["predictions"]
    assert list(record) == [
        "filepath", "classifications", "detections", "prediction", "prediction_score",
        "prediction_source", "model_version",
    ]  # fmt: skip
    assert json.dumps(record)
