from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from urllib3.util import parse_url

from speciesnet.errors import InputError
from speciesnet.server.allowlist import (
    Folders,
    Hosts,
    Target,
    is_url,
)
from speciesnet.server.errors import RejectedError

TARGET = Target("https", "images.example.org", 443, "/a.jpg")
PARTS = st.sampled_from(
    [
        "..",
        ".",
        "",
        "a",
        "cam1",
        "link",
        "%2e%2e",
        "..%2f",
        "%252e%252e",
        "\\..\\",
        "~",
        "\0",
        "0.jpg",
    ]
)


def test_files_in_allowed_folders_are_found(allowed: Path) -> None:
    folders = Folders([str(allowed)])
    assert folders.resolve(f"{allowed}/cam1/0.jpg") == Path(
        os.path.realpath(allowed / "cam1/0.jpg")
    )
    assert folders.resolve(f"{allowed}//cam1/./0.jpg").is_file()
    assert not folders.resolve(f"{allowed}/cam1/nothing.jpg").exists()


def test_allowed_folder_may_be_a_link(allowed: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(allowed)
    for root in (link, Path(os.path.realpath(allowed))):
        assert Folders([str(link)]).resolve(f"{root}/cam1/0.jpg").is_file()


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd", "{}/../outside/secret.jpg", "{}/cam1/../../outside/secret.jpg",
        "{}/cam1/../cam1/0.jpg", "{}/%2e%2e/outside/secret.jpg", "{}/%252e%252e/outside/secret.jpg",
        "{}/..%2foutside/secret.jpg", "{}\\..\\outside\\secret.jpg", "{}/link.jpg",
        "{}/link/secret.jpg", "{}/gone.jpg", "{}-not/0.jpg", "{}/cam1/0.jpg\0.png", "\0",
        "file://{}/cam1/0.jpg", "cam1/0.jpg", "", "~/x.jpg", "\\\\host\\share\\a.jpg", "{}/..",
    ],
)  # fmt: skip
def test_other_paths_are_rejected(allowed: Path, path: str) -> None:
    with pytest.raises(RejectedError) as rejected:
        Folders([str(allowed)]).resolve(path.format(allowed))
    assert rejected.value.status == 403
    assert str(allowed) not in str(rejected.value)


def test_without_folders_every_path_is_rejected(allowed: Path) -> None:
    with pytest.raises(RejectedError):
        Folders().resolve(str(allowed / "cam1" / "0.jpg"))


@given(parts=st.lists(PARTS | st.text(max_size=5), max_size=8), inside=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_resolved_path_is_always_in_the_folder(
    allowed: Path, parts: list[str], inside: bool
) -> None:
    path = "/".join([str(allowed), *parts] if inside else parts)
    try:
        found = Folders([str(allowed)]).resolve(path)
    except RejectedError:
        return
    assert found.resolve() == found
    assert found.is_relative_to(allowed.resolve())


def test_only_folders_can_be_allowed(allowed: Path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        Folders([str(allowed / "cam1" / "0.jpg")])


def test_urls_of_allowed_hosts_are_parsed() -> None:
    hosts = Hosts(["images.example.org", "other.example.org:8080"])
    assert hosts.parse("https://images.example.org/a.jpg") == TARGET
    assert hosts.parse("HTTP://Images.Example.ORG?x=1#y") == Target(
        "http", "images.example.org", 80, "/?x=1"
    )
    assert hosts.parse("http://other.example.org:8080/a").port == 8080


@pytest.mark.parametrize(
    "url",
    [
        "http://evil.example/a.jpg", "http://images.example.org.evil.example/a", "ftp://images.example.org/a",
        "http://images.example.org:81/a", "http://images.example.org@evil.example/a",
        "http://u:p@images.example.org/a", "http://evil.example#@images.example.org/a",
        "http://evil.example\\@images.example.org/a", "http:\\\\images.example.org/a",
        "http://images.example.org%2eevil.example/a", "http://images.example.org\t/a",
        "http://images.example.org:99999/", "http://images.example.org:-1/", "http:///images.example.org",
        "http://[::1]/a", "http://[images.example.org]/", "http://other.example.org/a",
        "//images.example.org/a", "http://\u0456mages.example.org/a", "http://images.example.org/a b",
        "http://images.example.org/\r\nX: y",
        "file:///etc/passwd", "gopher://images.example.org/", "s3://bucket/a.jpg", "http://", "",
    ],
)  # fmt: skip
def test_other_urls_are_rejected(url: str) -> None:
    with pytest.raises(RejectedError) as rejected:
        Hosts(["images.example.org", "other.example.org:8080"]).parse(url)
    assert rejected.value.status == 403


@given(
    st.text(st.sampled_from("http:/\\@#?[].%0aA-é \t\n") | st.characters(), max_size=40),
    st.text(st.sampled_from(":/\\@#?[].%01aA- "), max_size=20),
)
def test_http_clients_parse_an_accepted_url_in_the_same_way(before: str, after: str) -> None:
    hosts = Hosts(["images.example.org"])
    for url in (
        f"http://{before}images.example.org{after}",
        f"http://images.example.org{before}{after}",
        before + after,
    ):
        try:
            target = hosts.parse(url)
        except RejectedError:
            continue
        read = parse_url(url)
        assert (read.scheme, read.host) == (target.scheme, target.host)
        assert (read.auth, read.port or {"http": 80, "https": 443}[target.scheme]) == (
            None,
            target.port,
        )


def test_buckets_are_allowed_by_name() -> None:
    hosts = Hosts(["s3://survey", "images.example.org"])
    assert hosts.allows_bucket("s3://survey/a.jpg")
    assert not hosts.allows_bucket("https://images.example.org/a.jpg")
    for url in ("s3://other/a", "gs://survey/a", "s3://survey-2/a", "S3://surveY/a", "az://x/a"):
        with pytest.raises(RejectedError):
            hosts.allows_bucket(url)


@pytest.mark.parametrize(
    "entry",
    ["https://images.example.org", "a b", "s3://", "s3://b/c", "x:0", "x:99999", "u@x", "*", "*.x"],
)
def test_only_hosts_and_buckets_can_be_allowed(entry: str) -> None:
    with pytest.raises(InputError, match="is not a host"):
        Hosts([entry])


@pytest.mark.parametrize("path", ["http://x/a", "S3://x", " file:///x", "x+y://", "http:\\\\x"])
def test_urls_are_distinguished_from_paths(path: str) -> None:
    assert is_url(path)
    assert not is_url("C:\\x\\a.jpg")
    assert not is_url("/a/b.jpg")
