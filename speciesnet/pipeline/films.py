"""The first stage of a run on films: reads frames ahead of the networks, like photographs."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from speciesnet.constants import RunMode, available_cpus
from speciesnet.detector import InputShape
from speciesnet.engines.memory import return_memory
from speciesnet.errors import DamagedImageError, ImageError
from speciesnet.files.extensions import is_film_name
from speciesnet.images.decoding import NO_MEMORY
from speciesnet.images.films import Frame, Sampling, is_film, open_film
from speciesnet.pipeline.background import started, taken_from
from speciesnet.pipeline.earlier_steps import past_errors
from speciesnet.pipeline.photo import UNREADABLE, FilmFrame, Photo
from speciesnet.pipeline.progress import Profile
from speciesnet.records import Record

# Films that are read at the same time: a frame of 4K takes 25 MB, its decoder ten times that ...
MAX_FILMS = 2
FRAMES_AHEAD = 2  # ... and frames of each that wait
TIME_TOLERANCE = 0.001  # seconds within which times are the same: some files are rounded
OTHER_FRAMES = "its frames are not those of its detections. Run the detector again"


@dataclass(frozen=True)
class _PastFrames:
    """The frames in which an earlier run looked for boxes.

    Attributes:
        sampling: Their numbers.
        times: The times of those with boxes, in seconds, by number.
    """

    sampling: Sampling
    times: Mapping[int, float]

    @classmethod
    def of(cls, detected: Record | None) -> _PastFrames | None:
        """The frames in a record; None if the detector failed on the film."""
        boxes = detected.get("detections") if detected else None
        if detected is None or boxes is None:
            return None
        times = {
            box["frame_number"]: box["timestamp"]
            for box in boxes
            if "frame_number" in box and "timestamp" in box
        }
        return cls(Sampling(frames=tuple(detected.get("frames_processed", ()))), times)

    def checked(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Passes the frames on; raises ``ImageError`` if they are not the expected ones."""
        if not self.sampling.frames:
            raise ImageError("its detections do not say which frames they belong to")
        expected = list(self.sampling.frames)
        for frame in frames:
            time = self.times.get(frame.number, frame.seconds)
            if frame.number != expected.pop(0) or abs(frame.seconds - time) > TIME_TOLERANCE:
                raise ImageError(OTHER_FRAMES)
            yield frame
        if expected:
            raise ImageError(OTHER_FRAMES)


@dataclass(frozen=True)
class FilmReader:
    """How films are read.

    Attributes:
        sampling: Which frames are examined.
        input_shape: The detector's input, if it is needed.
        keep_image: Whether a later stage needs the full resolution.
        detections: The detector's records by filepath; their frames are read instead.
    """

    sampling: Sampling
    input_shape: InputShape | None = None
    keep_image: bool = True
    detections: Mapping[str, Record] = field(default_factory=dict)

    def photos(self, filepath: str) -> Generator[Photo, None, None]:
        """Yields the frames of a film, the last one marked.

        If the film has no frames, or lacks some that its detections belong to, the last photo
        represents a film that cannot be read.

        Raises:
            InputError: Its detections are malformed.
        """
        # Not in the thread that reads the film: the records come from one file.
        with past_errors(filepath):
            past = _PastFrames.of(self.detections.get(filepath))
        return self._photos(filepath, past)

    def _photos(self, filepath: str, past: _PastFrames | None) -> Generator[Photo, None, None]:
        last: Photo | None = None
        start = time.perf_counter()
        sampling = self.sampling if past is None else past.sampling
        try:
            with open_film(filepath, sampling) as (film, frames), closing(frames):
                try:
                    for frame in past.checked(frames) if past else frames:
                        photo = self._photo(filepath, frame.image)
                        photo.frame = FilmFrame(frame.number, frame.seconds, film)
                        photo.metadata = film.metadata
                        photo.seconds = time.perf_counter() - start
                        if last is not None:
                            yield last
                        last, start = photo, time.perf_counter()
                        del frame, photo
                except (ImageError, MemoryError):
                    if last is None or past is not None:
                        raise
                    film.failed += 1
                if last is None:
                    raise DamagedImageError("it has none of the frames that --frames names")
        except (ImageError, MemoryError) as error:
            reason = NO_MEMORY if isinstance(error, MemoryError) else str(error)
            last = Photo(filepath, error=reason, is_damaged=isinstance(error, DamagedImageError))
            last.frame = UNREADABLE
            last.seconds = time.perf_counter() - start
        assert last.frame is not None
        last.frame = replace(last.frame, is_last=True)
        return_memory()
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
    """Yields the frames of films, one film after another; a few films are read at the same time.

    Only a few frames of each film are kept in memory, however long it is.

    Args:
        filepaths: The films.
        reader: How they are read.
        run_mode: ``single_thread`` reads a frame when it is asked for; otherwise threads read ahead.
        readers: The maximum number of films to read at the same time; None chooses it.
        profile: Collects the seconds spent in the stage.
        stop: Ends the stage even while its consumer waits for a frame.
    """
    profile = profile or Profile()
    ended = threading.Event()

    def started_film(photos: Generator[Photo, None, None]) -> Iterator[Photo]:
        return taken_from(started(photos, FRAMES_AHEAD, ended)[0], stop or ended)

    if run_mode == "single_thread":
        films = map(reader.photos, filepaths)
    else:
        limit = min(readers or available_cpus(), MAX_FILMS)
        films = _ahead(map(started_film, map(reader.photos, filepaths)), limit)
    try:
        for film in films:
            for photo in film:
                profile.add("reading and decoding", photo.seconds)
                yield photo
                del photo  # or this frame holds it until the next one is asked for
    finally:
        ended.set()


def _ahead(films: Iterator[Iterator[Photo]], limit: int) -> Iterator[Iterator[Photo]]:
    """Yields films in order, starting each of them up to ``limit`` films ahead."""
    waiting: deque[Iterator[Photo]] = deque()
    for film in films:
        waiting.append(film)
        if len(waiting) == limit:
            yield waiting.popleft()
    yield from waiting


def split_films(filepaths: Iterable[str]) -> tuple[list[str], list[str]]:
    """The photographs and the films, by the extensions of their names."""
    photographs: list[str] = []
    films: list[str] = []
    for path in filepaths:
        (films if is_film_name(path) else photographs).append(path)
    return photographs, films


def is_film_inside(photo: Photo) -> bool:
    """Whether an image that cannot be decoded is a film with a photograph's extension."""
    return photo.is_damaged and photo.frame is None and is_film(photo.filepath)


class PhotosOf(Protocol):
    """Passes images, or the frames of films, through the stages of a run."""

    def __call__(self, paths: Sequence[str], *, films: bool) -> Generator[Photo, None, None]:
        """Yields one photo for each path, or for each frame of a film."""
        ...


def in_turn(filepaths: Sequence[str], photos_of: PhotosOf) -> Generator[Photo, None, None]:
    """Yields photographs first, and then films, including those with the names of photographs."""
    photographs, films = split_films(filepaths)
    with closing(photos_of(photographs, films=False)) as photos:
        for photo in photos:
            if is_film_inside(photo):
                films.append(photo.filepath)
            else:
                yield photo
    if films:
        yield from photos_of(films, films=True)


def with_frames(photos: Iterable[Photo]) -> Iterator[list[Photo]]:
    """Groups the consecutive frames of each film; each photograph is its own group."""
    frames: list[Photo] = []
    for photo in photos:
        frames.append(photo)
        if photo.frame is None or photo.frame.is_last:
            yield frames
            frames = []
