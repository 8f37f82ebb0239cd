"""The compressed frames of a film, and which of them must be decoded to obtain the requested ones.

A decoder needs a frame's references, which precede it in the file. Two kinds of frames can be left out:

- Frames that no other frame refers to: B-frames of H.264 that are marked as such (``nal_ref_idc``).
- All frames before a key frame, if no frame that is displayed after it refers to a frame before it. This
  is true of all frames of codecs without references, IDR frames of H.264, and IRAP frames of H.265 (ITU-T
  H.264 7.4.1.2.4, H.265 7.4.2.2). Other key frames, such as recovery points, do not qualify.

All of this is read from the headers of the frames. For other codecs, and for films whose frames have no
unique timestamps, every frame is decoded.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from speciesnet.images.films.sampling import Chooser

if TYPE_CHECKING:
    from av.packet import Packet

_KEY, _UNREFERENCED = 1, 2
_H264_SLICES = range(1, 6)
_H264_IDR = 5
_H265_SLICES = range(0, 32)
_H265_IRAP = range(16, 22)
# The part of a frame that is searched for its first slice.
MAX_BYTES = 4096
MAX_UNITS = 64


@dataclass(frozen=True)
class Codec:
    """How the frames of a film are compressed.

    Attributes:
        name: FFmpeg's name.
        is_intra: Whether no frame refers to another.
        length_bytes: The size of the length before each NAL unit of H.264 and H.265, as the header of
            the container gives it; 0 if there are start codes instead.
    """

    name: str
    is_intra: bool = False
    length_bytes: int = 0

    @classmethod
    def of(cls, name: str, is_intra: bool, extradata: bytes) -> Codec:
        """Reads ``avcC`` and ``hvcC`` (ISO/IEC 14496-15), which start with the version 1."""
        at = {"h264": 4, "hevc": 21}.get(name)
        if at is None or extradata[:1] != b"\1" or len(extradata) <= at:
            return cls(name, is_intra)
        return cls(name, is_intra, (extradata[at] & 3) + 1)


@dataclass
class Packets:
    """The compressed frames of a film in the order of the file.

    Attributes:
        times: Timestamps, in units of ``time_base``.
        kinds: Bits for each frame: whether it can be decoded without earlier ones, and whether no
            other frame needs it.
        time_base: Seconds.
        end: The timestamp at which the last frame ends.
        is_complete: Whether every frame has a unique timestamp, in a codec with known headers.
    """

    times: array[int]
    kinds: bytearray
    time_base: Fraction
    end: int = 0
    is_complete: bool = True

    @property
    def order(self) -> list[int]:
        """The positions of the frames in display order."""
        return sorted(range(len(self.times)), key=self.times.__getitem__)

    @property
    def seconds(self) -> Fraction:
        """The time from the first frame to the end of the last one."""
        return (self.end - min(self.times)) * self.time_base if self.times else Fraction()

    def wanted(self, chooser: Chooser) -> dict[int, int]:
        """The wanted frames: their numbers by timestamp, in display order."""
        found: dict[int, int] = {}
        start = min(self.times, default=0)
        for number, position in enumerate(self.order):
            time = self.times[position]
            if chooser.takes(number, (time - start) * self.time_base):
                found[time] = number
            if chooser.is_done:
                break
        return found

    def needed(self, wanted: Iterable[int]) -> Iterator[tuple[int, bool]]:
        """Yields the positions of the frames to decode, and whether the decoder must be reset.

        Args:
            wanted: The timestamps that are wanted.
        """
        targets = set(wanted)
        target_positions = [at for at, time in enumerate(self.times) if time in targets]
        done = -1
        for target in target_positions:
            start = self._start(target, done + 1)
            starts_afresh = start > done + 1
            for position in range(start, target + 1):
                is_wanted = self.times[position] in targets
                if is_wanted or not self.kinds[position] & _UNREFERENCED:
                    yield position, starts_afresh
                    starts_afresh = False
            done = target

    def _start(self, target: int, earliest: int) -> int:
        """The last frame from which decoding can start for a frame; by default, the earliest allowed."""
        for position in range(target, earliest, -1):
            if self.kinds[position] & _KEY and self.times[position] <= self.times[target]:
                return position
        return earliest


def packets_of(packets: Iterable[Packet], codec: Codec, time_base: Fraction) -> Packets:
    """Collects the data in the headers of all compressed frames, without decoding any.

    Args:
        packets: The packets of the stream.
        codec: Its codec.
        time_base: The unit of the timestamps.
    """
    found = Packets(array("q"), bytearray(), time_base)
    found.is_complete = codec.is_intra or codec.name in ("h264", "hevc")
    for packet in packets:
        if not packet.size:
            continue
        if packet.is_discard:  # outside the part of the film that is shown
            found.is_complete = False
            continue
        time = packet.pts
        if time is None:
            found.is_complete = False
            time = packet.dts if packet.dts is not None else len(found.times)
        found.times.append(time)
        found.kinds.append(
            _KEY if codec.is_intra else _kind(bytes(memoryview(packet)[:MAX_BYTES]), codec)
        )
        found.end = max(found.end, time + (packet.duration or 0))
    if len(set(found.times)) < len(found.times):
        found.is_complete = False
    return found


def _kind(data: bytes, codec: Codec) -> int:
    """The bits of ``Packets.kinds`` for a frame, from the header of its first slice."""
    if codec.name not in ("h264", "hevc"):
        return 0
    for unit in _units(data, codec.length_bytes):
        if codec.name == "h264":
            kind = unit & 31
            if kind in _H264_SLICES:
                return _KEY if kind == _H264_IDR else 0 if unit & 0x60 else _UNREFERENCED
        elif (kind := unit >> 1 & 63) in _H265_SLICES:
            return _KEY if kind in _H265_IRAP else 0
    return 0


def _units(data: bytes, length_bytes: int) -> Iterator[int]:
    """The first byte of each NAL unit, which follows a start code or a length."""
    position = length = 0
    for _ in range(MAX_UNITS):
        if length_bytes:
            position += length
            length = int.from_bytes(data[position : position + length_bytes], "big")
            position += length_bytes
        else:
            position = data.find(b"\0\0\1", position) + 3
            if position < 3:
                return
        if position >= len(data):
            return
        yield data[position]
