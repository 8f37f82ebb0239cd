"""Predictions in a bucket: written, continued on any machine, and never overwritten by others."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from buckets import EXPIRED, FORBIDDEN, Bucket
from faults import Answer, Drop

from speciesnet.errors import CredentialsError, OutputError
from speciesnet.files import clouds, storage
from speciesnet.files.packages.downloads import cache_folder
from speciesnet.images.instances import Instance
from speciesnet.predictions import bucket as bucket_module
from speciesnet.predictions.bucket import BucketPredictions, check_output, open_predictions
from speciesnet.predictions.file import PredictionsFile
from speciesnet.predictions.settings import (
    FLAWED,
    RunSettings,
    add_to_settings,
    flawed_images_of,
)
from speciesnet.records import Record

IMAGES = [Instance(f"{number}.jpg") for number in range(20)]
KEY = "results/out.json"


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(clouds, "READ_SECONDS", 5)
    monkeypatch.setattr(clouds, "ATTEMPTS", 2)
    monkeypatch.setattr(bucket_module, "UPLOAD_SECONDS", 0.1)
    monkeypatch.setattr(bucket_module, "UPLOAD_SHARE", 10.0)
    monkeypatch.setattr(bucket_module, "PAUSE_SECONDS", 0.1)
    monkeypatch.setenv("SPECIESNET_CACHE", str(tmp_path / "cache"))


def record(number: int) -> Record:
    return {"filepath": f"{number}.jpg", "detections": []}


def opened(
    bucket: Bucket, country: str | None = None, ignore_existing: bool = False
) -> PredictionsFile | BucketPredictions:
    settings = RunSettings("detector", {"version": "1"}, country=country)
    return open_predictions(bucket.url(KEY), IMAGES, settings, ignore_existing=ignore_existing)


def names_in(bucket: Bucket, key: str = KEY) -> list[str]:
    return [record["filepath"] for record in json.loads(bucket.get(key))["predictions"]]


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def working_copies() -> list[Path]:
    return list((cache_folder() / "remote").rglob("predictions.json*"))


def other_machine() -> None:
    """Deletes everything that this machine keeps."""
    shutil.rmtree(cache_folder())


# Writing and resuming.


def test_a_run_ends_with_all_records_in_the_bucket(bucket: Bucket) -> None:
    with opened(bucket) as file:
        for number in range(20):
            file.write([record(number)])
    assert names_in(bucket) == [i.filepath for i in IMAGES]
    assert sorted(bucket.names()) == [KEY, f"{KEY}.run.json"]
    assert json.loads(bucket.get(f"{KEY}.run.json"))["components"] == "detector"
    assert not working_copies()


def test_what_a_run_adds_to_its_settings_reaches_the_bucket(bucket: Bucket) -> None:
    with opened(bucket) as file:
        file.write([record(0)])
        wait_until(lambda: KEY in bucket.names())
        add_to_settings(file.path, FLAWED, {"0.jpg": "cut off"})
        file.write([record(1)])
    other_machine()
    with opened(bucket) as file:
        assert flawed_images_of(file.path) == {"0.jpg": "cut off"}


def test_another_machine_continues(bucket: Bucket) -> None:
    with opened(bucket) as file:
        file.write([record(0)])
        file.write([record(2)])
    other_machine()
    with opened(bucket) as file:
        assert file.tally.images == 2
        assert len(file.pending) == 18
        for name in file.pending:
            file.write([record(int(name.partition(".")[0]))])
    assert names_in(bucket) == [i.filepath for i in IMAGES]


def test_a_run_with_nothing_to_do_leaves_the_file_alone(bucket: Bucket) -> None:
    with opened(bucket) as file:
        file.write([record(0)])
    bucket.proxy.requests.clear()
    with opened(bucket):
        pass
    written = [path for method, path in bucket.proxy.requests if method in ("PUT", "POST")]
    assert all("run.json" in path or "uploadType=multipart" in path for path in written)
    assert len(written) == 1


def test_records_reach_the_bucket_during_the_run(bucket: Bucket) -> None:
    with opened(bucket) as file:
        file.write([record(0)])
        wait_until(lambda: KEY in bucket.names())
        assert names_in(bucket) == ["0.jpg"]
        file.write([record(1)])
        wait_until(lambda: len(names_in(bucket)) == 2)


def test_other_settings_are_refused_with_the_url(bucket: Bucket) -> None:
    with opened(bucket, country="KEN") as file:
        file.write([record(0)])
    other_machine()
    with pytest.raises(OutputError, match=f"^{bucket.url(KEY)} belongs to another run"):
        opened(bucket, country="TZA").__enter__()
    assert names_in(bucket) == ["0.jpg"]
    with opened(bucket, country="KEN"):
        pass


def test_starting_over_keeps_the_old_file_in_the_bucket(bucket: Bucket) -> None:
    for number in range(3):
        with opened(bucket, ignore_existing=True) as file:
            file.write([record(number)])
    assert names_in(bucket) == ["2.jpg"]
    assert names_in(bucket, f"{KEY}.bak") == ["0.jpg"]
    assert names_in(bucket, f"{KEY}.bak2") == ["1.jpg"]


def test_the_file_of_another_program_is_continued_and_kept(s3_bucket: Bucket) -> None:
    foreign = json.dumps({"predictions": [record(0)]}, indent=1).encode()
    s3_bucket.put(KEY, foreign)
    with opened(s3_bucket) as file:
        assert len(file.pending) == 19
        file.write([record(1)])
    assert names_in(s3_bucket) == ["0.jpg", "1.jpg"]
    assert s3_bucket.get(f"{KEY}.bak") == foreign


def test_a_run_without_records_leaves_no_predictions(bucket: Bucket) -> None:
    with opened(bucket):
        pass
    assert KEY not in bucket.names()
    assert not working_copies()


# Crashes.

_RUN = """
import sys, time
from speciesnet.predictions import bucket as bucket_module
from speciesnet.images.instances import Instance
from speciesnet.predictions.settings import (
    FLAWED,
    RunSettings,
    add_to_settings,
    flawed_images_of,
)
bucket_module.UPLOAD_SECONDS, bucket_module.UPLOAD_SHARE = float(sys.argv[2]), 10.0
images = [Instance(f"{n}.jpg") for n in range(20)]
settings = RunSettings("detector", {"version": "1"})
with bucket_module.open_predictions(sys.argv[1], images, settings) as file:
    for name in file.pending[:10]:
        file.write([{"filepath": name, "detections": []}])
        time.sleep(0.02)
    print("done", flush=True)
    time.sleep(600)
"""


def start(bucket: Bucket, upload_seconds: float) -> subprocess.Popen[str]:
    """A process that adds ten records and then waits."""
    process = subprocess.Popen(
        [sys.executable, "-c", _RUN, bucket.url(KEY), str(upload_seconds)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout and process.stdout.readline() == "done\n"
    return process


def test_after_a_kill_another_machine_continues_the_uploaded_records(bucket: Bucket) -> None:
    process = start(bucket, 0.1)
    wait_until(lambda: KEY in bucket.names() and len(names_in(bucket)) == 10)
    process.send_signal(signal.SIGKILL)
    process.wait()
    other_machine()
    with opened(bucket) as file:
        assert file.tally.images == 10
        for name in file.pending:
            file.write([record(int(name.partition(".")[0]))])
    assert names_in(bucket) == [i.filepath for i in IMAGES]


def test_after_a_kill_the_same_machine_continues_its_local_records(bucket: Bucket) -> None:
    process = start(bucket, 600)
    (copy,) = [path for path in working_copies() if path.name == "predictions.json"]
    wait_until(lambda: copy.read_bytes().count(b"filepath") == 10)  # within two seconds
    process.kill()
    process.wait()
    assert KEY not in bucket.names()
    with opened(bucket) as file:
        assert file.tally.images == 10
    assert len(names_in(bucket)) == 10


def test_local_records_are_kept_aside_if_the_file_was_changed(s3_bucket: Bucket) -> None:
    process = start(s3_bucket, 600)
    (copy,) = [path for path in working_copies() if path.name == "predictions.json"]
    wait_until(lambda: copy.read_bytes().count(b"filepath") == 10)
    process.kill()
    process.wait()
    s3_bucket.put(KEY, json.dumps({"predictions": [record(19)]}).encode())
    with opened(s3_bucket) as file:
        assert len(file.pending) == 19
    (unsent,) = copy.parent.glob("*.unsent*")
    assert len(json.loads(unsent.read_text())["predictions"]) == 10


# Other writers.


def test_a_second_run_on_this_machine_is_refused(s3_bucket: Bucket) -> None:
    with (
        opened(s3_bucket),
        pytest.raises(OutputError, match="is being written by another run on this machine"),
    ):
        opened(s3_bucket).__enter__()


def test_records_of_another_writer_are_not_overwritten(bucket: Bucket) -> None:
    for was_there in (False, True):
        theirs = json.dumps({"predictions": [record(8 + was_there)]}).encode()
        with (
            pytest.raises(OutputError, match="since been changed by someone else") as error,
            opened(bucket) as file,
        ):
            file.write([record(10 + was_there)])
            bucket.put(KEY, theirs)
            for number in range(8):  # the run ends early, as its work would be lost
                time.sleep(0.5)
                file.write([record(number)])
        assert bucket.get(KEY) == theirs
        (kept,) = [path for path in working_copies() if path.name == "predictions.json"]
        assert str(kept) in str(error.value)
        assert "10.jpg" in kept.read_text() or was_there
        other_machine()


@pytest.mark.parametrize("scheme", ["s3", "az"])  # the emulator of the third knows no conditions
def test_two_that_write_at_the_same_moment_do_not_overwrite_each_other(
    make_bucket: Callable[[str], Bucket], scheme: str
) -> None:
    bucket = make_bucket(scheme)
    url = bucket.url(KEY)
    client, name = clouds.cloud(scheme), bucket.name
    path = Path(cache_folder() / "source")
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    with path.open("rb") as file:
        first = client.write(name, KEY, file, 2, None, "a")
        for replaces in (None, '"0x0"'):  # as if nobody had looked before
            file.seek(0)
            with pytest.raises(clouds.ObjectChangedError):
                client.write(name, KEY, file, 2, replaces, "b")
        file.seek(0)
        second = client.write(name, KEY, file, 2, first.tag, "c")
    assert url and client.version(name, KEY) == second


def test_an_upload_whose_response_is_lost_is_recognized(bucket: Bucket) -> None:
    with opened(bucket) as file:
        file.write([record(0)])
        wait_until(lambda: KEY in bucket.names())
        bucket.proxy.first(1, Drop(afterward=True), "POST" if bucket.scheme == "gs" else "PUT")
        file.write([record(1)])
        wait_until(lambda: len(names_in(bucket)) == 2)
        file.write([record(2)])
    assert names_in(bucket) == ["0.jpg", "1.jpg", "2.jpg"]


# Faults.


def test_a_bucket_that_fails_for_a_while_costs_nothing(
    bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(bucket) as file:
        file.write([record(0)])
        wait_until(lambda: KEY in bucket.names())
        bucket.proxy.always(Answer(503))
        file.write([record(1)])
        wait_until(lambda: "Trying again" in caplog.text)
        bucket.proxy.always(None)
        wait_until(lambda: len(names_in(bucket)) == 2)
    assert not working_copies()


def test_the_last_upload_waits_for_a_bucket_that_fails(bucket: Bucket) -> None:
    failing_until = [time.monotonic() + 10**6]
    with opened(bucket) as file:
        for number in range(20):
            file.write([record(number)])
        failing_until[0] = time.monotonic() + 2.0
        bucket.proxy.plan = lambda *_: Answer(503) if time.monotonic() < failing_until[0] else None
    assert len(names_in(bucket)) == 20


def test_a_bucket_that_recovers_between_two_requests_is_empty(bucket: Bucket) -> None:
    if bucket.scheme != "s3":
        pytest.skip("only S3 is asked twice")
    bucket.proxy.always(Answer(503), "HEAD")
    assert storage.version_of(bucket.url(KEY)) is None


def test_a_bucket_that_never_recovers_costs_no_records(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_module, "LAST_UPLOAD_SECONDS", 0.5)
    with pytest.raises(OutputError) as error, opened(bucket) as file:
        bucket.proxy.always(Answer(503))
        file.write([record(0)])
    (kept,) = [path for path in working_copies() if path.name == "predictions.json"]
    assert str(error.value).startswith(f"{bucket.url(KEY)} cannot be written (the cloud is busy")
    assert str(error.value).endswith(f"the records of this machine are kept in {kept}.")
    bucket.proxy.always(None)
    with opened(bucket) as file:
        assert file.tally.images == 1
    assert names_in(bucket) == ["0.jpg"]


def test_no_permission_is_reported_before_the_first_image(bucket: Bucket) -> None:
    bucket.proxy.always(FORBIDDEN[bucket.scheme], "PUT", "POST")
    with pytest.raises(OutputError, match=f"no permission for the bucket {bucket.name}"):
        opened(bucket).__enter__()
    bucket.proxy.always(FORBIDDEN[bucket.scheme])
    with pytest.raises(OutputError, match=f"no permission for the bucket {bucket.name}"):
        opened(bucket).__enter__()
    assert not working_copies()


def test_credentials_that_have_expired_are_reported_before_the_first_image(bucket: Bucket) -> None:
    bucket.proxy.always(EXPIRED[bucket.scheme])
    with pytest.raises(CredentialsError, match=f"for {bucket.scheme}://{bucket.name} have expired"):
        opened(bucket).__enter__()


def test_credentials_that_expire_in_the_end_cost_no_records(bucket: Bucket) -> None:
    with (
        pytest.raises(OutputError, match="have expired or are refused") as error,
        opened(bucket) as file,
    ):
        file.write([record(0)])
        bucket.proxy.always(EXPIRED[bucket.scheme])
    assert "kept in" in str(error.value)
    assert "test-secret" not in str(error.value)


def test_a_bucket_that_does_not_exist_is_reported_before_the_first_image(bucket: Bucket) -> None:
    settings = RunSettings("detector", {"version": "1"})
    url = f"{bucket.scheme}://no-such-bucket/out.json"
    with pytest.raises(OutputError, match=f"^{url} cannot be (read|written)"):
        BucketPredictions(url, IMAGES, settings).__enter__()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("s3://bucket", "is a folder. Pass a file in it, such as s3://bucket/predictions.json"),
        (
            "gs://bucket/a/",
            "is a folder. Pass a file in it, such as gs://bucket/a/predictions.json",
        ),
        ("https://host/out.json", "is on the web, where nothing can be written"),
    ],
)
def test_invalid_outputs_are_refused(path: str, reason: str) -> None:
    with pytest.raises(OutputError, match=reason):
        check_output(path)
