"""From a model's name to its files."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kagglehub
import pytest
from kagglehub.config import get_cache_folder
from kagglehub.exceptions import DataCorruptionError

from speciesnet.errors import ModelError
from speciesnet.files.packages.info import (
    DEFAULT_MODEL,
    SUPPORTED_MODELS,
    ModelInfo,
    find_model_folder,
    kaggles_folder,
)

KEYS = ("classifier", "classifier_labels", "detector", "taxonomy", "geofence")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package in which everything is there and nothing is real."""
    folder = tmp_path / "package"
    (folder / "files").mkdir(parents=True)
    info = {"version": "1.2", "type": "full_image"}
    for key in KEYS:
        info[key] = f"files/{key}"
        (folder / "files" / key).write_text(key, encoding="utf-8")
    (folder / "info.json").write_text(json.dumps(info), encoding="utf-8")
    return folder


def alter_info(package: Path, **changes: Any) -> None:
    info = json.loads((package / "info.json").read_text(encoding="utf-8")) | changes
    (package / "info.json").write_text(json.dumps(info), encoding="utf-8")


def test_folder_is_taken_as_it_is(package: Path) -> None:
    info = ModelInfo(str(package))
    assert (info.version, info.type_) == ("1.2", "full_image")
    for key in KEYS:
        assert getattr(info, key) == package / "files" / key
    assert info.detector == package / "files" / "detector"


def test_relative_folder_is_taken(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(package.parent)
    assert ModelInfo("package").detector.read_text(encoding="utf-8") == "detector"
    assert ModelInfo("./package/").version == "1.2"


def test_demo_is_part_of_the_program() -> None:
    info = ModelInfo("demo")
    assert info.type_ == "always_crop"
    assert len(info.read_lines("classifier_labels")) > 5


def test_default_is_one_of_the_supported_models() -> None:
    assert DEFAULT_MODEL in SUPPORTED_MODELS


def test_files_may_be_links(package: Path) -> None:
    (package / "files" / "detector").rename(package.parent / "blob")
    try:
        (package / "files" / "detector").symlink_to(package.parent / "blob")
    except OSError:
        pytest.skip("this user cannot make links")
    assert ModelInfo(str(package)).detector.read_text(encoding="utf-8") == "detector"


@pytest.mark.parametrize("url", ["http://host/md.pt", "https://host/md.pt"])
def test_detector_may_be_an_address(package: Path, url: str) -> None:
    alter_info(package, detector=url)
    assert ModelInfo(str(package)).detector_source == url


def test_detector_of_an_address_is_taken_from_the_package(package: Path) -> None:
    alter_info(package, detector="https://host.invalid/releases/md.pt?x=1")
    (package / "md.pt").write_text("by hand", encoding="utf-8")
    assert ModelInfo(str(package)).detector == package / "md.pt"


@pytest.mark.parametrize("key", ["version", "type", *KEYS])
@pytest.mark.parametrize("value", [None, 4, "", ["x"], {}, True])
def test_every_key_must_be_a_text(package: Path, key: str, value: object) -> None:
    alter_info(package, **{key: value})
    with pytest.raises(ModelError, match=rf'info\.json lacks "{key}", or it is not text'):
        ModelInfo(str(package))


@pytest.mark.parametrize("key", ["version", "type", *KEYS])
def test_every_key_must_be_there(package: Path, key: str) -> None:
    info = json.loads((package / "info.json").read_text(encoding="utf-8"))
    del info[key]
    (package / "info.json").write_text(json.dumps(info), encoding="utf-8")
    with pytest.raises(ModelError, match=rf'info\.json lacks "{key}"'):
        ModelInfo(str(package))


@pytest.mark.parametrize("key", KEYS)
def test_every_file_must_be_there(package: Path, key: str) -> None:
    (package / "files" / key).unlink()
    with pytest.raises(ModelError, match=rf"lacks files/{key}, its {key}; .*info\.json"):
        ModelInfo(str(package))


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "path",
    [
        "../x",
        "files/../../x",
        "a/../x",
        "/etc/passwd",
        "\\x",
        "C:\\x",
        "C:x",
        "..\\x",
        "\\\\host\\x",
    ],
)
def test_no_file_may_lie_outside(package: Path, key: str, path: str) -> None:
    alter_info(package, **{key: path})
    with pytest.raises(ModelError, match=rf'"{key}" in .*info\.json.* path inside the folder'):
        ModelInfo(str(package))


@pytest.mark.parametrize("path", [".", "files", "files/a\0b", "ftp://host/x", "x" * 300], ids=len)
def test_name_that_is_not_a_file(package: Path, path: str) -> None:
    alter_info(package, detector=path)
    with pytest.raises(ModelError, match="detector"):
        ModelInfo(str(package))


@pytest.mark.parametrize("kind", ["crop", "ALWAYS_CROP", " "])
def test_type_must_be_known(package: Path, kind: str) -> None:
    alter_info(package, type=kind)
    with pytest.raises(ModelError, match="must be always_crop or full_image"):
        ModelInfo(str(package))


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'"x"', b"3", b"null", b"\xff\xfe{", b"[" * 100_000], ids=len
)
def test_description_must_be_a_json_object(package: Path, content: bytes) -> None:
    (package / "info.json").write_bytes(content)
    with pytest.raises(ModelError, match=r"info\.json .*; get the package again"):
        ModelInfo(str(package))


def test_folder_must_have_a_description(package: Path) -> None:
    (package / "info.json").rename(package / "info.txt")
    with pytest.raises(ModelError, match=r"package is not a model package: it has no info\.json"):
        ModelInfo(str(package))


@pytest.mark.parametrize("name", ["", "Demo", "google/speciesnet", "http://host/x", "x" * 300])
def test_unknown_name_lists_what_is_known(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"model") as mistake:
        ModelInfo(name)
    if name:
        for known in (repr(name), DEFAULT_MODEL, "kaggle:", "hf:OWNER/REPO", "folder", "demo"):
            assert known in str(mistake.value)


@pytest.mark.parametrize(
    "name",
    [
        *("kaggle:", "kaggle:google", "kaggle:a/b/c", "kaggle:a/b/c/d/x", "kaggle:a/b/c/d/1/2"),
        *("kaggle:a b/c/d/e", "kaggle:/a/b/c/d", "kaggle:a/b/c/d/"),
        *("hf:", "hf:owner", "hf:a/b/c", "hf:a b/c", "hf:/b", "hf:a/"),
    ],
)
def test_malformed_name(name: str) -> None:
    with pytest.raises(ModelError, match=r"is malformed; it must be (kaggle|hf):OWNER/"):
        find_model_folder(name)


def test_lines_are_read_as_they_are(package: Path) -> None:
    labels = package / "files" / "classifier_labels"
    labels.write_bytes("\ufeffa;ñ\r\n\r\nb \n\n\n".encode())
    assert ModelInfo(str(package)).read_lines("classifier_labels") == ["a;ñ", "", "b"]


@pytest.mark.parametrize(
    ("content", "words"), [(b"\n \n", "is empty"), (b"\xe9", "cannot be read")]
)
def test_lines_must_be_text(package: Path, content: bytes, words: str) -> None:
    (package / "files" / "taxonomy").write_bytes(content)
    with pytest.raises(ModelError, match=f"taxonomy file .*{words}"):
        ModelInfo(str(package)).read_lines("taxonomy")


def test_fingerprint_distinguishes_packages(package: Path, tmp_path: Path) -> None:
    first = ModelInfo(str(package)).fingerprint
    moved = shutil.copytree(package, tmp_path / "moved")
    assert ModelInfo(str(moved)).fingerprint == first
    (moved / "files" / "geofence").write_text("longer than before", encoding="utf-8")
    assert ModelInfo(str(moved)).fingerprint != first
    alter_info(package, version="1.3")
    assert ModelInfo(str(package)).fingerprint != first


# Packages that kagglehub and huggingface_hub have downloaded before, without a network now


def test_folder_of_kagglehub_is_the_one_that_it_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAGGLEHUB_CACHE", raising=False)
    assert str(kaggles_folder()) == get_cache_folder()
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    assert str(kaggles_folder()) == get_cache_folder()


@pytest.fixture
def run(command: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """Runs the ensemble alone, with a model by its name and no network."""
    for name, key, value in (
        ("detections", "detections", []),
        ("classifications", "classifications", {"classes": ["a;b;c;d;e;f;g"], "scores": [0.9]}),
    ):
        document = {"predictions": [{"filepath": "a.jpg", key: value}]}
        (tmp_path / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")

    def run(model: str, **environment: str) -> Any:
        proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
        return command(
            *("--ensemble_only", "--model", model, "--filepaths", "a.jpg"),
            *("--detections_json", tmp_path / "detections.json"),
            *("--classifications_json", tmp_path / "classifications.json"),
            *("--predictions_json", tmp_path / "out.json"),
            env={**os.environ, **proxies, **environment},
        )

    return run


@pytest.fixture
def decide(run: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """The version of the model that such a run used."""

    def decide(model: str, **environment: str) -> Any:
        outcome = run(model, **environment)
        assert outcome.code == 0, outcome.err
        [record] = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["predictions"]
        return record["model_version"]

    return decide


@pytest.mark.parametrize("suffix", ["/1", ""])
def test_kaggle_package_that_is_here_needs_no_network(
    decide: Callable[..., Any], small_package: Path, tmp_path: Path, suffix: str
) -> None:
    variation = tmp_path / "cache" / "models" / "owner" / "model" / "keras" / "small"
    shutil.copytree(small_package, variation / "1")
    (variation / "1.complete").touch()
    version = decide(
        f"kaggle:owner/model/keras/small{suffix}", KAGGLEHUB_CACHE=str(tmp_path / "cache")
    )
    assert version == ModelInfo(str(small_package)).version


@pytest.mark.parametrize("offline", ["0", "1"])
def test_hugging_face_package_that_is_here_needs_no_network(
    decide: Callable[..., Any], small_package: Path, tmp_path: Path, offline: str
) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "hf" / "hub" / "models--owner--small"
    shutil.copytree(small_package, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit, encoding="utf-8")
    version = decide("hf:owner/small", HF_HOME=str(tmp_path / "hf"), HF_HUB_OFFLINE=offline)
    assert version == ModelInfo(str(small_package)).version


def test_large_files_of_hugging_face_are_held_against_their_sha256(
    run: Callable[..., Any], small_package: Path, tmp_path: Path
) -> None:
    repository = tmp_path / "hf" / "hub" / "models--owner--small"
    snapshot = repository / "snapshots" / "0123456789abcdef0123456789abcdef01234567"
    shutil.copytree(small_package, snapshot)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(snapshot.name, encoding="utf-8")
    (repository / "blobs").mkdir()
    detector = snapshot / "detector.pt"
    blob = repository / "blobs" / hashlib.sha256(detector.read_bytes()).hexdigest()
    detector.rename(blob)
    try:
        detector.symlink_to(Path("..") / ".." / "blobs" / blob.name)
    except OSError:
        pytest.skip("this user cannot make links")
    environment = {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    assert run("hf:owner/small", **environment).code == 0
    blob.chmod(0o600)
    blob.write_bytes(blob.read_bytes()[:-1] + b"x")
    outcome = run("hf:owner/small", **environment)
    assert outcome.code == 1
    assert f"{blob} is damaged" in outcome.sentence
    assert "SHA-256" in outcome.sentence and "delete it" in outcome.sentence


def test_damaged_download_from_kaggle_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise DataCorruptionError("The X-Goog-Hash header indicated a MD5 checksum of:\n\n  abc\n")

    monkeypatch.setattr(kagglehub, "model_download", fail)
    with pytest.raises(ModelError, match=r"cannot be downloaded \(the download is damaged: .* MD5"):
        find_model_folder("kaggle:owner/model/keras/none")
