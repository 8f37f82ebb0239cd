"""Makes small films like those that cameras write."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

QUIET = {"x265-params": "log-level=none"}


def pictures(count: int, width: int, height: int) -> Iterable[NDArray[np.uint8]]:
    """Pictures that all differ: noise that moves below a changing gray."""
    noise = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    for number in range(count):
        picture = np.roll(noise, 3 * number, axis=1)
        picture[: height // 2] = number * 4 % 256
        yield picture


def film(
    path: Path,
    codec: str = "libx264",
    count: int = 45,
    size: tuple[int, int] = (64, 48),
    fps: int = 30,
    pix_fmt: str = "yuv420p",
    gop: int = 30,
    milliseconds: Sequence[int] | None = None,
    shown: Iterable[NDArray[np.uint8]] | None = None,
    metadata: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
) -> str:
    """Writes a film with frames at ``milliseconds`` or, by default, ``fps`` frames per second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=options or {}) as container:
        container.metadata.update(metadata or {})
        stream = container.add_stream(codec, rate=fps, options=QUIET if codec == "libx265" else {})
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        stream.gop_size = gop
        unit = Fraction(1, 1000 if milliseconds else fps)
        if milliseconds:
            stream.time_base = stream.codec_context.time_base = unit
        for number, picture in enumerate(shown or pictures(count, *size)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = milliseconds[number] if milliseconds else number
            frame.time_base = unit
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return str(path)


def film_with_two_formats(path: Path) -> str:
    """Writes MJPEG whose first frame has a different pixel format, as Bushnell's cameras do."""
    with av.open(str(path), "w") as container:
        streams = []
        for pix_fmt in ("yuvj422p", "yuvj420p"):
            coder = av.CodecContext.create("mjpeg", "w")
            coder.width, coder.height, coder.pix_fmt = 64, 48, pix_fmt
            coder.time_base = Fraction(1, 10)
            streams.append(coder)
        stream = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj422p"
        for number, picture in enumerate(pictures(20, 64, 48)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            coder = streams[number > 0]
            for packet in coder.encode(frame.reformat(format=coder.pix_fmt)):
                packet.stream = stream
                container.mux(packet)
    return str(path)


def sound(path: Path) -> str:
    """Writes a file with sound and without pictures."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate, frame.pts = 8000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return str(path)


def turn(path: str, matrix: tuple[int, int, int, int]) -> str:
    """Puts a display matrix (a, b, c, d) into the header of the track of an MP4 file."""
    content = bytearray(Path(path).read_bytes())
    at = content.index(b"tkhd") + 4 + 40
    a, b, c, d = (value << 16 for value in matrix)
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    Path(path).write_bytes(content)
    return path
