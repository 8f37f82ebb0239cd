"""Dates, positions and cameras in the blocks that manufacturers add to films, laid out as in ExifTool."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import clips
import pytest
from PIL import ExifTags, Image

from speciesnet.images.films import read_film_metadata

TAKEN = "2024-05-01T06:30:00"
SONY = (
    b'<?xml version="1.0"?>'
    b'<NonRealTimeMeta xmlns="urn:schemas-professionalDisc:nonRealTimeMeta:ver.2.00">'
    b'<CreationDate value="2024-05-01T06:30:00+02:00"/>'
    b'<Device manufacturer="Sony" modelName="ILCE-6300" serialNo="1"/></NonRealTimeMeta>'
)


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + name + content


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def mp4(path: Path, user_data: bytes = b"", at_end: bytes = b"") -> str:
    """A film whose header has a date in UTC, with user data and a block after the header."""
    created = {"creation_time": "2024-05-02T00:00:00Z"}
    clips.film(path, count=2, metadata=created)
    content = path.read_bytes()
    at = content.index(b"moov") - 4
    assert at + int.from_bytes(content[at : at + 4], "big") == len(content)
    moov = content[at + 8 :].replace(b"udta", b"free") + box(b"udta", user_data + bytes(4))
    path.write_bytes(content[:at] + box(b"moov", moov) + at_end)
    return str(path)


def avi(path: Path, in_header: bytes = b"", after_header: bytes = b"") -> str:
    clips.film(path, "mjpeg", count=2, pix_fmt="yuvj420p")
    content = path.read_bytes()
    size = int.from_bytes(content[16:20], "little")
    header = content[20 : 20 + size] + in_header
    rest = content[20 + size :]
    path.write_bytes(chunk(b"RIFF", b"AVI " + chunk(b"LIST", header) + after_header + rest))
    return str(path)


def exif_of(make: str, model: str) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = make, model
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2024:05:01 06:30:00"
    return exif


def jpeg(exif: Image.Exif) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (160, 120)).save(file, "JPEG", exif=exif)
    return file.getvalue()


def app1(exif: Image.Exif) -> bytes:
    block = exif.tobytes()
    return b"\xff\xd8\xff\xe1" + struct.pack(">H", len(block) + 2) + block


def nikon(*records: tuple[int, bytes]) -> bytes:
    made = [struct.pack(">IHH", tag, 2, len(text)) + text for tag, text in records]
    number = struct.pack(">IHHII", 0x13, 4, 2, 60, 0)  # FrameCount
    return box(b"NCDT", box(b"NCHD", b"1.00") + box(b"NCTG", number + b"".join(made)))


def gopro(name: bytes, kind: bytes, value: bytes) -> bytes:
    return struct.pack(">4scBH", name, kind, 1, len(value)) + value + bytes(-len(value) % 4)


HERO = gopro(b"MINF", b"c", b"HERO9 Black")
CASES = {
    "date": (box(b"date", b"2024-05-01T06:30:00+0200"), "+02:00", None, None),
    "canon text": (
        box(b"manu", b"\0\0\0\0\x15\xc7Canon\0") + box(b"modl", b"\0\0\0\0\x15\xc7SX280 HS\0"),
        None, "Canon", "SX280 HS",
    ),
    "text of 3GPP": (box(b"manu", b"Samsung\0") + box(b"modl", b"S8530\0"), None, "Samsung", "S8530"),
    "canon model": (box(b"CNMN", b"Canon EOS 550D\0\0"), None, None, "Canon EOS 550D"),
    "apple model": (box(b"cmnm", b"Cam\0"), None, None, "Cam"),
    "canon picture": (
        box(b"CNTH", box(b"CNDA", jpeg(exif_of("Canon", "S95")))), "", "Canon", "S95",
    ),
    "nikon": (
        nikon((1, b"NIKON\0"), (2, b"COOLPIX P900\0"), (0x11, b"2024:05:01 06:30:01\0"),
              (0x12, b"2024:05:01 06:30:00\0")),
        "", "NIKON", "COOLPIX P900",
    ),
    "panasonic": (
        box(b"PANA", bytes(0x4080) + app1(exif_of("Panasonic", "FZ1000"))),
        "", "Panasonic", "FZ1000",
    ),
    "gopro": (
        box(b"GPMF", gopro(b"DEVC", b"\0", gopro(b"VERS", b"B", b"\7\6\1") + HERO)),
        None, None, "HERO9 Black",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ["a.mp4", "a.mov"])
@pytest.mark.parametrize("case", CASES)
def test_user_data_of_makers(tmp_path: Path, name: str, case: str) -> None:
    user_data, offset, make, model = CASES[case]
    found = read_film_metadata(mp4(tmp_path / name, user_data))
    assert (found.make, found.model) == (make, model)
    if offset is None:
        assert (found.datetime, found.zone_is_doubtful) == ("2024-05-02T00:00:00", True)
    else:
        assert (found.datetime, found.zone_is_doubtful) == (TAKEN + offset, None)


def test_the_description_that_sony_adds_has_the_offset(tmp_path: Path) -> None:
    handler = box(b"hdlr", bytes(8) + b"nrtm" + bytes(13))
    meta = box(b"meta", bytes(4) + handler + box(b"xml ", bytes(4) + SONY))
    found = read_film_metadata(mp4(tmp_path / "a.mp4", at_end=meta))
    assert (found.datetime, found.zone_is_doubtful) == (f"{TAKEN}+02:00", None)
    assert (found.make, found.model) == ("Sony", "ILCE-6300")


def test_the_position_of_3gpp(tmp_path: Path) -> None:
    place = b"\0\0\0\0\x15\xc7hide 3\0\0" + struct.pack(">3i", int(36.5 * 65536), -65536, 0)
    found = read_film_metadata(mp4(tmp_path / "a.mp4", box(b"loci", place + b"earth\0\0")))
    assert (found.latitude, found.longitude) == (-1.0, 36.5)


def test_the_camera_of_a_telephone(tmp_path: Path) -> None:
    keys = {"com.android.manufacturer": "Google", "com.android.model": "Pixel 8"}
    path = clips.film(
        tmp_path / "a.mp4", count=2, metadata=keys, options={"movflags": "use_metadata_tags"}
    )
    found = read_film_metadata(path)
    assert (found.make, found.model) == ("Google", "Pixel 8")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"Wed May 01 06:30:00 2024\n\0", TAKEN),
        (b"2024:05:01 06:30:00\0", TAKEN),
        (b"2024-05-01  06:30:00\0\0", TAKEN),
        (b"2024/05/01 06:30:00", TAKEN),
        (b"2024/ 5/ 1  6:30PM", "2024-05-01T18:30:00"),
        (b"05/07/2024 06:30:00", None),
    ],
)
def test_the_date_of_an_avi_in_any_notation(
    tmp_path: Path, text: bytes, expected: str | None
) -> None:
    idit = chunk(b"IDIT", text)
    in_list = chunk(b"LIST", b"INFO" + chunk(b"ISFT", b"X") + idit)
    for header, later in ((idit, b""), (b"", idit), (b"", in_list)):
        found = read_film_metadata(avi(tmp_path / "a.avi", header, later))
        assert (found.datetime, found.zone_is_doubtful) == (expected, None)


def test_other_chunks_of_an_avi(tmp_path: Path) -> None:
    exif = chunk(b"ecor", b"KODAK\0") + chunk(b"emdl", b"SPORT C123\0")
    date = chunk(b"DTIM", b"2024:05:01 06:30:00\0")
    lists = chunk(b"LIST", b"exif" + exif) + chunk(b"LIST", b"INFO" + date)
    found = read_film_metadata(avi(tmp_path / "a.avi", after_header=lists))
    assert (found.datetime, found.make, found.model) == (TAKEN, "KODAK", "SPORT C123")


def test_the_tags_of_nikon_in_an_avi(tmp_path: Path) -> None:
    tags = {3: b"NIKON\0", 4: b"COOLPIX S10\0", 0x13: b"2024:05:01 06:30:00\0"}
    records = [struct.pack("<HH", tag, len(text)) + text for tag, text in tags.items()]
    block = chunk(b"LIST", b"ncdt" + chunk(b"nctg", b"".join(records)))
    found = read_film_metadata(avi(tmp_path / "a.avi", after_header=block))
    assert (found.datetime, found.zone_is_doubtful) == (TAKEN, None)
    assert (found.make, found.model) == ("NIKON", "COOLPIX S10")


def test_exif_in_the_stream_of_an_avi(tmp_path: Path) -> None:
    values = {0x010F: b"FUJIFILM\0\0", 0x0110: b"FinePix F30\0", 0x9003: b"2024:05:01 06:30:00\0"}
    entries, texts = b"", b""
    for tag, text in values.items():
        entries += struct.pack("<HHII", tag, 2, len(text), 2 + 12 * len(values) + 4 + len(texts))
        texts += text
    directory = struct.pack("<H", len(values)) + entries + bytes(4) + texts
    path = Path(avi(tmp_path / "a.avi"))
    content = path.read_bytes()
    at = content.index(b"strl") - 8
    size = int.from_bytes(content[at + 4 : at + 8], "little")
    stream = content[at + 8 : at + 8 + size] + chunk(b"strd", b"AVIF" + bytes(4) + directory)
    header = content[20:at] + chunk(b"LIST", stream)
    rest = content[at + 8 + size :]
    end = int.from_bytes(content[16:20], "little") + 20 - (at + 8 + size)
    header += rest[:end]
    path.write_bytes(chunk(b"RIFF", b"AVI " + chunk(b"LIST", header) + rest[end:]))
    found = read_film_metadata(str(path))
    assert (found.datetime, found.zone_is_doubtful) == (TAKEN, None)
    assert (found.make, found.model) == ("FUJIFILM", "FinePix F30")


@pytest.mark.parametrize(
    "damage",
    [
        box(b"CNTH", box(b"CNDA", b"\xff\xd8\xff\xe1no picture")),
        nikon((1, b"NIKON\0"))[:-3],
        struct.pack(">I4sIHH", 16, b"NCDT", 1, 99, 9),
        box(b"GPMF", b"DEVC\0\xff\xff\xff"),
        struct.pack(">I4s", 2**31, b"date"),
        struct.pack(">I4s", 3, b"date"),
    ],
)
def test_damaged_blocks_leave_the_other_values(tmp_path: Path, damage: bytes) -> None:
    found = read_film_metadata(mp4(tmp_path / "a.mp4", box(b"CNMN", b"EOS\0") + damage))
    assert (found.datetime, found.model) == ("2024-05-02T00:00:00", "EOS")
