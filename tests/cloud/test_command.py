"""The real command, with everything in a bucket."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from buckets import EXPIRED, Bucket

from speciesnet.images.instances import SAMPLE_IMAGES, find_images
from speciesnet.scripts.run_model import cli

OPTIONS = ("--model", "demo", "--precision", "fp32", "--noprogress_bars")
# The command, which sends its predictions twice a second.
IMPATIENT = f"""
from speciesnet.predictions import bucket as remote_predictions
from {cli.__module__} import cli
remote_predictions.UPLOAD_SECONDS = 0.5
cli()
"""


@pytest.fixture
def survey(s3_bucket: Bucket) -> list[str]:
    """The sample images in a bucket; their URLs."""
    return [
        s3_bucket.put_file(Path(path).relative_to(SAMPLE_IMAGES).as_posix(), Path(path))
        for path in find_images([str(SAMPLE_IMAGES)])
    ]


def records_of(data: bytes) -> list[dict[str, Any]]:
    return json.loads(data)["predictions"]


def test_a_bucket_gives_and_takes_what_a_disk_does(
    s3_bucket: Bucket, survey: list[str], command: Callable[..., Any], tmp_path: Path
) -> None:
    local = tmp_path / "out.json"
    here = command(*OPTIONS, "--folders", "demo", "--predictions_json", local)
    assert here.code == 0, here.err
    there = command(
        *(*OPTIONS, "--folders", s3_bucket.url()),
        "--predictions_json",
        s3_bucket.url("out/all.json"),
    )
    assert there.code == 0, there.err
    assert f"Predictions: {s3_bucket.url('out/all.json')}" in there.out

    found = records_of(s3_bucket.get("out/all.json"))
    assert [record["filepath"] for record in found] == sorted(survey)
    root = SAMPLE_IMAGES.as_posix() + "/"
    wanted = [
        {**record, "filepath": s3_bucket.url(record["filepath"].removeprefix(root))}
        for record in records_of(local.read_bytes())
    ]
    assert found == wanted

    again = command(
        *(*OPTIONS, "--ensemble_only", "--folders", s3_bucket.url()),
        *("--detections_json", s3_bucket.url("out/all.json")),
        *("--classifications_json", s3_bucket.url("out/all.json")),
        *("--predictions_json", s3_bucket.url("out/again.json")),
    )
    assert again.code == 0, again.err
    assert records_of(s3_bucket.get("out/again.json")) == wanted


def test_a_killed_run_is_continued_elsewhere(
    s3_bucket: Bucket, tmp_path: Path, command: Callable[..., Any]
) -> None:
    for path in find_images([str(SAMPLE_IMAGES)]):
        for copy in range(3):
            s3_bucket.put_file(f"images/{copy}/{Path(path).name}", Path(path))
    output = s3_bucket.url("out.json")
    arguments = (*OPTIONS, "--folders", s3_bucket.url("images"), "--predictions_json", output)
    process = subprocess.Popen(
        [sys.executable, "-c", IMPATIENT, *arguments, "--batch_size", "1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "SPECIESNET_CACHE": str(tmp_path / "one")},
    )
    try:
        deadline = time.monotonic() + 240
        while "out.json" not in s3_bucket.names() and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    before = records_of(s3_bucket.get("out.json"))
    assert before
    env = {**os.environ, "SPECIESNET_CACHE": str(tmp_path / "two")}
    done = command(*arguments, env=env)
    assert done.code == 0, done.err
    assert f"{len(before)} of " in done.err
    found = [record["filepath"] for record in records_of(s3_bucket.get("out.json"))]
    assert found == find_images([s3_bucket.url("images")])


def test_expired_credentials_end_the_command_in_one_sentence(
    bucket: Bucket, command: Callable[..., Any], tmp_path: Path
) -> None:
    bucket.proxy.always(EXPIRED[bucket.scheme])
    done = command(
        *OPTIONS, "--folders", bucket.url("images"), "--predictions_json", tmp_path / "out.json"
    )
    assert done.code == 1
    assert f"{bucket.scheme}://{bucket.name} have expired or are refused" in done.sentence
    assert done.err == f"{done.sentence}\n"
    done = command(
        *(*OPTIONS, "--folders", "demo"), "--predictions_json", bucket.url("out/all.json")
    )
    assert done.code == 1
    assert f"{bucket.scheme}://{bucket.name} have expired or are refused" in done.sentence
