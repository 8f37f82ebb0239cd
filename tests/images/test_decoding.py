"""Reading images of every kind, and those that cannot be read."""

from __future__ import annotations

import http.server
import io
import struct
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from speciesnet.errors import ImageError
from speciesnet.images.decoding import (
    FLAW,
    file_exists,
    load_rgb_image,
    read_image,
    scheme_of,
    to_array,
)

RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128)
ORIENTATION = 0x0112


def quarters() -> Image.Image:
    """40 x 20 pixels: red, green, blue and gray from the top left to the bottom right."""
    image = Image.new("RGB", (40, 20), GREY)
    image.paste(RED, (0, 0, 20, 10))
    image.paste(GREEN, (20, 0, 40, 10))
    image.paste(BLUE, (0, 10, 20, 20))
    return image


def pixels(path: str | Path) -> NDArray[np.uint8]:
    image = read_image(str(path))
    assert image.mode == "RGB"
    return to_array(image)


def save(image: Image.Image, path: Path, **options: Any) -> Path:
    image.save(path, **options)
    return path


# Kinds of pixels.


@pytest.mark.parametrize("extension", ["jpg", "png", "tif", "webp", "gif", "bmp"])
def test_formats_are_told_by_their_content(extension: str, tmp_path: Path) -> None:
    path = save(quarters(), tmp_path / f"image.{extension}")
    path = path.rename(tmp_path / "image.jpg")
    assert np.abs(pixels(path).astype(int) - np.asarray(quarters())).mean() < 10


def test_rgb_stays_as_it_is(tmp_path: Path) -> None:
    path = save(quarters(), tmp_path / "image.png")
    assert (pixels(path) == np.asarray(quarters())).all()


def test_cmyk_is_converted_as_pillow_does(tmp_path: Path, shared: Path) -> None:
    path = save(quarters().convert("CMYK"), tmp_path / "image.jpg", quality=100, subsampling=0)
    assert np.abs(pixels(path).astype(int) - np.asarray(quarters())).max() < 8
    path = shared / "images" / "african_elephants_cmyk.jpg"
    assert (pixels(path) == np.asarray(Image.open(path).convert("RGB"))).all()


@pytest.mark.parametrize("mode", ["L", "LA", "1"])
def test_grey_becomes_three_equal_channels(mode: str, tmp_path: Path) -> None:
    path = save(quarters().convert(mode), tmp_path / "image.png")
    expected = np.asarray(quarters().convert(mode).convert("L"))
    assert (pixels(path) == expected[:, :, None]).all()


def test_a_palette_gives_its_colours(tmp_path: Path) -> None:
    path = save(quarters().convert("P", palette=Image.Palette.ADAPTIVE), tmp_path / "image.png")
    assert (pixels(path) == np.asarray(quarters())).all()


@pytest.mark.filterwarnings("ignore:Palette images with Transparency")
@pytest.mark.parametrize("transparency", [0, b"\x00\x80\xff\x00"])
def test_transparency_of_a_palette_is_dropped(transparency: int | bytes, tmp_path: Path) -> None:
    image = quarters().convert("P", palette=Image.Palette.ADAPTIVE)
    path = save(image, tmp_path / "image.png", transparency=transparency)
    assert (pixels(path) == np.asarray(quarters())).all()


@pytest.mark.parametrize("extension", ["png", "tif", "webp"])
def test_alpha_is_dropped_and_not_composited(extension: str, tmp_path: Path) -> None:
    image = quarters()
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    options = {"lossless": True, "exact": True} if extension == "webp" else {}
    path = save(image, tmp_path / f"image.{extension}", **options)
    assert (pixels(path) == np.asarray(quarters())).all()


@pytest.mark.parametrize("extension", ["png", "tif"])
def test_16_bits_are_clipped_at_255(extension: str, tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 100, 255, 256, 1000, 65535]], dtype=np.uint16))
    assert image.mode == "I;16"
    path = save(image, tmp_path / f"image.{extension}")
    assert pixels(path).tolist() == [[[v] * 3 for v in (0, 100, 255, 255, 255, 255)]]


def test_32_bits_and_floats_are_clipped_at_255(tmp_path: Path) -> None:
    values = np.array([[-5, 0, 100, 255, 256, 70000]])
    for dtype in (np.int32, np.float32):
        path = save(Image.fromarray(values.astype(dtype)), tmp_path / "image.tif")
        assert pixels(path)[0, :, 0].tolist() == [0, 0, 100, 255, 255, 255]


@pytest.mark.parametrize("extension", ["gif", "webp", "png", "tif"])
def test_the_first_frame_of_an_animation(extension: str, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in (RED, GREEN, BLUE)]
    options: dict[str, Any] = {} if extension == "tif" else {"duration": 100}
    if extension == "webp":
        options["lossless"] = True
    path = tmp_path / f"image.{extension}"
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)
    with Image.open(path) as animation:
        assert getattr(animation, "n_frames", 1) == 3
    assert (pixels(path) == RED).all()


# Orientation.

# What the camera saved, for a picture that is `quarters()` once upright.
AS_SAVED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("extension", ["png", "tif", "webp", "jpg"])
@pytest.mark.parametrize("orientation", AS_SAVED)
def test_images_are_turned_upright(orientation: int, extension: str, tmp_path: Path) -> None:
    transposition = AS_SAVED[orientation]
    image = quarters() if transposition is None else quarters().transpose(transposition)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options: dict[str, Any] = {
        "webp": {"lossless": True},
        "jpg": {"quality": 100, "subsampling": 0},
    }.get(extension, {})
    path = save(image, tmp_path / f"image.{extension}", exif=exif, **options)
    tolerance = 8 if extension == "jpg" else 0
    upright = pixels(path)
    assert upright.shape == (20, 40, 3)
    assert np.abs(upright.astype(int) - np.asarray(quarters())).max() <= tolerance


@pytest.mark.parametrize("mode", ["L", "CMYK", "P", "RGBA", "I;16"])
def test_images_that_need_converting_are_turned_upright_too(mode: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    path = save(quarters().convert(mode), tmp_path / "image.tif", exif=exif)
    assert read_image(str(path)).size == (20, 40)


def test_a_photograph_with_an_orientation_is_upright(shared: Path) -> None:
    path = shared / "images" / "african_elephants_with_exif_orientation.jpg"
    with Image.open(path) as image:
        assert image.getexif()[ORIENTATION] != 1
        saved = image.size
    assert read_image(str(path)).size == saved[::-1]


@pytest.mark.parametrize("orientation", [0, 9, 99])
def test_an_orientation_that_there_is_not_changes_nothing(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = save(quarters(), tmp_path / "image.png", exif=exif)
    assert (pixels(path) == np.asarray(quarters())).all()


def with_png_chunk(kind: bytes, content: bytes, path: Path) -> Path:
    buffer = io.BytesIO()
    quarters().save(buffer, "png")
    body = buffer.getvalue()
    checksum = zlib.crc32(kind + content)
    chunk = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
    path.write_bytes(body[:33] + chunk + body[33:])  # right after the header
    return path


BROKEN_EXIF = [
    b"garbage, no EXIF at all",
    b"",
    b"II*\0\xff\xff\xff\x7f",
    b"II*\0\x08\0\0\0\xff\xff\x12\x01",
    b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x05\0\0\0\x01\0\0\xff\xff",
    b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x02A\0\0\0\0\0\0\0",  # a letter
]


@pytest.mark.filterwarnings("ignore:(Corrupt EXIF data|Truncated File)")
@pytest.mark.parametrize("exif", BROKEN_EXIF)
@pytest.mark.parametrize("extension", ["jpg", "png", "webp"])
def test_broken_exif_does_not_lose_the_picture(extension: str, exif: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"image.{extension}"
    if extension == "png":
        with_png_chunk(b"eXIf", exif, path)
    elif extension == "jpg":
        quarters().save(path, exif=b"Exif\0\0" + exif)
    else:
        quarters().save(path, exif=exif or b"\0")
    assert pixels(path).shape == (20, 40, 3)


def test_broken_exif_in_a_text_of_png_does_not_lose_the_picture(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", "\nexif\n  20\nno hexadecimal digits")
    path = save(quarters(), tmp_path / "image.png", pnginfo=info)
    assert pixels(path).shape == (20, 40, 3)


# Images that cannot be read, or not all of them.


def photograph(width: int = 64, height: int = 64) -> Image.Image:
    random = np.random.default_rng(5)
    return Image.fromarray(random.integers(0, 255, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("extension", ["jpg", "png", "tif"])
def test_a_truncated_image_gives_what_there_is_of_it(extension: str, tmp_path: Path) -> None:
    path = save(photograph(), tmp_path / f"image.{extension}")
    whole = pixels(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    part = pixels(path)
    assert part.shape == whole.shape
    assert (part[:8] == whole[:8]).all()
    assert not (part[-16:] == whole[-16:]).all()


def test_a_truncated_photograph_is_that_of_the_published_program(shared: Path) -> None:
    whole = pixels(shared / "images" / "african_elephants.jpg")
    part = pixels(shared / "images" / "african_elephants_truncated_file.jpg")
    assert part.shape == whole.shape
    assert (part[:1000] == whole[:1000]).all()
    assert (part[-1] == 128).all()


def problem(path: str | Path) -> str:
    """Why an image cannot be read; a log line names the path, so the reason does not."""
    with pytest.raises(ImageError) as error:
        read_image(str(path))
    reason = str(error.value)
    assert reason
    assert str(path) not in reason
    assert not reason.endswith(".")
    assert load_rgb_image(str(path)) is None
    return reason


@pytest.mark.parametrize("content", [b"", b"Not an image.\n", b"\xff\xd8\xff", b"II*\0"])
def test_a_file_that_is_not_an_image_is_reported(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    path.write_bytes(content)
    assert problem(path)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_cut_header_is_not_an_image(tmp_path: Path) -> None:
    for extension in ("jpg", "png", "webp", "tif", "gif"):
        path = save(photograph(), tmp_path / f"image.{extension}")
        path.write_bytes(path.read_bytes()[:10])
        assert problem(path)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    assert problem(tmp_path / "image.jpg") == "there is no such file"


def test_a_folder_is_not_an_image(tmp_path: Path) -> None:
    assert problem(tmp_path) == "it is not a regular file"


@pytest.mark.parametrize("path", ["a\0b.jpg", "a" * 5000, ""])
def test_an_impossible_path_is_not_an_image(path: str) -> None:
    with pytest.raises(ImageError):
        read_image(path)


def test_a_decompression_bomb_is_not_decoded(tmp_path: Path) -> None:
    path = save(quarters(), tmp_path / "bomb.png")
    header = b"IHDR" + struct.pack(">IIBBBBB", 20_000, 9_000, 8, 2, 0, 0, 0)
    body = path.read_bytes()
    path.write_bytes(body[:12] + header + struct.pack(">I", zlib.crc32(header)) + body[33:])
    assert problem(path) == "it has too many pixels (more than 179 million)"


def test_any_name_will_do(tmp_path: Path) -> None:
    path = save(quarters(), tmp_path / "Köder, 'ñ' 100% #1 č.png")
    assert pixels(path).shape == (20, 40, 3)
    assert file_exists(str(path))


def test_a_file_can_be_deleted_once_read(tmp_path: Path) -> None:
    path = save(quarters(), tmp_path / "image.png")
    image = read_image(str(path))
    path.unlink()
    assert image.getpixel((0, 0)) == RED


# Addresses.


@pytest.mark.parametrize(
    ("path", "scheme"),
    [
        ("http://a/b.jpg", "http"),
        ("HTTPS://a/b.jpg", "https"),
        ("s3://bucket/b.jpg", "s3"),
        ("gs://bucket/b.jpg", "gs"),
        ("az://bucket/b.jpg", "az"),
        ("ftp://a/b.jpg", None),
        ("file:///a/b.jpg", None),
        (r"C:\images\b.jpg", None),
        ("http:/a/b.jpg", None),
        ("http://[/b.jpg", "http"),
        ("folder/s3/b.jpg", None),
        ("/folder/http://b.jpg", None),
        ("", None),
    ],
)
def test_schemes_of_paths(path: str, scheme: str | None) -> None:
    assert scheme_of(path) == scheme


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        buffer = io.BytesIO()
        exif = Image.Exif()
        exif[ORIENTATION] = 6
        quarters().save(buffer, "png", exif=exif)
        known = {"/image.png": buffer.getvalue(), "/page.jpg": b"<html>No image.</html>", "/0": b""}
        content = known.get(self.path.partition("?")[0])
        if self.path == "/moved.png":
            self.send_response(302)
            self.send_header("Location", "/image.png")
            self.end_headers()
            return
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Logs nothing."""


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server on this machine."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("path", ["/image.png", "/image.png?size=1", "/moved.png"])
def test_an_image_on_the_web_is_read(address: str, path: str) -> None:
    assert read_image(address + path).size == (20, 40)
    assert file_exists(address + path)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/none.jpg", "404"),
        ("/page.jpg", "not an image"),
        ("/0", "not an image"),
    ],
)
def test_other_content_on_the_web_is_reported(address: str, path: str, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        read_image(address + path)
    assert load_rgb_image(address + path) is None
    assert file_exists(address + path) == (reason != "404")


def test_a_server_that_does_not_answer_says_so(address: str) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), _Handler) as server:
        closed = f"http://127.0.0.1:{server.server_address[1]}/image.png"
    with pytest.raises(ImageError, match="download failed"):
        read_image(closed)
    assert not file_exists(closed)


@pytest.mark.parametrize("url", ["http://", "http://[/a.jpg", "https:///a.jpg"])
def test_a_malformed_address_is_not_an_image(url: str) -> None:
    with pytest.raises(ImageError):
        read_image(url)
    assert load_rgb_image(url) is None


def test_files_that_exist(tmp_path: Path) -> None:
    path = save(quarters(), tmp_path / "image.png")
    assert file_exists(str(path))
    assert not file_exists(str(tmp_path))
    assert not file_exists(str(tmp_path / "none.png"))


# Pictures that become white or black.


@pytest.mark.parametrize(
    ("values", "dtype", "is_clipped"),
    [
        ((4000, 60_000), np.uint16, True),
        ((0, 60_000), np.uint16, True),
        ((0, 255), np.uint16, False),
        ((0, 300), np.uint16, False),
        ((4000, 4000), np.uint16, False),  # white as it is
        ((0, 255), np.float32, False),
        ((0, 1), np.float32, True),
        ((0, 0.9), np.float32, True),
        ((-20, 30), np.float32, False),
        ((-200, 30), np.float32, True),
        ((270, 310), np.int32, True),
    ],
)
@pytest.mark.parametrize("orientation", [1, 6])
def test_pictures_that_lose_their_contrast_are_marked(
    values: tuple[float, float], dtype: type, is_clipped: bool, orientation: int, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image = Image.fromarray(np.linspace(*values, 1200).astype(dtype).reshape(30, 40))
    path = save(image, tmp_path / "image.tif", exif=exif)
    assert read_image(str(path)).info.get(FLAW) == ("clipped" if is_clipped else None)


# Files that are cut off.


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("file_format", ["JPEG", "progressive", "PNG", "BMP"])
def test_files_that_end_too_early_are_marked(file_format: str, mode: str, tmp_path: Path) -> None:
    path, is_progressive = tmp_path / "image.jpg", file_format == "progressive"
    image = Image.effect_noise((120, 90), 60).convert(mode)
    image.save(path, "JPEG" if is_progressive else file_format, progressive=is_progressive)
    assert FLAW not in read_image(str(path)).info
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(100))  # some cameras pad their files
    assert FLAW not in read_image(str(path)).info
    path.write_bytes(whole[: len(whole) // 2])
    assert read_image(str(path)).info[FLAW] == "cut off"


@pytest.mark.parametrize("file_format", ["GIF", "JPEG2000", "TIFF", "WEBP"])
def test_files_in_formats_that_are_read_in_other_ways_are_not_marked(
    file_format: str, tmp_path: Path
) -> None:
    path = tmp_path / "image.jpg"
    quarters().save(path, file_format)
    assert FLAW not in read_image(str(path)).info
