"""Exports, reports and reviews of predictions in a bucket, and into one."""

from __future__ import annotations

import functools
import http.server
import io
import json
import re
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from buckets import EXPIRED, FORBIDDEN, Bucket
from commands import run_here, run_module
from faults import Drop
from photographs import NAIROBI, photograph
from PIL import ExifTags, Image
from surveys import BLANK, DEER, FOX, correction, record, survey_of, write_predictions

from speciesnet.errors import CredentialsError, ImageError, InputError, OutputError
from speciesnet.files.moved_photographs import Photographs
from speciesnet.images.metadata import PhotoMetadata
from speciesnet.scripts.outputs import sent_file, sent_folder
from speciesnet.survey.corrections import find_corrections, read_corrections
from speciesnet.survey.photographs import with_metadata
from speciesnet.survey.report.thumbnails import Thumbnails

PROJECT = ("--title", "Lions", "--contributor", "Jane", "--timezone", "+03:00")
DEPLOYMENTS = "deploymentID,habitat\ncam1,forest\ncam2,hill\n"
NAMES = ("cam1/a.jpg", "cam1/b.jpg", "cam2/c.jpg")
# The time of a file on a disk is in its MegaDetector export; that of an object is not.
_COMPLETION_TIMES = re.compile(rb'"\w+_completion_time":"[^"]*",')
FILES = ("p.json", "p.json.run.json", "p.json.corrections.jsonl")


def put_survey(bucket: Bucket, folder: Path) -> str:
    """Photographs in a bucket; their predictions and the files next to them there and in a folder."""
    urls = []
    for minute, name in enumerate(NAMES):
        taken = {ExifTags.Base.DateTimeOriginal: f"2024:05:01 06:3{minute}:00"}
        path = Path(photograph(folder / "photographs" / name, details=taken, gps=NAIROBI))
        urls.append(bucket.put_file(f"survey/{name}", path))
    records = [record(url, answer) for url, answer in zip(urls, (FOX, FOX, BLANK), strict=True)]
    for one in records:
        del one["metadata"]
    write_predictions(folder / FILES[0], *records)
    said = json.dumps(asdict(correction(urls[0], DEER)))
    (folder / FILES[2]).write_text(f"{said}\n", encoding="ascii")
    for name in FILES:
        bucket.put_file(name, folder / name)
    return bucket.url(FILES[0])


@pytest.fixture
def survey(s3_bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of the predictions; commands run where they are on the disk too."""
    monkeypatch.chdir(tmp_path)
    return put_survey(s3_bucket, tmp_path)


def files_in(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def objects_in(bucket: Bucket, folder: str) -> dict[str, bytes]:
    names = [name for name in bucket.names() if name.startswith(f"{folder}/")]
    return {name.removeprefix(f"{folder}/"): bucket.get(name) for name in names}


def sent_to(bucket: Bucket) -> list[str]:
    """The paths of what was put into an S3 bucket, in order."""
    return [path for method, path in bucket.proxy.requests if method == "PUT"]


@pytest.mark.parametrize(
    ("module", "output", "options"),
    [
        ("speciesnet_to_table", "t.csv", ()),
        ("speciesnet_to_table", "t.parquet", ("--rows", "sequence")),
        ("speciesnet_to_md", "md.json", ("--base_folder", "{bucket}survey")),
    ],
)
def test_a_file_is_the_same_in_a_bucket_as_on_a_disk(
    s3_bucket: Bucket,
    survey: str,
    tmp_path: Path,
    module: str,
    output: str,
    options: tuple[str, ...],
) -> None:
    options = tuple(option.format(bucket=s3_bucket.url()) for option in options)
    here = run_here(module, "p.json", output, *options)
    there = run_here(module, survey, s3_bucket.url(output), *options)
    assert (here.code, there.code) == (0, 0), there.err
    assert there.out == here.out.replace(output, s3_bucket.url(output))
    assert there.err == here.err == ""
    on_disk = (tmp_path / output).read_bytes()
    assert s3_bucket.get(output) == _COMPLETION_TIMES.sub(b"", on_disk)


def test_parts_are_merged_from_a_bucket_into_it(
    s3_bucket: Bucket, survey: str, tmp_path: Path
) -> None:
    target = s3_bucket.url("all/merged.json")
    outcome = run_here("merge", target, survey)
    assert outcome.out == f"3 images, 0 of them failed: {target}\n", outcome.err
    assert run_here("merge", "merged.json", "p.json").code == 0
    assert s3_bucket.get("all/merged.json") == (tmp_path / "merged.json").read_bytes()
    assert json.loads(s3_bucket.get("all/merged.json.run.json")) == json.loads(
        (tmp_path / "p.json.run.json").read_text()
    )
    again = run_here("merge", target, survey)
    assert (again.code, "already exists" in again.sentence) == (1, True)


def test_a_bucket_of_each_cloud_is_read_and_written(bucket: Bucket, tmp_path: Path) -> None:
    predictions = put_survey(bucket, tmp_path)
    bucket.put("t.csv", b"old")
    done = run_module("speciesnet_to_table", predictions, bucket.url("t.csv"))
    assert done.code == 0, done.err
    header, *rows = [line.split(",") for line in bucket.get("t.csv").decode().splitlines()]
    found = [dict(zip(header, row, strict=True)) for row in rows]
    assert [row["datetime"] for row in found] == [f"2024-05-01T06:3{i}:00" for i in range(3)]
    assert [row["latitude"] for row in found] == ["-1.29"] * 3
    assert [row["reviewer"] for row in found] == ["Jane", "", ""]


def test_a_data_package_is_the_same_in_a_bucket_as_on_a_disk(
    s3_bucket: Bucket, survey: str, tmp_path: Path
) -> None:
    (tmp_path / "d.csv").write_text(DEPLOYMENTS)
    there = s3_bucket.put_file("d.csv", tmp_path / "d.csv")
    for source, out, table in (
        ("p.json", "dp", "d.csv"),
        (survey, s3_bucket.url("dp/"), there),
    ):
        done = run_here("speciesnet_to_camtrap_dp", source, out, *PROJECT, "--deployments", table)
        assert done.code == 0, done.err
        assert done.out == f"3 photographs in 2 events of 2 deployments: {out}\n"
    wanted, found = files_in(tmp_path / "dp"), objects_in(s3_bucket, "dp")
    for files in (wanted, found):
        files["datapackage.json"] = re.sub(rb'"created": "[^"]*"', b"", files["datapackage.json"])
    assert found == wanted
    assert b"forest" in found["deployments.csv"]
    assert len(sent_to(s3_bucket)) == 4
    assert sent_to(s3_bucket)[-1].endswith("/dp/datapackage.json")


def test_a_report_is_the_same_in_a_bucket_as_on_a_disk(
    s3_bucket: Bucket, survey: str, tmp_path: Path
) -> None:
    here = run_here("report", "p.json", "--out", "report")
    assert here.code == 0, here.err
    there = run_here("report", survey, "--out", s3_bucket.url("report"))
    assert there.code == 0, there.err
    assert there.out == f"Report of 3 images: {s3_bucket.url('report/index.html')}\n"
    wanted = files_in(tmp_path / "report")
    assert objects_in(s3_bucket, "report") == wanted
    assert sum(name.startswith("thumbs/") for name in wanted) == 3
    assert sent_to(s3_bucket)[0].endswith("/report.json")
    assert sent_to(s3_bucket)[-1].endswith("/index.html")


@pytest.mark.parametrize("command", ["crops", "draw"])
def test_pictures_are_the_same_in_a_bucket_as_on_a_disk(
    s3_bucket: Bucket, survey: str, tmp_path: Path, command: str
) -> None:
    here = run_here(command, "p.json", "--out", "pictures")
    assert here.code == 0, here.err
    url = s3_bucket.url("pictures")
    for _ in range(2):
        there = run_here(command, survey, "--out", url)
        assert there.out == here.out.replace(" pictures:", f" {url}:"), there.err
        assert objects_in(s3_bucket, "pictures") == files_in(tmp_path / "pictures")
    assert len([name for name in s3_bucket.names() if name.startswith("pictures/")]) == 3
    refused = run_here(command, survey, "--out", s3_bucket.url("survey"))
    assert f"The folder {s3_bucket.url('survey')} contains other files" in refused.sentence


def test_pages_in_a_bucket_lead_to_no_photograph_of_this_computer(
    s3_bucket: Bucket, survey: str, tmp_path: Path
) -> None:
    local = write_predictions(tmp_path / "l.json", record(tmp_path / "photographs" / NAMES[0]))
    done = run_here("report", local, "--out", s3_bucket.url("report"))
    assert done.code == 0, done.err
    assert b'"url":null' in s3_bucket.get("report/data/survey.js")
    done = run_here("report", local, "--out", s3_bucket.url("report"), "--blur_humans")
    assert f"The pictures of the earlier report stay in {s3_bucket.url('report')}" in done.err
    done = run_here("report", local, "--out", s3_bucket.url("survey"))
    assert f"The folder {s3_bucket.url('survey')} contains other files" in done.sentence


def test_photographs_missing_in_a_bucket_are_reported(s3_bucket: Bucket, tmp_path: Path) -> None:
    photographs, lost = Photographs(), s3_bucket.url("gone.jpg")
    found = with_metadata([{"filepath": lost}], photographs)
    assert [metadata for _, metadata in found] == [PhotoMetadata()]
    with pytest.raises(ImageError, match="there is no such file"):
        Thumbnails(tmp_path, photographs).make(survey_of(tmp_path, record(lost)).pictures[0])
    assert (photographs.found, photographs.missing) == (0, 2)


def test_a_thumbnail_is_replaced_once_its_photograph_changes(
    s3_bucket: Bucket, tmp_path: Path
) -> None:
    path = Path(photograph(tmp_path / "a.jpg"))
    picture = survey_of(tmp_path, record(s3_bucket.put_file("a.jpg", path))).pictures[0]
    thumbnails = Thumbnails(tmp_path / "thumbs", Photographs())
    name, aspect = thumbnails.make(picture)
    assert thumbnails.make(picture) == (name, aspect)
    assert [method for method, _ in s3_bucket.proxy.requests].count("GET") == 1
    Image.new("RGB", (60, 80)).save(path)
    s3_bucket.put_file("a.jpg", path)
    changed, aspect = thumbnails.make(picture)
    assert (changed != name, aspect) == (True, 0.75)


def test_a_file_that_cannot_be_sent_leaves_the_old_one(s3_bucket: Bucket, survey: str) -> None:
    target = s3_bucket.url("t.csv")
    s3_bucket.put("t.csv", b"old")
    s3_bucket.proxy.always(FORBIDDEN["s3"], "PUT")
    done = run_here("speciesnet_to_table", survey, target)
    assert done.code == 1
    assert f"{target} cannot be written (no permission for the bucket" in done.sentence
    assert "is unchanged" in done.sentence
    assert (done.out, s3_bucket.get("t.csv")) == ("", b"old")


def send_file(url: str) -> None:
    with sent_file(url) as made:
        Path(made).write_text("new")


def test_a_lost_response_is_not_a_failure(bucket: Bucket) -> None:
    bucket.put("t.csv", b"old")
    bucket.proxy.first(1, Drop(afterward=True), "POST" if bucket.scheme == "gs" else "PUT")
    send_file(bucket.url("t.csv"))
    assert bucket.get("t.csv") == b"new"


def test_a_file_that_is_not_finished_is_not_sent(s3_bucket: Bucket) -> None:
    with pytest.raises(KeyboardInterrupt), sent_file(s3_bucket.url("t.csv")) as made:
        Path(made).write_text("half")
        raise KeyboardInterrupt
    assert s3_bucket.names() == []


def send_folder(url: str, **files: str) -> str:
    """Sends ``mark`` first and ``z`` last; returns the earlier mark."""
    with sent_folder(url, last="z", mark="mark", unchanging="same") as made:
        mark = Path(made, "mark")
        found = mark.read_text() if mark.exists() else "none"
        for name, text in {"mark": "new", "z": "new", **files}.items():
            path = Path(made, name)
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    return found


def test_a_folder_is_sent_in_order_and_only_what_may_be_new(s3_bucket: Bucket) -> None:
    url = s3_bucket.url("out/")
    assert send_folder(url, **{"same/1": "one", "a": "new"}) == "none"
    s3_bucket.proxy.reset()
    assert send_folder(url, **{"same/1": "other", "same/2": "two", "a": "newer"}) == "new"
    first, *others, last = (path.partition("/out/")[2] for path in sent_to(s3_bucket))
    assert (first, sorted(others), last) == ("mark", ["a", "same/2"], "z")
    assert objects_in(s3_bucket, "out") == {
        "mark": b"new", "z": b"new", "a": b"newer", "same/1": b"one", "same/2": b"two",
    }  # fmt: skip
    s3_bucket.put("other/file", b"")
    assert send_folder(s3_bucket.url("other")) == ""


def test_a_partly_sent_folder_is_reported(s3_bucket: Bucket) -> None:
    s3_bucket.put("out/z", b"old")
    denied = FORBIDDEN["s3"]
    s3_bucket.proxy.plan = lambda method, path: (
        denied if method == "PUT" and path.endswith("/z") else None
    )
    with pytest.raises(OutputError, match=r"\(no permission .*\); 2 of 3 files are new, and"):
        send_folder(s3_bucket.url("out"), a="new")
    assert s3_bucket.get("out/z") == b"old"


def test_expired_credentials_are_reported_before_the_work_starts(bucket: Bucket) -> None:
    bucket.proxy.always(EXPIRED[bucket.scheme])
    for context in (sent_file(bucket.url("t.csv")), sent_folder(bucket.url("x"), last="z")):
        with pytest.raises(CredentialsError, match="have expired or are refused"), context:
            raise AssertionError


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("http://h/x", "http://h/x is on the web, where nothing can be written"),
        ("ftp://h/x", "ftp://h/x must start with s3://, gs:// or az://"),
        ("s3://b/x/", "s3://b/x/ is a folder; pass the name of a file in it"),
        ("s3://b", "s3://b is a folder"),
        ("s3://gone-bucket/t.csv", "cannot be read .there is no bucket gone-bucket"),
    ],
)
def test_invalid_targets_are_named(s3_bucket: Bucket, target: str, sentence: str) -> None:
    with pytest.raises(OutputError, match=sentence):
        send_file(target)


def test_corrections_are_never_left_out_silently(
    s3_bucket: Bucket, survey: str, tmp_path: Path
) -> None:
    denied = FORBIDDEN["s3"]
    s3_bucket.proxy.plan = lambda method, path: denied if path.endswith(FILES[2]) else None
    done = run_here("speciesnet_to_md", survey, "md.json")
    assert "p.json.corrections.jsonl cannot be read (no permission" in done.sentence
    assert "--corrections none" in done.sentence
    assert run_here("speciesnet_to_md", survey, "md.json", "--corrections", "none").code == 0
    assert "deer" not in (tmp_path / "md.json").read_text()


def test_corrections_are_read_by_their_url(s3_bucket: Bucket, tmp_path: Path) -> None:
    path, url = tmp_path / "p.json", s3_bucket.url("other.jsonl")
    write_predictions(path, record("a.jpg"))
    with pytest.raises(InputError, match=r"other.jsonl cannot be read \(there is no such file"):
        find_corrections(path, url)
    said = correction("a.jpg", DEER)
    s3_bucket.put("other.jsonl", json.dumps(asdict(said)).encode() + b"\n")
    assert find_corrections(path, url) == {"a.jpg": said}


def test_sentences_and_warnings_name_the_url(s3_bucket: Bucket, survey: str) -> None:
    s3_bucket.put("bad.json", b'{"predictions": [\n{"filepath": "a.jpg", "detections": 7},\n{"f')
    bad = s3_bucket.url("bad.json")
    done = run_here("speciesnet_to_md", bad, s3_bucket.url("md.json"))
    assert done.sentence == (
        f"speciesnet: {bad}: The record of a.jpg is malformed (detections must be a list); correct it, "
        "or make the predictions again."
    )
    assert "md.json" not in s3_bucket.names()
    s3_bucket.put("cut.json", b'{"predictions": [\n{"filepath": "a.jpg"},\n{"f')
    cut = s3_bucket.url("cut.json")
    done = run_here("speciesnet_to_table", cut, "cut.csv", "--noexif")
    assert (done.code, done.err) == (0, f"{cut} is cut off: its complete records are used.\n")


class _Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Logs nothing."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    handler = functools.partial(_Files, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def test_predictions_are_read_from_the_web(survey: str, tmp_path: Path, site: str) -> None:
    (tmp_path / FILES[1]).unlink()
    done = run_here("speciesnet_to_table", f"{site}p.json?version=1", "t.csv")
    assert done.code == 0
    assert done.err == (
        f"{site}{FILES[1]}?version=1 is ignored (there is no such file (404 File not found)).\n"
    )
    assert "white-tailed deer" in (tmp_path / "t.csv").read_text()


@pytest.mark.parametrize(
    ("module", "arguments", "sentence"),
    [
        ("sort_images", ("p.json", "--out", "s3://b/x"), "--out s3://b/x is not on this computer"),
        ("write_keywords", ("p.json", "--out", "gs://b/x"), "--out gs://b/x is not on this comp"),
        ("review", ("s3://b/p.json",), "such as --corrections corrections.jsonl, or download"),
        ("review", ("p.json", "--corrections", "az://b/c"), "--corrections az://b/c is not on"),
        ("review", ("{bucket}p.json", "--corrections", "new"), "already contains corrections; download"),
        ("report", ("p.json", "--out", "x", "--image_root", "s3://b"), "--image_root s3://b is not"),
        ("speciesnet_to_table", ("s3://b/t.csv", "s3://b/t.csv"), "would overwrite the predictions"),
        ("speciesnet_to_table", ("{bucket}p.json", "{bucket}t.txt"), "t.txt must end with .csv"),
        ("sort_images", ("{bucket}p.json", "--out", "x"), "are not on this computer"),
        ("write_keywords", ("{bucket}p.json",), "Download them, and pass their folder"),
    ],
)  # fmt: skip
def test_options_that_cannot_be_in_a_bucket_are_refused_in_one_sentence(
    s3_bucket: Bucket,
    survey: str,
    tmp_path: Path,
    module: str,
    arguments: tuple[str, ...],
    sentence: str,
) -> None:
    before, objects = sorted(tmp_path.rglob("*")), s3_bucket.names()
    done = run_here(module, *(text.format(bucket=s3_bucket.url()) for text in arguments))
    assert done.code == 1
    assert sentence in done.sentence
    assert sorted(tmp_path.rglob("*")) == before
    assert s3_bucket.names() == objects


def test_photographs_of_a_bucket_are_sorted_once_they_are_downloaded(
    s3_bucket: Bucket, survey: str, tmp_path: Path
) -> None:
    done = run_here("sort_images", survey, "--out", "sorted", "--image_root", "photographs")
    assert done.code == 0, done.err
    deer = "white-tailed deer (Odocoileus virginianus)"
    assert f"{deer}/{s3_bucket.name}/survey/cam1/a.jpg" in files_in(tmp_path / "sorted")


def test_a_review_of_a_bucket_keeps_corrections_on_a_disk(survey: str, tmp_path: Path) -> None:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    command = (sys.executable, "-m", "speciesnet.scripts.review", survey, "--port", port)
    with subprocess.Popen(
        (*command, "--corrections", FILES[2]), stdout=subprocess.PIPE, encoding="utf-8"
    ) as review:
        try:
            assert review.stdout is not None
            address = review.stdout.readline().strip().rpartition(" ")[2]
            for picture in ("thumbs/0.jpg", "photo/0.jpg"):
                with Image.open(io.BytesIO(ask(f"{address}{picture}"))) as image:
                    assert image.size == (80, 60)
            path = survey.replace("p.json", f"survey/{NAMES[0]}")
            items = {"items": [{"position": 0, "path": path, "label": FOX}]}
            assert ask(f"{address}corrections", json.dumps(items).encode()) == b'{"saved":1}'
        finally:
            review.kill()
    assert read_corrections(tmp_path / FILES[2])[path].label == FOX


def ask(url: str, body: bytes | None = None) -> bytes:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:  # it listens before it says so
        return answer.read()
