from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from servers import BOUNDARY, form_of, in_base64, picture

from speciesnet.server.errors import RejectedError
from speciesnet.server.requests import (
    MAX_DEPTH,
    MAX_FIELDS,
    MAX_TEXT,
    MAX_VALUES,
    Limits,
    MultipartForm,
    ParsedImage,
    RequestParser,
)
from speciesnet.server.spool import RequestFiles, Spool

LIMITS = Limits(body_bytes=2**20, image_bytes=10_000, images=3)
PARSER = RequestParser(LIMITS, ["camera", "note"])
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["instances", "filepath", "image", "country", "latitude", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)
with_files = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture
def files() -> Iterator[RequestFiles]:
    spool = Spool(2**30)
    with spool.request() as files:
        yield files
    spool.close()


def parse(files: RequestFiles, *instances: Any) -> list[ParsedImage]:
    return PARSER.parse_json(json.dumps({"instances": instances}).encode(), files)


def rejection(files: RequestFiles, body: bytes | str) -> RejectedError:
    with pytest.raises(RejectedError) as rejected:
        PARSER.parse_json(body.encode() if isinstance(body, str) else body, files)
    return rejected.value


def test_instances_are_parsed_with_images_and_extra_fields(files: RequestFiles) -> None:
    content = picture()
    first, second = parse(
        files,
        {"filepath": "a.jpg", "country": "KEN", "image": in_base64(content), "camera": [1], "x": 2},
        {"filepath": "/b.jpg", "latitude": 1, "longitude": 2.5, "image": None, "note": None},
    )
    assert (first.instance.filepath, first.instance.country) == ("a.jpg", "KEN")
    assert (first.extras, second.extras) == ({"camera": [1]}, {"note": None})
    assert first.upload is not None
    assert first.upload.read_bytes() == content
    assert second.upload is None
    assert second.instance.location == {"latitude": 1, "longitude": 2.5}
    data_url = parse(
        files, {"filepath": "a", "image": f"data:image/jpeg;base64,{in_base64(content)}"}
    )
    assert data_url[0].upload is not None
    assert data_url[0].upload.read_bytes() == content


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("", 400), ("{", 400), ("null", 400), ("[]", 400), ('{"instances": {}}', 400), (b"\xff", 400),
        ('{"instances": []}', 400), ('{"instances": [1]}', 400), ('{"instances": [{}]}', 400),
        ('{"instances": [{"filepath": ""}]}', 400),
        ('{"instances": [{"filepath": "a", "latitude": NaN}]}', 400),
        ('{"instances": [{"filepath": "a", "latitude": 91}]}', 400),
        ('{"instances": [{"filepath": "a", "country": "Kenya"}]}', 400),
        ('{"instances": [{"filepath": "a", "image": 1}]}', 400),
        ('{"instances": [{"filepath": "a", "image": "no base64!"}]}', 400),
        (json.dumps({"instances": [{"filepath": "a"}] * 4}), 413),
        (json.dumps({"instances": [{"filepath": "a", "image": "A" * 20_000}]}), 413),
        (json.dumps({"instances": [{"filepath": "a" * (MAX_TEXT + 1)}]}), 400),
        (json.dumps({"instances": [{"filepath": "a", "country": "K" * 500_000}]}), 400),
        ("[" * 100_000, 400), ("[" * (MAX_VALUES + 1), 413), ("[" + "[]," * MAX_VALUES, 413),
        ('{"instances": ' + "[" * MAX_DEPTH + "]" * MAX_DEPTH + "}", 400), ("9" * 100_000, 400),
    ],
)  # fmt: skip
def test_malformed_and_too_large_documents_are_rejected(
    files: RequestFiles, body: bytes | str, status: int
) -> None:
    rejected = rejection(files, body)
    assert rejected.status == status
    assert 0 < len(str(rejected)) <= 500


def test_all_valid_json_is_parsed(files: RequestFiles) -> None:
    number = 2**64 + 1
    body = rf'{{"instances": [{{"filepath": "caf\udce9.jpg", "note": {number}}}]}}'
    for start in (b"", b"\xef\xbb\xbf"):
        (image,) = PARSER.parse_json(start + body.encode(), files)
        assert image.instance.filepath == "caf\udce9.jpg"
        assert image.extras == {"note": number}


@given(body=st.binary(max_size=200) | ANY_JSON.map(lambda value: json.dumps(value).encode()))
@with_files
def test_any_document_is_parsed_or_rejected(files: RequestFiles, body: bytes) -> None:
    try:
        images = PARSER.parse_json(body, files)
    except RejectedError as error:
        assert 400 <= error.status < 500
    else:
        assert 0 < len(images) <= LIMITS.images


def feed(
    files: RequestFiles, body: bytes, *cuts: int, boundary: str = BOUNDARY
) -> list[ParsedImage]:
    form = MultipartForm(boundary, LIMITS, files)
    places = [0, *sorted(cuts), len(body)]
    for start, end in itertools.pairwise(places):
        form.write(body[start:end])
    return PARSER.parse_form(form)


@given(st.lists(st.integers(0, 700), max_size=5), st.binary(max_size=300))
@with_files
def test_form_may_arrive_in_any_pieces(
    files: RequestFiles, cuts: list[int], content: bytes
) -> None:
    body = form_of(
        [("a/ñ.jpg", content), ("", b"x")], {"country": "KEN", "latitude": "1.5", "note": "n"}
    )
    images = feed(files, body, *(min(cut, len(body)) for cut in cuts))
    assert [one.instance.filepath for one in images] == ["a/ñ.jpg", "file 2"]
    assert {(one.instance.country, one.instance.latitude) for one in images} == {("KEN", 1.5)}
    assert [one.upload.read_bytes() for one in images if one.upload] == [content, b"x"]
    assert all(one.upload and one.upload.parent == files.folder for one in images)
    assert images[0].extras == {"note": "n"}


def test_names_of_uploads_are_not_used_as_paths(files: RequestFiles) -> None:
    for name in ("../../x.jpg", "/etc/passwd", "..\\x", "x" * MAX_TEXT):
        (image,) = feed(files, form_of([(name, b"x")], {}))
        assert image.upload is not None
        assert image.upload.parent == files.folder
        assert image.upload.name not in name


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400), (b"nothing", 400), (form_of([], {"country": "KEN"}), 400),
        (form_of([("a", b"x")], {})[:-20], 400), (form_of([("a", b"x")] * 4, {}), 413),
        (form_of([("a", b"x" * 10_001)], {}), 413), (form_of([("a", b"x")], {"country": "Kenya"}), 400),
        (form_of([("a", b"x")], {"latitude": "north"}), 400),
        (form_of([("a", b"x")], {"latitude": "nan"}), 400),
        (form_of([("a", b"x")], {"latitude": "1e9"}), 400), (form_of([("x" * 3000, b"x")], {}), 400),
        (form_of([("a", b"x")], {str(i): "x" for i in range(MAX_FIELDS + 1)}), 400),
        (form_of([("a", b"x")], {"country": "K" * 500_000}), 400),
        (form_of([("a", b"x")], {}).replace(b'name="files"; ', b""), 400),
        (form_of([("a", b"x")], {}).replace(b"form-data", b"x" * 5000), 400),
    ],
)  # fmt: skip
def test_malformed_forms_are_rejected(files: RequestFiles, body: bytes, status: int) -> None:
    with pytest.raises(RejectedError) as rejected:
        feed(files, body)
    assert rejected.value.status == status


@given(
    st.lists(
        st.sampled_from(
            [
                b"--", BOUNDARY.encode(), b"\r\n", b"Content-Disposition: form-data; ", b'name="files"; ',
                b'filename="a"', b"Content-Transfer-Encoding: base64", b": ", b"quoted-printable", b"=",
            ]
        )
        | st.binary(max_size=8),
        max_size=40,
    ),
    st.sampled_from([BOUNDARY, "", "é", "x" * 300, "\r\n"]),
)  # fmt: skip
@with_files
def test_any_form_is_parsed_or_rejected(
    files: RequestFiles, parts: list[bytes], boundary: str
) -> None:
    try:
        images = feed(files, b"".join(parts), boundary=boundary)
    except RejectedError as error:
        assert 400 <= error.status < 500
    else:
        assert images
