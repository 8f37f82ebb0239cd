"""The atoms of MP4 and QuickTime files and the chunks of AVI files that FFmpeg does not report.

Both kinds of files consist of blocks that start with their size and a four-character name. Some blocks
contain other blocks (ISO/IEC 14496-12, 4.2; Microsoft's AVI RIFF File Reference). Here, the name of a
block is its path, such as "moov/udta/date" or "AVI /hdrl/IDIT".
"""

from __future__ import annotations

import struct
from collections.abc import Container, Iterator
from pathlib import Path
from typing import BinaryIO

MAX_BLOCKS = 2000  # read per file; a fragmented film has thousands
MAX_BYTES = 4 * 2**20  # of the largest block that is read
_MP4_PARENTS = ("moov", "moov/udta", "moov/udta/CNTH", "moov/udta/NCDT", "meta")
_AVI_PARENTS = ("AVI ", "AVI /hdrl", "AVI /INFO", "AVI /exif")
_Block = tuple[str, int, int]  # the path, and where the content starts and ends


def blocks_in(path: Path, wanted: Container[str]) -> Iterator[tuple[str, bytes]]:
    """Yields the wanted blocks of a film, with their paths; raises ``OSError``.

    Blocks that are too large or truncated are left out. Files of other kinds yield no blocks.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        is_avi = _read(file, 0, 4) == b"RIFF"
        children, parents = (_chunks, _AVI_PARENTS) if is_avi else (_boxes, _MP4_PARENTS)
        waiting, left = [children(file, "", 0, size)], MAX_BLOCKS
        while waiting and left:
            block = next(waiting[-1], None)
            if block is None:
                waiting.pop()
                continue
            left -= 1
            name, start, end = block
            if name in parents:
                waiting.append(children(file, f"{name}/", start, end))
            elif name in wanted and end <= size and end - start <= MAX_BYTES:
                yield name, _read(file, start, end - start)


def _read(file: BinaryIO, start: int, size: int) -> bytes:
    file.seek(start)
    return file.read(size)


def _boxes(file: BinaryIO, parent: str, start: int, end: int) -> Iterator[_Block]:
    if parent == "meta/":
        start += 4  # the version and flags
    while start + 8 <= end:
        header = _read(file, start, 16)
        if len(header) < 8:
            return
        size, name = struct.unpack_from(">I4s", header)
        content = start + 8
        if size == 1 and len(header) == 16:
            (size,) = struct.unpack_from(">Q", header, 8)
            content += 8
        following = start + size if size else end
        if following < content:  # the four zeros that end user data, or damage
            return
        yield parent + name.decode("latin-1"), content, following
        start = following


def _chunks(file: BinaryIO, parent: str, start: int, end: int) -> Iterator[_Block]:
    while start + 8 <= end:
        header = _read(file, start, 12)
        if len(header) < 8:
            return
        name, size = struct.unpack_from("<4sI", header)
        content, following = start + 8, start + 8 + size
        if name in (b"RIFF", b"LIST"):
            name, content = header[8:], content + 4
        yield parent + name.decode("latin-1"), content, following
        start = following + size % 2
