"""The first stage of a run on films: reads frames ahead of the networks, like photographs."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from speciesnet.constants import RunMode, available_cpus
from speciesnet.detector import InputShape
from speciesnet.errors import DamagedImageError, ImageError
from speciesnet.files.listing import is_film_name
from speciesnet.films import Film, Sampling, is_film, open_film
from speciesnet.images import NO_MEMORY
from speciesnet.pipeline.background import put_until
from speciesnet.pipeline.photo import FilmFrame, Photo
from speciesnet.progress import Profile

MAX_FILMS = (
    2  # that are read at the same time: a frame of 4K takes 25 MB, its decoder ten times that ...
)
FRAMES_AHEAD = 2  # ... and frames of each that wait


@dataclass(frozen=True)
class FilmReader:
    """How films are read.

    Attributes:
        sampling: Which frames are examined.
        input_shape: The detector's input, if it is needed.
        keep_image: Whether a later stage needs the full resolution.
    """

    sampling: Sampling
    input_shape: InputShape | None = None
    keep_image: bool = True

    def photos(self, filepath: str) -> Generator[Photo, None, None]:
        """Yields the frames of a film, the last one marked; a single photo if it cannot be read."""
        last: Photo | None = None
        start = time.perf_counter()
        try:
            with open_film(filepath, self.sampling) as (film, frames), closing(frames):
                try:
                    for frame in frames:
                        photo = self._photo(filepath, frame.image)
                        photo.frame = FilmFrame(frame.number, frame.seconds, film)
                        photo.metadata = film.metadata
                        photo.seconds = time.perf_counter() - start
                        if last is not None:
                            yield last
                        last, start = photo, time.perf_counter()
                        del frame, photo
                except (ImageError, MemoryError):
                    if last is None:
                        raise
                    film.failed += 1
                if last is None:
                    raise DamagedImageError("it has none of the frames that --frames names")
        except (ImageError, MemoryError) as error:
            reason = NO_MEMORY if isinstance(error, MemoryError) else str(error)
            last = Photo(filepath, error=reason, is_damaged=isinstance(error, DamagedImageError))
            last.frame = FilmFrame(-1, 0.0, Film(0.0, 0.0))
            last.seconds = time.perf_counter() - start
        assert last.frame is not None
        last.frame = replace(last.frame, is_last=True)
        yield last

    def _photo(self, filepath: str, image: NDArray[np.uint8]) -> Photo:
        return Photo(
            filepath,
            image=image if self.keep_image else None,
            letterboxed=self.input_shape.fit(image) if self.input_shape else None,
        )


def read_films(
    filepaths: Iterable[str],
    reader: FilmReader,
    run_mode: RunMode = "multi_thread",
    readers: int | None = None,
    profile: Profile | None = None,
    stop: threading.Event | None = None,
) -> Generator[Photo, None, None]:
    """Yields the frames of films, film by film in order; a few films are read at the same time.

    Memory holds some frames of each of them, whatever their lengths.

    Args:
        filepaths: The films.
        reader: How they are read.
        run_mode: ``single_thread`` reads a frame when it is asked for; otherwise threads read ahead.
        readers: The number of films that are read at the same time, at most; None chooses.
        profile: Collects the seconds of the stage.
        stop: Ends it where its consumer cannot: while that waits for a frame.
    """
    profile = profile or Profile()
    ended = threading.Event()
    start = partial(_started, ended=ended, stop=stop or ended)
    if run_mode == "single_thread":
        films = map(reader.photos, filepaths)
    else:
        limit = min(readers or available_cpus(), MAX_FILMS)
        films = _ahead(map(start, map(reader.photos, filepaths)), limit)
    try:
        for film in films:
            for photo in film:
                profile.add("reading and decoding", photo.seconds)
                yield photo
                del photo  # or this frame holds it until the next one is asked for
    finally:
        ended.set()


def _ahead(films: Iterator[Iterator[Photo]], limit: int) -> Iterator[Iterator[Photo]]:
    """Yields films in order, and starts each of them up to ``limit`` films ahead."""
    waiting: deque[Iterator[Photo]] = deque()
    for film in films:
        waiting.append(film)
        if len(waiting) == limit:
            yield waiting.popleft()
    yield from waiting


def _started(
    photos: Generator[Photo, None, None], ended: threading.Event, stop: threading.Event
) -> Iterator[Photo]:
    """Starts to read a film in a thread of its own."""
    waiting: queue.Queue[Photo | BaseException | None] = queue.Queue(FRAMES_AHEAD)

    def work() -> None:
        try:
            with closing(photos):
                for photo in photos:
                    put_until(waiting, photo, ended)
                    if ended.is_set():
                        return
            put_until(waiting, None, ended)
        except BaseException as error:  # or the consumer would wait forever
            put_until(waiting, error, ended)

    threading.Thread(target=work, name="film", daemon=True).start()

    def found() -> Iterator[Photo]:
        while not stop.is_set():
            try:
                item = waiting.get(timeout=0.2)
            except queue.Empty:
                continue
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item
            del item

    return found()


def split_films(filepaths: Iterable[str]) -> tuple[list[str], list[str]]:
    """The photographs and the films, by the extensions of their names."""
    photographs: list[str] = []
    films: list[str] = []
    for path in filepaths:
        (films if is_film_name(path) else photographs).append(path)
    return photographs, films


def is_film_inside(photo: Photo) -> bool:
    """Whether an image that cannot be decoded is a film with the name of a photograph."""
    return photo.is_damaged and photo.frame is None and is_film(photo.filepath)


def with_frames(photos: Iterable[Photo]) -> Iterator[list[Photo]]:
    """Gathers the frames of each film, which follow one another; a photograph is alone."""
    frames: list[Photo] = []
    for photo in photos:
        frames.append(photo)
        if photo.frame is None or photo.frame.is_last:
            yield frames
            frames = []
