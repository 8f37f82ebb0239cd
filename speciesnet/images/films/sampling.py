"""Which frames of a film are examined."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction

from speciesnet.errors import InputError

MAX_FPS = 240.0
MILLISECOND = Fraction(1, 1000)


@dataclass(frozen=True)
class Sampling:
    """The choice of frames.

    Attributes:
        fps: Frames per second of the film's own clock: the first frame, then the first one at or after
            each multiple of 1 / ``fps`` seconds.
        max_frames: The maximum number of frames per film; later ones are left out. None means no
            limit.
        frames: The numbers of the frames to examine instead, from 0 in the order in which a player
            shows them; empty to choose them by ``fps``.

    Raises:
        InputError: A number is outside its range.
    """

    fps: float = 1.0
    max_frames: int | None = None
    frames: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.fps <= MAX_FPS:
            raise InputError(
                f"video_fps is {self.fps}; it must be greater than 0 and at most {MAX_FPS:g}."
            )
        if self.max_frames is not None and self.max_frames < 1:
            raise InputError(f"max_frames_per_video is {self.max_frames}; it must be at least 1.")
        if any(number < 0 for number in self.frames):
            raise InputError(f"frames contains {min(self.frames)}; frames are numbered from 0.")

    def most_frames(self, seconds: float) -> int:
        """The maximum number of frames that are examined in a film of a given duration.

        Examples:
            >>> Sampling(fps=2).most_frames(4.8)
            10
        """
        count = len(self.frames) or math.floor(seconds * self.fps) + 1
        return count if self.max_frames is None else min(count, self.max_frames)


class Chooser:
    """Chooses frames one after another, in the order in which a player shows them.

    Args:
        sampling: The choice.
        time_base: The unit of the timestamps, in seconds. Matroska and FLV round them to milliseconds:
            1/30 of a second becomes 0.033, which still counts as 1/30.
    """

    def __init__(self, sampling: Sampling, time_base: Fraction | None = None) -> None:
        self._rounding = MILLISECOND / 2 if time_base == MILLISECOND else Fraction()
        self._fps = Fraction(str(sampling.fps))
        self._numbers = frozenset(sampling.frames)
        self._left = math.inf if sampling.max_frames is None else sampling.max_frames
        self._next: int | float = 0
        self._last = max(self._numbers, default=math.inf)

    def takes(self, number: int, seconds: Fraction) -> bool:
        """Whether to examine a frame.

        Args:
            number: Its number, from 0.
            seconds: Its time after the first frame.
        """
        steps = (seconds + self._rounding) * self._fps
        is_wanted = number in self._numbers if self._numbers else steps >= self._next
        if not is_wanted or self.is_done:
            return False
        self._next = math.floor(steps) + 1
        self._left -= 1
        if number >= self._last:
            self._left = 0
        return True

    @property
    def is_done(self) -> bool:
        """Whether no further frames are needed."""
        return self._left <= 0


def parse_frames(text: str) -> tuple[int, ...]:
    """The numbers in a list such as ``0,15,30``; raises ``InputError``.

    Examples:
        >>> parse_frames("30, 0,15")
        (0, 15, 30)
    """
    if not re.fullmatch(r"\s*\d{1,9}\s*(,\s*\d{1,9}\s*)*", text):
        raise InputError(
            f"--frames is {text!r}; it must be comma-separated frame numbers from 0, such as 0,15,30."
        )
    return tuple(sorted({int(part) for part in text.split(",")}))
