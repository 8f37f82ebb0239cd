"""Opens films and decodes the frames that are examined."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from absl import logging
from numpy.typing import NDArray

from speciesnet.errors import CredentialsError, DamagedImageError, ImageError, first_line
from speciesnet.files.storage import local_file
from speciesnet.images.films.metadata import metadata_of_film
from speciesnet.images.films.packets import Codec, Packets, packets_of
from speciesnet.images.films.pixels import Converter
from speciesnet.images.films.sampling import Chooser, Sampling
from speciesnet.images.metadata import PhotoMetadata

if TYPE_CHECKING:
    from av import Packet, VideoFrame, VideoStream
    from av.container import InputContainer

# FFmpeg's names of the containers that are read. Others may refer to further files or
# addresses, which a film from an untrusted source must not make this program open.
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2", "avi", "matroska,webm", "mpeg", "mpegvideo", "mpegts", "flv", "asf",
    "h264", "hevc", "mjpeg", "m4v",
)  # fmt: skip
MAX_PIXELS = 2**28  # per frame
NO_INDEX = "it is cut off before its index (moov), without which no frame can be found"
NOT_A_FILM = "it is empty, damaged or not a film"
NO_PICTURES = "it contains no pictures, only sound or other data"


@dataclass(frozen=True)
class Frame:
    """One frame of a film.

    Attributes:
        number: Its number from 0, in the order in which a player shows the frames.
        seconds: Its time after the first frame.
        image: Shape (H, W, 3), RGB, upright.
    """

    number: int
    seconds: float
    image: NDArray[np.uint8] = field(repr=False)


@dataclass
class Film:
    """What is known about a film.

    Attributes:
        frame_rate: Frames per second, on average.
        duration: Seconds from the first frame to the end of the last one.
        metadata: Date, position and camera.
        failed: How many frames could not be decoded so far.
    """

    frame_rate: float
    duration: float
    metadata: PhotoMetadata = field(default_factory=PhotoMetadata)
    failed: int = 0


@contextmanager
def open_film(
    filepath: str, sampling: Sampling
) -> Iterator[tuple[Film, Generator[Frame, None, None]]]:
    """Opens a film; yields what is known about it, and its chosen frames, decoded one at a time.

    Args:
        filepath: Path or URL; a film that is not on this machine is temporarily copied to its disk.
        sampling: The frames to examine.

    Raises:
        ImageError: The film cannot be read; the message is the reason without the path.
        DamagedImageError: Its content cannot be decoded.
        CredentialsError: The credentials for its bucket have expired or are refused.
    """
    with _errors(), local_file(filepath) as local:
        _check_file(local)
        film, packets = _read_headers(local)
        yield film, _frames(local, film, packets, sampling)


def read_film_metadata(filepath: str) -> PhotoMetadata:
    """Reads the metadata of a film without decoding it; raises ``ImageError``."""
    with _errors(), local_file(filepath) as local:
        _check_file(local)
        with _opened(local) as (container, _):
            return metadata_of_film(container, local)


def read_frame(filepath: str, number: int) -> NDArray[np.uint8]:
    """Reads one frame of a film by its number, from 0; raises the same errors as ``open_film``."""
    with open_film(filepath, Sampling(frames=(number,))) as (_, frames):
        for frame in frames:
            return frame.image
    raise DamagedImageError(f"it has no frame {number} that can be decoded")


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except (ImageError, CredentialsError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise ImageError("there is no such file") from error
    except OSError as error:
        raise ImageError(error.strerror or first_line(error)) from error


def _check_file(path: Path) -> None:
    if path.exists() and not path.is_file():
        raise ImageError("it is not a regular file")


@contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Opens the container; FFmpeg's errors inside the context become ``ImageError``."""
    import av
    import av.error

    options = {"format_whitelist": ",".join(CONTAINERS), "protocol_whitelist": "file"}
    try:
        with av.open(f"file:{path}", options=options, metadata_errors="replace") as container:
            stream = _stream_of(container)
            if stream is None or stream.codec_context is None:
                raise DamagedImageError(NO_PICTURES)
            stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
            yield container, stream
    except (FileNotFoundError, PermissionError):
        raise
    except av.error.FFmpegError as error:
        raise DamagedImageError(_reason(path)) from error


def _stream_of(container: InputContainer) -> VideoStream | None:
    """The stream of the film, or None; a still picture, such as a cover, does not count."""
    from av.stream import Disposition

    films = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    best = container.streams.best("video")
    return next((stream for stream in films if stream is best), films[0] if films else None)


def _reason(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(12)
    return NO_INDEX if start[4:8] in (b"ftyp", b"mdat", b"moov", b"wide") else NOT_A_FILM


def _read_headers(path: Path) -> tuple[Film, Packets]:
    """Reads the headers of all frames; a truncated film is read up to its end."""
    with _opened(path) as (container, stream):
        time_base = stream.time_base or Fraction(1, 1000)
        extradata = bytes(stream.codec_context.extradata or b"")
        codec = Codec.of(stream.codec.name, stream.codec.intra_only, extradata)
        packets = packets_of(_packets(container, stream), codec, time_base)
        rate = stream.average_rate or stream.guessed_rate
        seconds, count = packets.seconds, len(packets.times)
        if not count:
            raise DamagedImageError(_reason(path) if container.size else NOT_A_FILM)
        if not rate:
            rate = count / seconds if seconds else Fraction(1)
        found = metadata_of_film(container, path)
        return Film(round(float(rate), 6), round(float(seconds), 6), found), packets


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet]:
    """The packets of a stream, as far as the file goes."""
    import av.error

    try:
        yield from container.demux(stream)
    except av.error.FFmpegError as error:
        logging.debug("The film ends early (%s).", first_line(error))


def _frames(
    path: Path, film: Film, packets: Packets, sampling: Sampling
) -> Generator[Frame, None, None]:
    """Decodes the wanted frames, or all frames if it is not known which of them suffice."""
    last: Frame | None = None
    if packets.is_complete:
        wanted = packets.wanted(Chooser(sampling, packets.time_base))
        for frame in _frames_from_needed(path, packets, wanted):
            if frame is None:
                break
            yield frame
            last = frame
        else:
            return
    yield from _after(last, _frames_from_all(path, film, packets, sampling))


def _after(last: Frame | None, frames: Iterator[Frame]) -> Iterator[Frame]:
    return (frame for frame in frames if last is None or frame.number > last.number)


def _frames_from_needed(
    path: Path, packets: Packets, wanted: dict[int, int]
) -> Iterator[Frame | None]:
    """Decodes what the wanted frames need; ends with None if one of them does not appear."""
    waiting = list(wanted)
    start, converter = min(packets.times), Converter()
    for decoded in _decode_needed(path, packets, wanted):
        if decoded is None or decoded.pts not in wanted:
            if decoded is None:
                yield None
                return
            continue
        if not waiting or decoded.pts != waiting.pop(0) or decoded.is_corrupt:
            yield None
            return
        seconds = (decoded.pts - start) * packets.time_base
        yield Frame(wanted[decoded.pts], _rounded(seconds), converter.to_rgb(decoded))
    if waiting:
        yield None


def _decode_needed(
    path: Path, packets: Packets, wanted: dict[int, int]
) -> Iterator[VideoFrame | None]:
    import av.error

    with _opened(path) as (container, stream):
        decoder = stream.codec_context
        needed = dict(packets.needed(wanted))
        last = max(needed, default=-1)
        has_any = False
        try:
            for position, packet in enumerate(
                p for p in _packets(container, stream) if p.size and not p.is_discard
            ):
                if position > last:
                    break
                if position not in needed:
                    continue
                if needed[position] and has_any:
                    yield from decoder.decode(None)
                    decoder.flush_buffers()
                yield from decoder.decode(packet)
                has_any = True
            yield from decoder.decode(None)
        except av.error.FFmpegError:
            yield None


def _frames_from_all(
    path: Path, film: Film, packets: Packets, sampling: Sampling
) -> Generator[Frame, None, None]:
    """Decodes every frame, up to the last wanted one; those that cannot be decoded are counted."""
    chooser = Chooser(sampling, packets.time_base)
    converter = Converter()
    start = seconds = None
    for number, decoded in enumerate(_decode_all(path, film)):
        if decoded.pts is None:
            seconds = Fraction(number) / Fraction(str(film.frame_rate))
        else:
            time = decoded.pts * (decoded.time_base or packets.time_base)
            start = time if start is None else start
            seconds = time - start
        if chooser.takes(number, seconds):
            yield Frame(number, _rounded(seconds), converter.to_rgb(decoded))
        if chooser.is_done:
            return


def _decode_all(path: Path, film: Film) -> Iterator[VideoFrame]:
    import av.error

    has_any = False
    with _opened(path) as (container, stream):
        for packet in _packets(container, stream):
            try:
                for frame in stream.codec_context.decode(packet if packet.size else None):
                    has_any = True
                    yield frame
            except av.error.EOFError:
                break
            except av.error.FFmpegError as error:
                film.failed += 1
                logging.debug("%s: a frame cannot be decoded (%s).", path, first_line(error))
    if not has_any:
        raise DamagedImageError("none of its frames can be decoded")


def _rounded(seconds: Fraction) -> float:
    return round(float(seconds), 6)
