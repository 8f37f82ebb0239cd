"""Reading and listing buckets, on servers with the clouds' protocols, with faults in between."""

from __future__ import annotations

import builtins
import io
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from buckets import EXPIRED, FORBIDDEN, Bucket
from faults import Answer, Cut, Drip, Drop
from PIL import Image

from speciesnet.errors import CredentialsError, ImageError, InputError
from speciesnet.files import clouds, storage
from speciesnet.images.decoding import file_exists, load_rgb_image, read_image
from speciesnet.images.instances import find_images, prepare_instances
from speciesnet.predictions.lookup import RecordsByFile


def picture(size: int = 64) -> bytes:
    noise = np.random.default_rng(size).integers(0, 255, (size, size, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "png")
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clouds, "READ_SECONDS", 5)
    monkeypatch.setattr(clouds, "ATTEMPTS", 2)


# Reading.


def test_an_image_in_a_bucket_is_read(bucket: Bucket) -> None:
    bucket.put("a/1.png", picture())
    assert read_image(bucket.url("a/1.png")).size == (64, 64)
    downloads = [path for _, path in bucket.proxy.requests if "noAcl" not in path]
    assert len(downloads) == 1
    assert file_exists(bucket.url("a/1.png"))


@pytest.mark.parametrize("key", ["ä ö/Köder 100% 1.png", "a?b#c.png", "a+b&c=d.png", "b//c.png"])
def test_any_key_will_do(s3_bucket: Bucket, key: str) -> None:
    s3_bucket.put(key, picture())
    assert find_images([s3_bucket.url()]) == [s3_bucket.url(key)]
    assert read_image(s3_bucket.url(key)).size == (64, 64)


def test_a_missing_file_is_reported(bucket: Bucket) -> None:
    with pytest.raises(ImageError, match="there is no such file"):
        read_image(bucket.url("none.png"))
    assert not file_exists(bucket.url("none.png"))


def test_a_bucket_that_does_not_exist_is_reported(bucket: Bucket) -> None:
    if bucket.scheme != "gs":  # its emulator does not report it
        with pytest.raises(ImageError, match="there is no bucket no-such-bucket; check its name"):
            read_image(f"{bucket.scheme}://no-such-bucket/1.png")
    with pytest.raises(InputError, match="no bucket no-such-bucket") as error:
        find_images([f"{bucket.scheme}://no-such-bucket/a"])
    assert str(error.value).startswith(f"The folder {bucket.scheme}://no-such-bucket/a cannot be")


def test_missing_permission_is_reported(bucket: Bucket) -> None:
    bucket.put("1.png", picture())
    bucket.proxy.always(FORBIDDEN[bucket.scheme])
    with pytest.raises(ImageError, match=f"no permission for the bucket {bucket.name}"):
        read_image(bucket.url("1.png"))
    with pytest.raises(InputError, match=f"no permission for the bucket {bucket.name}"):
        find_images([bucket.url()])


def test_expired_credentials_end_a_run_instead_of_failing_every_image(bucket: Bucket) -> None:
    bucket.put("1.png", picture())
    bucket.proxy.always(EXPIRED[bucket.scheme])
    with pytest.raises(CredentialsError) as error:
        read_image(bucket.url("1.png"))
    assert str(error.value).startswith(
        f"The credentials for {bucket.scheme}://{bucket.name} have expired or are refused ("
    )
    assert "Sign in again" in str(error.value)
    assert load_rgb_image(bucket.url("1.png")) is None
    assert not file_exists(bucket.url("1.png"))


@pytest.mark.parametrize(
    "fault", [Drop(), Cut(1000), Answer(503)], ids=["no answer", "broken body", "busy"]
)
def test_a_fault_that_passes_is_not_noticed(bucket: Bucket, fault: Any) -> None:
    content = picture(200)
    bucket.put("1.png", content)
    bucket.proxy.first(1, fault)
    assert storage.open_image(bucket.url("1.png")).read() == content


def test_a_fault_that_stays_is_one_reason(s3_bucket: Bucket) -> None:
    s3_bucket.put("1.png", picture(200))
    s3_bucket.proxy.always(Cut(1000))
    with pytest.raises(ImageError, match=r"the (cloud does not respond|connection broke)"):
        read_image(s3_bucket.url("1.png"))
    s3_bucket.proxy.always(Answer(503))
    with pytest.raises(ImageError, match="busy or unavailable"):
        read_image(s3_bucket.url("1.png"))


def test_a_slow_image_fails(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "IMAGE_SECONDS", 1.0)
    bucket.put("1.png", picture(400))
    bucket.proxy.always(Drip(70_000, 0.6))
    with pytest.raises(ImageError, match="did not arrive within 1 seconds"):
        read_image(bucket.url("1.png"))


def test_a_file_that_is_too_large_fails(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "MAX_IMAGE_BYTES", 2**20)
    bucket.put("1.png", b"\0" * (2**20 + 1))
    with pytest.raises(ImageError, match="larger than 1 MiB"):
        read_image(bucket.url("1.png"))


def test_threads_share_one_client(bucket: Bucket) -> None:
    content = picture()
    bucket.put("1.png", content)
    start = threading.Barrier(16)

    def read(_: int) -> bytes:
        start.wait()
        return storage.open_image(bucket.url("1.png")).read()

    with ThreadPoolExecutor(16) as executor:
        assert set(executor.map(read, range(16))) == {content}
    assert clouds.cloud(bucket.scheme) is clouds.cloud(bucket.scheme)


def test_nothing_is_left_on_the_disk(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    bucket.put("1.png", picture())
    bucket.put("out.json", b'{"predictions": []}')
    read_image(bucket.url("1.png"))
    storage.sha256(bucket.url("out.json"))
    assert not list(tmp_path.rglob("*"))


# Folders.


def test_a_folder_in_a_bucket_is_searched_as_one_on_a_disk(bucket: Bucket, tmp_path: Path) -> None:
    keys = ["b/2.JPG", "b/1.jpg", "b-c/1.tiff", "b/c/d/3.Png", "a.webp", "b/notes.txt", "b/x/.jpeg"]
    for key in keys:
        bucket.put(key, b"x")
        path = tmp_path / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    local = [Path(path).relative_to(tmp_path).as_posix() for path in find_images([str(tmp_path)])]
    assert find_images([bucket.url()]) == [bucket.url(key) for key in local]
    below = [bucket.url(key) for key in local if key.startswith("b/")]
    assert below
    assert find_images([bucket.url("b")]) == below
    assert find_images([bucket.url("b/"), bucket.url("b/c")]) == below


def test_more_objects_than_a_page_holds_are_listed(s3_bucket: Bucket) -> None:
    for number in range(1010):
        s3_bucket.put(f"{number:04}.jpg", b"")
    assert len(find_images([s3_bucket.url()])) == 1010


def test_an_invalid_folder_is_reported(bucket: Bucket) -> None:
    bucket.put("a/1.jpg", b"x")
    bucket.put("b/1.txt", b"x")
    with pytest.raises(InputError, match=r"none does not exist; pass the folder"):
        find_images([bucket.url("none")])
    with pytest.raises(InputError, match=r"1\.jpg is a file, not a folder"):
        find_images([bucket.url("a/1.jpg")])
    with pytest.raises(
        InputError, match=r"There are no images in .*/b, only 1 other file \(1 \.txt\):"
    ):
        find_images([bucket.url("b")])
    with pytest.raises(InputError, match="names no bucket"):
        find_images([f"{bucket.scheme}://"])


def test_a_folder_on_the_web_cannot_be_listed() -> None:
    with pytest.raises(InputError, match="folders cannot be listed; pass its images with"):
        find_images(["https://127.0.0.1/a"])


# Other inputs.


def test_instances_and_lists_come_from_a_bucket(bucket: Bucket) -> None:
    url = bucket.url("a/1.jpg")
    bucket.put("a/1.jpg", b"x")
    bucket.put("instances.json", json.dumps({"instances": [{"filepath": url}]}).encode())
    bucket.put("images.txt", f"\ufeff{url}\r\n\r\n".encode())
    bucket.put("folders.txt", bucket.url("a").encode())
    kinds: tuple[dict[str, Any], ...] = (
        {"instances_json": bucket.url("instances.json")},
        {"filepaths_txt": bucket.url("images.txt")},
        {"folders_txt": bucket.url("folders.txt")},
    )
    for inputs in kinds:
        assert [i.filepath for i in prepare_instances(**inputs)] == [url]
    with pytest.raises(InputError, match=r"no\.json cannot be read \(there is no such file\)"):
        prepare_instances(instances_json=bucket.url("no.json"))


@pytest.mark.parametrize("layout", ["own", "foreign"])
def test_past_records_come_from_a_bucket(bucket: Bucket, layout: str) -> None:
    record = {"filepath": "1.jpg", "detections": []}
    text = json.dumps(record)
    text = (
        f'{{"predictions": [\n{text}\n]}}\n' if layout == "own" else f'{{"predictions":[{text}]}}'
    )
    bucket.put("past.json", text.encode())
    assert RecordsByFile(bucket.url("past.json"), ["1.jpg"])["1.jpg"] == record
    with pytest.raises(Exception, match=f"The only entry of {bucket.url('past.json')} does not"):
        RecordsByFile(bucket.url("past.json"), ["2.jpg"])
    with pytest.raises(Exception, match="cannot be read"):
        RecordsByFile(bucket.url("none.json"), ["1.jpg"])


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith(("botocore", "google", "azure")):
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(clouds, "_clients", {})
    for module in clouds.MODULES.values():
        monkeypatch.delitem(sys.modules, f"speciesnet.files.{module}", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "x")
    for scheme in ("s3", "gs", "az"):
        with pytest.raises(ImageError) as error:
            read_image(f"{scheme}://bucket/1.jpg")
        assert str(error.value) == (
            f'{scheme}:// needs more packages: pip install "speciesnet[{scheme}]"'
        )
        with pytest.raises(InputError, match="needs more packages"):
            find_images([f"{scheme}://bucket/"])


def test_azure_without_an_account_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("azure.storage.blob")
    monkeypatch.setattr(clouds, "_clients", {})
    for name in ("AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(CredentialsError, match="Set AZURE_STORAGE_CONNECTION_STRING"):
        find_images(["az://container/"])
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountKey=secret")
    with pytest.raises(CredentialsError, match="is malformed") as error:
        find_images(["az://container/"])
    assert "secret" not in str(error.value)
