"""Detectors that a package names by URL, from a real server on this machine."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from speciesnet.errors import ModelError
from speciesnet.files.packages import downloads
from speciesnet.files.packages.downloads import download_detector, published_digest
from speciesnet.files.packages.info import ModelInfo

Answer = Callable[[BaseHTTPRequestHandler], None]


class Server(ThreadingHTTPServer):
    """Answers each path as it is told to, and remembers what it was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.otherwise: Answer = sends(b"not found", 404)
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


class _Handler(BaseHTTPRequestHandler):
    server: Server  # type: ignore[assignment]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(path)
        answer = self.server.answers.get(path, self.server.otherwise)
        answer(self)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        pass


def sends(content: bytes, status: int = 200, **headers: str) -> Answer:
    """An answer; headers with ``_`` for ``-``."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content_Length": str(len(content)), **headers}.items():
            if value:
                handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(content)

    return answer


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPECIESNET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def checkpoint(small_package: Path) -> bytes:
    return (small_package / "detector.pt").read_bytes()


@pytest.fixture
def package(small_package: Path, tmp_path: Path) -> Path:
    """A package without its detector."""
    copy = tmp_path / "package"
    copy.mkdir()
    for file in small_package.iterdir():
        if file.name != "detector.pt":
            (copy / file.name).write_bytes(file.read_bytes())
    return copy


def name_detector(package: Path, url: str) -> None:
    info = json.loads((package / "info.json").read_text(encoding="utf-8")) | {"detector": url}
    (package / "info.json").write_text(json.dumps(info), encoding="utf-8")


def models_in(folder: Path) -> list[str]:
    """Files that could be mistaken for a model."""
    files = (path for path in (folder / "detectors").rglob("*") if path.is_file())
    return [path.name for path in files if path.suffix != ".lock"]


def test_is_downloaded_once(server: Server, cache: Path, package: Path, checkpoint: bytes) -> None:
    server.answers["/releases/md.pt"] = sends(checkpoint)
    name_detector(package, server.url("/releases/md.pt"))
    before = sorted(package.iterdir())
    for _ in range(2):
        path = ModelInfo(str(package)).detector
        assert path.read_bytes() == checkpoint
        assert cache in path.parents
    assert server.asked == ["/releases/md.pt"]
    assert sorted(package.iterdir()) == before
    assert models_in(cache) == ["md.pt"]


def test_nothing_is_downloaded_before_it_is_needed(server: Server, package: Path) -> None:
    name_detector(package, server.url("/md.pt"))
    assert ModelInfo(str(package)).detector_source == server.url("/md.pt")
    assert server.asked == []


def test_only_one_of_several_simultaneous_downloads(
    server: Server, cache: Path, package: Path, checkpoint: bytes
) -> None:
    server.answers["/md.pt"] = sends(checkpoint)
    with ThreadPoolExecutor(8) as executor:
        paths = list(
            executor.map(lambda _: download_detector(server.url("/md.pt"), package), range(8))
        )
    assert server.asked == ["/md.pt"]
    assert {path.read_bytes() for path in paths} == {checkpoint}


def test_files_of_one_name_from_two_addresses_are_told_apart(
    server: Server, cache: Path, package: Path, checkpoint: bytes, materials: Path
) -> None:
    other = (materials / "packages" / "small_random_b" / "detector.pt").read_bytes()
    assert other != checkpoint
    server.answers = {"/a/best.pt": sends(checkpoint), "/b/best.pt": sends(other)}
    assert download_detector(server.url("/a/best.pt"), package).read_bytes() == checkpoint
    assert download_detector(server.url("/b/best.pt"), package).read_bytes() == other
    assert download_detector(server.url("/a/best.pt"), package).read_bytes() == checkpoint


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (sends(b"PK" + bytes(10_000), Content_Length="20000"), "broken"),
        (sends(b"<html><body>Sign in</body></html>", Content_Type="text/html"), "not a PyTorch"),
        (sends(b"", 200), "not a PyTorch"),
        (sends(b"gone", 404), "404"),
        (sends(b"", 500), "500"),
        (sends(b"", 302, Location="/elsewhere"), "404"),
        (sends(b"x", Content_Encoding="gzip"), "check the network"),
    ],
    ids=["broken off", "HTML", "empty", "404", "500", "redirect to 404", "not really gzip"],
)
def test_failed_download_leaves_no_model(
    server: Server, cache: Path, package: Path, checkpoint: bytes, answer: Answer, words: str
) -> None:
    url = server.url("/md.pt")
    server.answers["/md.pt"] = answer
    with pytest.raises(ModelError, match=words) as mistake:
        download_detector(url, package)
    sentence = str(mistake.value)
    assert url in sentence and "check the network" in sentence and str(cache) in sentence
    assert "\n" not in sentence
    assert models_in(cache) == []
    server.answers["/md.pt"] = sends(checkpoint)
    assert download_detector(url, package).read_bytes() == checkpoint


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes downloads in chunks that suit the small files of the tests."""
    monkeypatch.setattr(downloads, "CHUNK_BYTES", 1000)


class Resuming:
    """Sends a file, or the range of it that is asked for; breaks off at ``cuts`` first."""

    def __init__(
        self, content: bytes, *cuts: int, version: str = '"1"', always: bool = False
    ) -> None:
        self.content, self.cuts, self.version = content, list(cuts), version
        self.ignores_ranges = always
        self.asked: list[str | None] = []

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        wanted, known = handler.headers.get("Range"), handler.headers.get("If-Range")
        self.asked.append(wanted)
        is_rest = wanted and known == self.version and not self.ignores_ranges
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and is_rest else 0
        headers = {"ETag": self.version, "Accept_Ranges": "bytes"}
        size = len(self.content)
        if start >= size:
            return sends(b"", 416)(handler)
        end = self.cuts.pop(0) if self.cuts else size
        if start:
            headers["Content_Range"] = f"bytes {start}-{size - 1}/{size}"
        headers["Content_Length"] = str(size - start)
        return sends(self.content[start:end], 206 if start else 200, **headers)(handler)


@pytest.mark.usefixtures("small_steps")
def test_download_that_is_broken_off_twice_goes_on_where_it_was(
    server: Server, cache: Path, package: Path, checkpoint: bytes
) -> None:
    answer = server.answers["/md.pt"] = Resuming(checkpoint, 1_000, 200_000)
    for _ in range(2):
        with pytest.raises(ModelError, match="broken"):
            download_detector(server.url("/md.pt"), package)
    assert download_detector(server.url("/md.pt"), package).read_bytes() == checkpoint
    assert answer.asked == [None, "bytes=1000-", "bytes=200000-"]
    assert models_in(cache) == ["md.pt"]


@pytest.mark.usefixtures("small_steps")
def test_file_that_changed_in_between_is_downloaded_from_its_start(
    server: Server, cache: Path, package: Path, checkpoint: bytes
) -> None:
    server.answers["/md.pt"] = Resuming(bytes(len(checkpoint)), 1_000, version='"old"')
    with pytest.raises(ModelError, match="broken"):
        download_detector(server.url("/md.pt"), package)
    server.answers["/md.pt"] = answer = Resuming(checkpoint, version='"new"')
    assert download_detector(server.url("/md.pt"), package).read_bytes() == checkpoint
    assert answer.asked == ["bytes=1000-"]


@pytest.mark.usefixtures("small_steps")
def test_server_that_sends_the_whole_file_again_is_understood(
    server: Server, cache: Path, package: Path, checkpoint: bytes
) -> None:
    server.answers["/md.pt"] = Resuming(checkpoint, 1_000, always=True)
    with pytest.raises(ModelError, match="broken"):
        download_detector(server.url("/md.pt"), package)
    assert download_detector(server.url("/md.pt"), package).read_bytes() == checkpoint


@pytest.mark.usefixtures("small_steps")
def test_download_that_was_killed_after_its_last_byte_is_downloaded_again(
    server: Server, cache: Path, package: Path, checkpoint: bytes
) -> None:
    server.answers["/md.pt"] = answer = Resuming(checkpoint, 1_000)
    with pytest.raises(ModelError, match="broken"):
        download_detector(server.url("/md.pt"), package)
    [part] = cache.rglob("*.part")
    part.write_bytes(checkpoint)
    assert download_detector(server.url("/md.pt"), package).read_bytes() == checkpoint
    assert answer.asked == [None, f"bytes={len(checkpoint)}-", None]


@pytest.mark.usefixtures("small_steps")
def test_damaged_rest_is_not_kept(
    server: Server, cache: Path, package: Path, checkpoint: bytes
) -> None:
    url = server.url(f"/md.pt#sha256={hashlib.sha256(checkpoint).hexdigest()}")
    server.answers["/md.pt"] = Resuming(checkpoint, 1_000)
    with pytest.raises(ModelError, match="broken"):
        download_detector(url, package)
    [part] = cache.rglob("*.part")
    part.write_bytes(bytes(1_000))
    with pytest.raises(ModelError, match="is damaged"):
        download_detector(url, package)
    assert models_in(cache) == []
    assert download_detector(url, package).read_bytes() == checkpoint


def test_zip_without_its_end_is_not_a_model(
    server: Server, cache: Path, package: Path, checkpoint: bytes
) -> None:
    server.answers["/md.pt"] = sends(checkpoint[:-100], Content_Length="")  # without a length
    with pytest.raises(ModelError, match="not a PyTorch checkpoint"):
        download_detector(server.url("/md.pt"), package)
    assert models_in(cache) == []


def test_server_that_is_not_there(server: Server, cache: Path, package: Path) -> None:
    with Server() as other:
        url = other.url("/md.pt")
    with pytest.raises(ModelError, match=re.escape(f"downloaded from {url}")):
        download_detector(url, package)
    assert models_in(cache) == []


def test_redirects_and_compression_are_followed(
    server: Server, cache: Path, package: Path, checkpoint: bytes
) -> None:
    server.answers = {
        "/md.pt": sends(b"", 302, Location="/real/file"),
        "/real/file": sends(gzip.compress(checkpoint), Content_Encoding="gzip"),
    }
    path = download_detector(server.url("/md.pt"), package)
    assert path.name == "md.pt" and path.read_bytes() == checkpoint


def test_length_that_is_not_a_number(
    server: Server, cache: Path, package: Path, checkpoint: bytes
) -> None:
    server.answers["/md.pt"] = sends(checkpoint, Content_Length="many")
    with suppress(ModelError):
        assert download_detector(server.url("/md.pt"), package).read_bytes() == checkpoint


def test_rest_of_a_killed_download_is_not_taken(
    server: Server, cache: Path, package: Path, checkpoint: bytes
) -> None:
    server.answers["/md.pt"] = sends(checkpoint)
    path = download_detector(server.url("/md.pt"), package)
    path.rename(path.with_name(f"{path.name}.part"))
    path.with_name(f"{path.name}.part").write_bytes(checkpoint[:1000])
    assert download_detector(server.url("/md.pt"), package).read_bytes() == checkpoint
    assert models_in(cache) == ["md.pt"]


@pytest.mark.parametrize("place", ["package", "message"])
def test_file_placed_by_hand_is_taken(
    server: Server, cache: Path, package: Path, checkpoint: bytes, place: str
) -> None:
    url = server.url("/releases/md%20v5.pt?download=1")
    with pytest.raises(ModelError) as mistake:
        download_detector(url, package)
    found = re.search(r"manually to (.+)\.$", str(mistake.value))
    assert found, mistake.value
    target = package / "md v5.pt" if place == "package" else Path(found[1])
    target.write_bytes(checkpoint)
    server.asked.clear()
    assert download_detector(url, package) == target
    assert server.asked == []


@pytest.mark.parametrize(
    "path", ["/", "", "/%2e%2e/%2e%2e/x.pt", "/..%2f..%2fx.pt", "/a%2fx.pt", "/..", "/..%5cx.pt"]
)
def test_no_address_reaches_outside_the_cache(
    server: Server, cache: Path, package: Path, checkpoint: bytes, tmp_path: Path, path: str
) -> None:
    server.otherwise = sends(checkpoint)
    before = {file for file in tmp_path.rglob("*") if cache not in file.parents}
    with suppress(ModelError):
        found = download_detector(server.url(path), package)
        assert found.read_bytes() == checkpoint
        assert cache / "detectors" in found.resolve().parents
    after = {file for file in tmp_path.rglob("*") if cache not in file.parents}
    assert after == {*before, cache}


def test_cache_that_cannot_be_made(server: Server, package: Path, cache: Path) -> None:
    cache.write_text("a file", encoding="utf-8")
    with pytest.raises(ModelError, match=re.escape(str(cache))):
        download_detector(server.url("/md.pt"), package)


def test_failed_download_ends_a_run_with_a_sentence(
    server: Server, command: Callable[..., Any], package: Path, photographs: Path, tmp_path: Path
) -> None:
    name_detector(package, server.url("/md.pt"))
    outcome = command(
        *("--detector_only", "--model", package, "--folders", photographs),
        *("--predictions_json", tmp_path / "out.json"),
    )
    assert outcome.code == 1
    assert server.url("/md.pt") in outcome.sentence and "manually" in outcome.sentence


# The digest that a detector must have


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_detector_that_is_what_its_address_says_is_taken(
    server: Server, cache: Path, package: Path, checkpoint: bytes, algorithm: str
) -> None:
    server.answers["/md.pt"] = sends(checkpoint)
    digest = hashlib.new(algorithm, checkpoint).hexdigest().upper()
    name_detector(package, server.url(f"/md.pt#{algorithm}={digest}"))
    for _ in range(2):
        assert ModelInfo(str(package)).detector.read_bytes() == checkpoint
    assert server.asked == ["/md.pt"]


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_detector_that_is_another_than_its_address_says_is_not_kept(
    server: Server, cache: Path, package: Path, checkpoint: bytes, algorithm: str
) -> None:
    server.answers["/md.pt"] = sends(checkpoint)
    wanted = hashlib.new(algorithm, b"another").hexdigest()
    found = hashlib.new(algorithm, checkpoint).hexdigest()
    url = server.url(f"/md.pt#{algorithm}={wanted}")
    with pytest.raises(
        ModelError, match=f"{found}, but the model package gives {wanted}"
    ) as mistake:
        download_detector(url, package)
    assert url in str(mistake.value) and "\n" not in str(mistake.value)
    assert models_in(cache) == []


@pytest.mark.parametrize("place", ["package", "cache"])
def test_existing_damaged_file_is_refused_until_it_is_deleted(
    server: Server, cache: Path, package: Path, checkpoint: bytes, place: str
) -> None:
    server.answers["/md.pt"] = sends(checkpoint)
    url = server.url(f"/md.pt#sha256={hashlib.sha256(checkpoint).hexdigest()}")
    file = download_detector(url, package)
    if place == "package":
        file = package / "md.pt"
    file.write_bytes(checkpoint[:-1] + b"x")
    for _ in range(2):
        with pytest.raises(ModelError, match=re.escape(f"{file} is damaged")) as mistake:
            download_detector(url, package)
        assert "delete it" in str(mistake.value)
    file.unlink()
    assert download_detector(url, package).read_bytes() == checkpoint


def test_file_that_was_verified_is_not_read_again(
    server: Server, cache: Path, package: Path, checkpoint: bytes
) -> None:
    url = server.url(f"/md.pt#sha256={hashlib.sha256(checkpoint).hexdigest()}")
    file = package / "md.pt"
    file.write_bytes(checkpoint)
    download_detector(url, package)
    facts = file.stat()
    file.write_bytes(checkpoint[:-1] + b"x")
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert download_detector(url, package) == file  # nothing shows that it has changed
    file.touch()
    with pytest.raises(ModelError, match="is damaged"):
        download_detector(url, package)


def test_file_is_checked_where_nothing_can_be_kept(
    cache: Path, package: Path, checkpoint: bytes
) -> None:
    cache.write_text("a file", encoding="utf-8")
    (package / "md.pt").write_bytes(checkpoint)
    digest = hashlib.sha256(checkpoint).hexdigest()
    found = download_detector(f"https://host.invalid/md.pt#sha256={digest}", package)
    assert found == package / "md.pt"


@pytest.mark.parametrize(
    "fragment", ["sha256=", "sha256=abc", f"md5={'0' * 64}", f"sha256={'g' * 64}"]
)
def test_invalid_digest(package: Path, fragment: str) -> None:
    with pytest.raises(ModelError, match=r"hexadecimal digits, as (sha256|md5)sum prints"):
        download_detector(f"https://host.invalid/md.pt#{fragment}", package)


@pytest.mark.parametrize(
    "name", ["md_v5a.0.0.pt", "md_v5b.0.0.pt", "md_v5a.0.1.pt", "md_v5b.0.1.pt"]
)
def test_megadetectors_own_files_are_known(
    cache: Path, package: Path, checkpoint: bytes, name: str
) -> None:
    name_detector(
        package, f"https://github.com/agentmorris/MegaDetector/releases/download/v5.0/{name}"
    )
    (package / name).write_bytes(checkpoint)
    with pytest.raises(ModelError, match=r"its MD5 is .*, but MegaDetector's own package gives"):
        _ = ModelInfo(str(package)).detector


def test_files_of_other_places_are_not_known() -> None:
    assert published_digest("https://host.invalid/md_v5a.0.0.pt") is None
    assert published_digest("https://host.invalid/md_v5a.0.0.pt#download") is None
