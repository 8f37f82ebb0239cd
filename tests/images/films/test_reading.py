"""Which frames of a film are read, at which times, and their pixels."""

from __future__ import annotations

import gc
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import clips
import numpy as np
import pytest

from speciesnet.errors import DamagedImageError, ImageError, InputError
from speciesnet.images.films import Frame, Sampling, open_film, parse_frames
from speciesnet.images.films.reading import NO_INDEX, NO_PICTURES, NOT_A_FILM
from speciesnet.images.films.sampling import Chooser

UNEVEN = [i * 40 + i % 7 * 3 for i in range(45)]
# Name, codec, pixel format, size, frames between key frames.
KINDS = [
    ("short.mp4", "libx264", "yuv420p", (64, 48), 10),
    ("long.mov", "libx264", "yuvj420p", (64, 48), 300),
    ("wide.mp4", "libx264", "yuv420p10le", (64, 48), 30),
    ("odd.mkv", "libx264", "yuv444p", (65, 49), 30),
    ("newer.mp4", "libx265", "yuv420p", (64, 48), 12),
    ("trail.avi", "mjpeg", "yuvj422p", (64, 48), 1),
    ("old.avi", "mpeg4", "yuv420p", (66, 50), 12),
    ("card.mpg", "mpeg2video", "yuv420p", (64, 48), 12),
    ("flash.flv", "flv", "yuv420p", (64, 48), 12),
    ("windows.wmv", "wmv2", "yuv420p", (64, 48), 12),
    ("phone.3gp", "libx264", "yuv420p", (64, 48), 12),
    ("program.m4v", "libx264", "yuv420p", (64, 48), 12),
]  # fmt: skip


def frames_of(path: str, sampling: Sampling | None = None) -> list[Frame]:
    with open_film(path, sampling or Sampling()) as (_, frames):
        return list(frames)


def times_of(path: str) -> list[Fraction]:
    """The times after the first frame of all frames, in the order of showing, by decoding all."""
    with av.open(path) as container:
        found = [f.pts * f.time_base for f in container.decode(video=0) if f.pts is not None]
    return [time - found[0] for time in found]


def all_pixels(path: str, height: int, width: int) -> np.ndarray:
    """The frames as the program ffmpeg writes them."""
    ffmpeg = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
    command = [ffmpeg, "-v", "error", "-i", path, "-fps_mode", "passthrough", "-f", "rawvideo"]
    done = subprocess.run([*command, "-pix_fmt", "rgb24", "-"], capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width, 3)


@pytest.mark.parametrize(("name", "codec", "pix_fmt", "size", "gop"), KINDS)
def test_frames_are_the_first_at_or_after_each_step_of_the_clock(
    tmp_path: Path, name: str, codec: str, pix_fmt: str, size: tuple[int, int], gop: int
) -> None:
    path = clips.film(tmp_path / name, codec, pix_fmt=pix_fmt, size=size, gop=gop)
    times = times_of(path)
    wanted = [next(n for n, t in enumerate(times) if t >= step) for step in (0, Fraction(1, 2), 1)]
    found = frames_of(path, Sampling(fps=2))
    assert [frame.number for frame in found] == wanted
    assert [frame.seconds for frame in found] == [round(float(times[n]), 6) for n in wanted]


@pytest.mark.parametrize(("name", "codec", "pix_fmt", "size", "gop"), KINDS)
def test_pixels_are_those_of_ffmpeg(
    tmp_path: Path, name: str, codec: str, pix_fmt: str, size: tuple[int, int], gop: int
) -> None:
    path = clips.film(tmp_path / name, codec, pix_fmt=pix_fmt, size=size, gop=gop)
    pixels = all_pixels(path, size[1], size[0])
    for frame in frames_of(path, Sampling(fps=7)):
        np.testing.assert_array_equal(frame.image, pixels[frame.number])


def test_uneven_times_are_followed(tmp_path: Path) -> None:
    path = clips.film(tmp_path / "uneven.mkv", milliseconds=UNEVEN)
    assert [(f.number, f.seconds) for f in frames_of(path)] == [(0, 0.0), (25, 1.012)]


@pytest.mark.parametrize(
    "matrix", [(0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0), (-1, 0, 0, 1), (1, 0, 0, -1)]
)
def test_a_turned_film_is_upright(tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    path = clips.turn(clips.film(tmp_path / "a.mp4", count=3), matrix)
    height, width = (64, 48) if matrix[0] == 0 else (48, 64)
    found = frames_of(path)[0].image
    assert found.shape == (height, width, 3)
    np.testing.assert_array_equal(found, all_pixels(path, height, width)[0])


@pytest.mark.parametrize("matrix", [None, (0, 1, -1, 0)])
def test_frames_are_freed_without_the_garbage_collector(
    tmp_path: Path, matrix: tuple[int, int, int, int] | None
) -> None:
    path = clips.film(tmp_path / "a.mp4", count=60)
    if matrix is not None:
        clips.turn(path, matrix)
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            assert len(frames_of(path, Sampling(fps=30))) == 60
        left = [one for one in gc.get_objects() if isinstance(one, av.VideoFrame)]
        assert sum(frame.width * frame.height for frame in left) < 64 * 48
    finally:
        gc.enable()


def test_a_pixel_format_that_changes_after_the_first_frame_is_followed(tmp_path: Path) -> None:
    path = clips.film_with_two_formats(tmp_path / "bushnell.avi")
    found = frames_of(path, Sampling(fps=10))
    assert [frame.number for frame in found] == list(range(20))
    pixels = all_pixels(path, 48, 64)
    np.testing.assert_array_equal(found[0].image, pixels[0])


def test_a_film_of_one_frame_gives_it(tmp_path: Path) -> None:
    with open_film(clips.film(tmp_path / "one.mp4", count=1), Sampling()) as (film, frames):
        assert [frame.number for frame in frames] == [0]
    assert (film.frame_rate, film.duration) == (30.0, 0.033333)


@pytest.mark.parametrize("name", ["cut.avi", "cut.mkv"])
def test_a_film_that_is_cut_off_gives_what_it_has(tmp_path: Path, name: str) -> None:
    path = Path(clips.film(tmp_path / name, "mjpeg", pix_fmt="yuvj422p", count=90))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert [frame.seconds for frame in frames_of(str(path))] == [0.0, 1.0]


def test_frames_of_a_damaged_part_are_passed_over(tmp_path: Path) -> None:
    path = Path(clips.film(tmp_path / "a.mp4", count=90, gop=10))
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat")
    middle = start + (len(content) - start) // 2
    content[middle : middle + 600] = bytes(600)
    path.write_bytes(content)
    with open_film(str(path), Sampling(fps=10)) as (film, frames):
        found = list(frames)
    assert film.failed > 0
    assert 20 < len(found) <= 30


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mjpeg"])
def test_the_frames_do_not_depend_on_how_many_are_decoded(tmp_path: Path, codec: str) -> None:
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = clips.film(tmp_path / "a.mkv", codec, gop=8, pix_fmt=pix_fmt)
    every = {frame.number: frame for frame in frames_of(path, Sampling(fps=30))}
    assert len(every) == 45
    for few in frames_of(path, Sampling(frames=(1, 5, 6, 20, 44))):
        np.testing.assert_array_equal(few.image, every[few.number].image)


def test_frames_can_be_limited_or_named(tmp_path: Path) -> None:
    path = clips.film(tmp_path / "a.mp4")
    assert [f.number for f in frames_of(path, Sampling(fps=10, max_frames=3))] == [0, 3, 6]
    assert [f.number for f in frames_of(path, Sampling(frames=(7, 2, 99)))] == [2, 7]


def test_unreadable_films_say_why(tmp_path: Path) -> None:
    whole = Path(clips.film(tmp_path / "a.mp4"))
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[:2000])
    (tmp_path / "text.avi").write_text("not a film")
    (tmp_path / "empty.avi").write_bytes(b"")
    # FFmpeg would follow the addresses in such a file.
    (tmp_path / "list.mp4").write_text(f"#EXTM3U\n#EXTINF:1,\n{whole}\n#EXT-X-ENDLIST\n")
    for name, reason in [
        ("cut.mp4", NO_INDEX),
        ("text.avi", NOT_A_FILM),
        ("empty.avi", NOT_A_FILM),
        ("list.mp4", NOT_A_FILM),
        ("sound.mp4", NO_PICTURES),
    ]:
        if name.startswith("sound"):
            clips.sound(tmp_path / name)
        with pytest.raises(DamagedImageError) as error:
            frames_of(str(tmp_path / name))
        assert str(error.value) == reason
    with pytest.raises(ImageError, match="no such file"):
        frames_of(str(tmp_path / "none.mp4"))


def test_only_one_frame_is_in_memory_at_a_time(tmp_path: Path) -> None:
    with open_film(clips.film(tmp_path / "a.mp4"), Sampling(fps=30)) as (_, frames):
        assert next(frames).number == 0
        assert next(frames).number == 1


@pytest.mark.parametrize("fps", [0, -1, float("nan"), 1000])
def test_wrong_rates_are_refused(fps: float) -> None:
    with pytest.raises(InputError, match="video_fps"):
        Sampling(fps=fps)


def test_wrong_lists_of_frames_are_refused() -> None:
    for text in ("", "a", "1,,2", "-1"):
        with pytest.raises(InputError, match="--frames"):
            parse_frames(text)


def test_a_pause_in_the_film_does_not_bring_its_frames_closer() -> None:
    chooser = Chooser(Sampling())
    times = [Fraction(0), Fraction(1, 2), Fraction(7, 2), Fraction(39, 10), Fraction(4)]
    assert [chooser.takes(i, t) for i, t in enumerate(times)] == [True, False, True, False, True]
