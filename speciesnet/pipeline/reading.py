"""The first stage: reads images ahead of the networks, within a memory limit."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from speciesnet.constants import RunMode, available_cpus
from speciesnet.detector import InputShape
from speciesnet.errors import DamagedImageError, ImageError, InputError
from speciesnet.files.storage import scheme_of
from speciesnet.images.decoding import FLAW, NO_MEMORY, read_photograph, to_array
from speciesnet.images.films import is_film
from speciesnet.pipeline.photo import Photo
from speciesnet.pipeline.progress import Profile

MAX_READERS = 8
REMOTE_READERS = 32  # they wait for the network, and do not compute
READ_AHEAD = 2  # images for each reader that are being read, or decoded and waiting ...
READ_AHEAD_BYTES = 2**28  # ... and the most memory for all of them, except for a single image
ASSUMED_BYTES = 2**26  # size of the first images, until ...
ENOUGH_SEEN = 4  # ... so many have been read
FILM = "it is a film, and --videos skip leaves films out"
END_SECONDS = 2.0  # given to readers when a run ends early; a server may keep them waiting


def read_photo(
    filepath: str, input_shape: InputShape | None = None, keep_image: bool = True
) -> Photo:
    """Reads an image; if that fails, ``error`` gives the reason.

    Args:
        filepath: Path or URL.
        input_shape: The detector's input, if it is needed.
        keep_image: Whether a later stage needs the full resolution.
    """
    start = time.perf_counter()
    try:
        picture, metadata = read_photograph(filepath)
        image = to_array(picture)
        letterboxed = input_shape.fit(image) if input_shape else None
    except ImageError as error:
        return Photo(
            filepath,
            error=FILM if is_film(filepath) else str(error),
            is_damaged=isinstance(error, DamagedImageError),
            seconds=time.perf_counter() - start,
        )
    except MemoryError:  # a huge image; the next ones may fit
        return Photo(filepath, error=NO_MEMORY, seconds=time.perf_counter() - start)
    return Photo(
        filepath,
        flaw=picture.info.get(FLAW),
        seconds=time.perf_counter() - start,
        image=image if keep_image else None,
        letterboxed=letterboxed,
        metadata=metadata,
    )


class _ReadAhead:
    """Limits how many images are read ahead; their sizes are known only after reading.

    Args:
        images: The limit for small images.
    """

    def __init__(self, images: int) -> None:
        self._images = images
        self._sizes = deque([ASSUMED_BYTES], maxlen=images)
        self._seen = 0

    def room(self) -> int:
        """The number of images, at least one, whose pixels fit into ``READ_AHEAD_BYTES``."""
        return min(max(READ_AHEAD_BYTES // max(self._sizes), 1), self._images)

    def note(self, nbytes: int) -> None:
        """Notes the size of an image in bytes; the largest recent image determines the limit."""
        if not nbytes:
            return
        self._sizes.append(nbytes)
        self._seen += 1
        if self._seen == ENOUGH_SEEN and len(self._sizes) > self._seen:
            self._sizes.popleft()  # the assumed one


def read_photos(
    filepaths: Iterable[str],
    read: Callable[[str], Photo],
    run_mode: RunMode = "multi_thread",
    readers: int | None = None,
    profile: Profile | None = None,
    stop: threading.Event | None = None,
) -> Generator[Photo, None, None]:
    """The first stage: reads images ahead and yields them in order; the arguments are those of ``run``.

    ``stop`` ends the stage even while its consumer waits for an image.
    """
    profile, stop = profile or Profile(), stop or threading.Event()
    if run_mode == "single_thread":
        for photo in map(read, filepaths):
            profile.add("reading and decoding", photo.seconds)
            yield photo
            del photo  # or this frame holds the image until the next one is asked for
        return
    readers = readers or readers_for(filepaths, run_mode)
    paths = iter(filepaths)
    reading: deque[Future[Photo]] = deque()
    photo: Photo | None = None
    read_ahead = _ReadAhead(readers * READ_AHEAD)
    executor = _executor(run_mode, readers)
    try:
        while True:
            for path in itertools.islice(paths, max(read_ahead.room() - len(reading), 0)):
                reading.append(executor.submit(read, path))
            if photo is not None:
                yield photo
                photo = None  # as above
            if not reading:
                return
            while not wait([reading[0]], timeout=0.2).done:
                if stop.is_set():
                    return
            photo = reading.popleft().result()
            read_ahead.note(photo.nbytes)
            profile.add("reading and decoding", photo.seconds)
    except BrokenProcessPool as error:
        raise InputError(
            "A process that reads images died, perhaps for lack of memory. Add --run_mode multi_thread."
        ) from error
    finally:
        running = [future for future in reading if not future.cancel()]
        executor.shutdown(wait=not wait(running, timeout=END_SECONDS).not_done)


def readers_for(filepaths: Iterable[str], run_mode: RunMode) -> int:
    """How many threads or processes read images, unless the user has chosen a number."""
    # Only lists are searched: other iterables may be endless or slow.
    known = filepaths if isinstance(filepaths, Sequence) else ()
    is_remote = run_mode == "multi_thread" and any(map(scheme_of, known))
    return REMOTE_READERS if is_remote else min(available_cpus(), MAX_READERS)


def _executor(run_mode: RunMode, readers: int) -> Executor:
    if run_mode != "multi_process":
        return ThreadPoolExecutor(readers, thread_name_prefix="read")
    # Not a fork: the frameworks' threads do not survive one.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(readers, mp_context=context, initializer=_end_with_parent)


def _end_with_parent() -> None:
    """In a child process: leaves Ctrl-C to the parent, and ends when the parent dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
