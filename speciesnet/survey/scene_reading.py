"""Reads some photographs of each day, small, to compare the scenes that they show."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from speciesnet.errors import ImageError
from speciesnet.files.clouds import RemoteError
from speciesnet.files.extensions import is_film_name
from speciesnet.files.moved_photographs import Photographs
from speciesnet.images.decoding import read_small
from speciesnet.survey.reliable_dates import Taken
from speciesnet.survey.scenes import SIZE, Look, look

PICTURES = 360  # the approximate number for a deployment
FEWEST, MOST = 3, 24  # pictures of one day


@dataclass
class SceneReader:
    """Reads photographs for ``scene_changes``; only one deployment's small pictures are in memory.

    Attributes:
        photographs: Finds the photographs.
        threads: The number of photographs to read in parallel.
        on_read: Called after each photograph.
        read: The number of photographs read so far.
        unreadable: The number of those that could not be read.
        films: The number of films, which are left out.
    """

    photographs: Photographs
    threads: int = 2
    on_read: Callable[[], None] = lambda: None
    read: int = 0
    unreadable: int = 0
    films: int = 0

    def looks(self, chosen: Sequence[Taken]) -> list[Look]:
        """The photographs that can be read, in order, see ``chosen_pictures``.

        Raises:
            CredentialsError: The credentials for the bucket of a photograph have expired or are refused.
        """
        found: list[Look] = []
        with ThreadPoolExecutor(self.threads, thread_name_prefix="scenes") as executor:
            for one in executor.map(self._look, chosen):
                self.on_read()
                self.unreadable += one == "unreadable"
                if isinstance(one, Look):
                    found.append(one)
        self.read += len(found)
        return found

    def _look(self, taken: Taken) -> Look | Literal["missing", "unreadable"]:
        path = self.photographs.source(taken.filepath)
        if path is None:
            return "missing"
        try:
            return look(taken.moment, taken.filepath, read_small(str(path), SIZE))
        except ImageError as error:
            if not isinstance(path, Path) and isinstance(error.__cause__, RemoteError):
                self.photographs.not_there(taken.filepath)
                return "missing"
            return "unreadable"


def chosen_pictures(taken: Iterable[Taken]) -> list[Taken]:
    """Some photographs of each day, spread over its hours, without films; in chronological order.

    A deployment of two months has 6 a day, a shorter one more, a longer one fewer: see ``PICTURES``.
    A thousand photographs of one hour count like one.

    Args:
        taken: The photographs of a deployment, in chronological order.
    """
    by_day: dict[date, list[Taken]] = defaultdict(list)
    for one in taken:
        if not is_film_name(one.filepath):
            by_day[one.moment.date()].append(one)
    slots = min(max(round(PICTURES / max(len(by_day), 1)), FEWEST), MOST)
    found = []
    for members in by_day.values():
        by_slot: dict[int, list[Taken]] = defaultdict(list)
        for one in members:
            by_slot[one.moment.hour * slots // 24].append(one)
        found += [some[len(some) // 2] for _, some in sorted(by_slot.items())]
    return found
