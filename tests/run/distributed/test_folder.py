"""Output folders on a disk and in a bucket."""

from __future__ import annotations

from pathlib import Path

import pytest
from buckets import FORBIDDEN, Bucket
from faults import Answer, Drop

from speciesnet.errors import InputError, OutputError
from speciesnet.files import clouds
from speciesnet.run.distributed import folder as folder_module
from speciesnet.run.distributed.folder import Folder


@pytest.fixture(params=["disk", "bucket"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    if request.param == "disk":
        return Folder.of(str(tmp_path / "new" / "out"))
    bucket: Bucket = request.getfixturevalue("s3_bucket")
    return Folder.of(bucket.url("new/out/"))


def test_files_are_created_and_replaced(folder: Folder) -> None:
    assert folder.names() == [] and folder.read("b") is None
    folder.write("b", b"1")
    folder.write("a", b"2")
    folder.write("b", b"3")
    Folder(folder.at("deeper")).write("c", b"4")
    assert folder.names() == ["a", "b"]
    assert folder.read("b") == b"3"
    with folder.local("a") as path:
        assert path.read_bytes() == b"2"


def test_no_temporary_file_is_left(tmp_path: Path) -> None:
    Folder(str(tmp_path)).write("a", b"1")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_relative_path_and_link_become_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert Folder.of("link/out/").path == str(tmp_path.resolve() / "real" / "out")


def test_invalid_output_folders(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (str(tmp_path / "file"), "https://site.org/out"):
        with pytest.raises(OutputError, match="--output"):
            Folder.of(path)


def test_missing_file(folder: Folder) -> None:
    with pytest.raises(InputError, match="cannot be read"), folder.local("a") as path:
        path.read_bytes()


def test_folder_inside_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = Folder(str(tmp_path / "file" / "out"))
    with pytest.raises(OutputError, match="out/a cannot be written"):
        folder.write("a", b"1")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that never retries, so that only the folder does."""
    monkeypatch.setattr(clouds, "ATTEMPTS", 1)
    monkeypatch.setattr(clouds, "_clients", {})
    monkeypatch.setattr(folder_module, "PAUSE_SECONDS", 0.01)


@pytest.mark.parametrize("fault", [Answer(503), Drop()])
def test_requests_to_a_busy_bucket_are_repeated(
    quick: None, s3_bucket: Bucket, fault: Answer | Drop
) -> None:
    folder = Folder.of(s3_bucket.url("out"))
    s3_bucket.proxy.first(3, fault, "PUT")
    folder.write("a", b"1")
    s3_bucket.proxy.first(3, fault)
    assert folder.read("a") == b"1"
    s3_bucket.proxy.first(3, fault)
    assert folder.names() == ["a"]


def test_lost_answer_to_an_upload(quick: None, s3_bucket: Bucket) -> None:
    folder = Folder.of(s3_bucket.url("out"))
    s3_bucket.proxy.first(1, Drop(afterward=True), "PUT")
    folder.write("a", b"1")
    assert s3_bucket.get("out/a") == b"1"


def test_bucket_that_stays_out_of_order(
    quick: None, s3_bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_module, "PATIENCE_SECONDS", 0.05)
    folder = Folder.of(s3_bucket.url("out"))
    s3_bucket.proxy.always(Answer(503))
    with pytest.raises(OutputError, match="busy or unavailable"):
        folder.write("a", b"1")
    with pytest.raises(InputError, match="cannot be listed"):
        folder.names()


def test_forbidden_request_is_not_repeated(quick: None, s3_bucket: Bucket) -> None:
    s3_bucket.proxy.always(FORBIDDEN["s3"], "PUT")
    with pytest.raises(OutputError, match="no permission"):
        Folder.of(s3_bucket.url("out")).write("a", b"1")
    assert [method for method, _ in s3_bucket.proxy.requests].count("PUT") == 1
