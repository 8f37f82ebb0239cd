"""Passes the images and films of a run through one pair of fast networks after another."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing

from absl import logging

from speciesnet import pipeline
from speciesnet.errors import first_line
from speciesnet.pipeline import Photo
from speciesnet.pipeline.films import in_turn
from speciesnet.pipeline.guard.guard import Guard
from speciesnet.pipeline.guard.ledger import Ledger
from speciesnet.pipeline.guard.passes import Passes
from speciesnet.pipeline.guard.tally import Decided, FilmTally, Tally
from speciesnet.pipeline.guard.upgrade import Int8Upgrade
from speciesnet.pipeline.networks import Networks


class Guards:
    """Determines the answers of a run with the fastest networks that are worthwhile, or in float32.

    The guards share the passes and the ledger. When an upgrade is ready, the images that have not been
    read yet pass through its networks, if a trial shows that this saves time.

    Args:
        passes: How images pass through networks.
        exact: The float32 networks.
        ledger: Keeps the margins of finished images, separately for each guard.
        candidates: Guards that could be used, the most promising first.
        upgrade: Makes faster networks during the run.

    Attributes:
        used: Those that were used, in order.
        in_float32: Images that went through the networks in float32 only.
        films_in_float32: The same for films.
        replaced: Finished images that a wider band has reached.
        films_replaced: The same for films.
    """

    def __init__(
        self,
        passes: Passes,
        exact: Networks,
        ledger: Ledger,
        candidates: Sequence[Guard] = (),
        upgrade: Int8Upgrade | None = None,
    ) -> None:
        self._passes, self._exact, self._ledger = passes, exact, ledger
        self._candidates = list(candidates)
        self._upgrade = upgrade
        self.used: list[Guard] = []
        self._untried: list[Guard] = []
        self.in_float32 = self.replaced = self.films_in_float32 = self.films_replaced = 0

    @property
    def is_fast(self) -> bool:
        """Whether the next images pass through fast networks."""
        return bool(self._candidates) and self._candidates[0].is_fast

    @property
    def has_unsettled(self) -> bool:
        """Whether an earlier run finished images that are within its last band."""
        return self._ledger.has_unsettled

    @property
    def networks(self) -> Networks:
        """The networks that images pass through first."""
        return self._candidates[0].networks if self.is_fast else self._exact

    def load(self) -> None:
        """Loads the networks that the first images need."""
        self._passes.load(self.networks)

    def photos(
        self, paths: Sequence[str], progress: pipeline.Progress = pipeline.no_progress
    ) -> Generator[Photo, None, None]:
        """Yields each image with its final answers, starting with the images of a trial, if any."""
        left = list(paths)
        try:
            while left:
                left = yield from self._trials(left, progress)
                if self._upgrade is None or not left:
                    yield from self._fastest(left, progress)
                    return
                self._upgrade.start(paths)
                taken = _Taken(left, self._upgrade.is_ready)
                yield from self._fastest(taken, progress)
                if left := taken.left:
                    self._prefer_networks_of(self._upgrade)
        finally:
            if self._upgrade:
                self._upgrade.stop()

    def films(
        self, paths: Sequence[str], progress: pipeline.Progress = pipeline.no_progress
    ) -> Generator[Photo, None, None]:
        """Yields the frames of each film, with their final answers; ``photos`` comes first."""
        left = list(paths)
        if not self.is_fast:
            self._candidates = [*self._untried, *self._candidates]
            left = yield from self._trials(left, progress, films=True)
        if self.is_fast:
            guard = self._first()
            taken = _Taken(left, lambda: not guard.saves_time_on_films())
            yield from guard.films(taken, progress)
            if left := taken.left:
                logging.info(
                    "So many films are doubtful that the remaining ones are processed in float32."
                )
        elif left:
            logging.info(
                "Films are processed in float32, because no lower precision is known to save time."
            )
        yield from self._films_in_exact(left, progress)

    def _films_in_exact(
        self, paths: Sequence[str], progress: pipeline.Progress
    ) -> Generator[Photo, None, None]:
        self.films_in_float32 += len(paths)
        if paths:
            self._passes.load(self._exact)
            with closing(self._passes.run(paths, self._exact, progress, films=True)) as photos:
                yield from photos

    def _trials(
        self, paths: list[str], progress: pipeline.Progress, *, films: bool = False
    ) -> Generator[Photo, None, list[str]]:
        """Tries the candidates until one is worthwhile, and drops the others.

        Returns:
            The images that are left.
        """
        while self._candidates and not self.is_fast:
            guard, *others = self._candidates
            rival = others[0].cost if others and others[0].is_fast else math.inf
            paths = yield from guard.trial(paths, progress, rival, films=films)
            if not guard.is_fast:
                guard.networks.unload()
                self.in_float32 += guard.tally.images
                self.films_in_float32 += guard.film_tally.films
                if not guard.is_tried:
                    self._untried.append(guard)
                self._candidates = others
        for slower in self._candidates[1:]:
            slower.networks.unload()
        del self._candidates[1:]
        return paths

    def _fastest(
        self, paths: Iterable[str], progress: pipeline.Progress
    ) -> Generator[Photo, None, None]:
        if not self._candidates:
            with closing(self._passes.run(paths, self._exact, progress)) as photos:
                for photo in photos:
                    self.in_float32 += 1
                    yield photo
            return
        yield from self._first().photos(paths, progress)

    def _first(self) -> Guard:
        """The guard for the next images, which is added to ``used``."""
        guard = self._candidates[0]
        if guard not in self.used:
            self.used.append(guard)
        return guard

    def _prefer_networks_of(self, upgrade: Int8Upgrade) -> None:
        """Makes the networks of the upgrade the first candidate, unless they cannot be loaded."""
        self._upgrade = guard = None
        try:
            if (guard := upgrade.guard()) is not None:
                self._passes.load(guard.networks)
                self._candidates.insert(0, guard)
        except Exception as error:  # whatever it is, the run works without these networks
            if guard is not None:
                guard.networks.unload()
            logging.warning(
                "This run continues without its int8 networks, which cannot be loaded (%s). "
                "Make them again with speciesnet prepare --precision int8.",
                first_line(error).rstrip("."),
            )

    def reached(self, finished: Iterable[str]) -> list[str]:
        """The finished images that a wider band has reached."""
        return self._ledger.reached(finished)

    def again(self, paths: Sequence[str]) -> Iterator[Photo]:
        """Processes finished images and films again, in float32; a film has several photos."""

        def run(paths: Sequence[str], *, films: bool) -> Generator[Photo, None, None]:
            return self._passes.run_exact(paths, self._exact, films=films)

        for photo in in_turn(paths, run) if self._passes.films else run(paths, films=False):
            yield photo
            if photo.frame is None or photo.frame.is_last:
                self.replaced += photo.frame is None
                self.films_replaced += photo.frame is not None
                self._ledger.forget(photo.filepath)

    def forget_finished(self) -> None:
        """Forgets all images so far, because they will not be processed again."""
        for guard in self.used:
            guard.forget_finished()

    def keep_evidence(self) -> None:
        """Stores the evidence of this run for later runs."""
        for guard in self.used:
            guard.keep_evidence()

    def as_dict(self) -> dict[str, object]:
        """How the images were processed, for the settings of the run."""
        return {
            "phases": [guard.as_dict() for guard in self.used],
            "in_float32": self.in_float32,
            "replaced": self.replaced,
            **({"films_in_float32": self.films_in_float32} if self.films_in_float32 else {}),
            **({"films_replaced": self.films_replaced} if self.films_replaced else {}),
        }

    @property
    def decided(self) -> Decided:
        """How the images and films were processed so far."""
        phases: dict[tuple[str, ...], tuple[Tally, FilmTally]] = {
            tuple(guard.networks.precisions.values()): (guard.tally, guard.film_tally)
            for guard in self.used
        }
        return Decided(
            phases, self.in_float32, self.replaced, self.films_in_float32, self.films_replaced
        )


class _Taken:
    """Images that are taken one by one, until something else is ready.

    Args:
        paths: The images.
        is_over: Called before each image; True ends the iteration.
    """

    def __init__(self, paths: Sequence[str], is_over: Callable[[], bool]) -> None:
        self._paths, self._is_over = paths, is_over
        self._count = 0

    def __iter__(self) -> Iterator[str]:
        while self._count < len(self._paths) and not self._is_over():
            self._count += 1
            yield self._paths[self._count - 1]

    @property
    def left(self) -> list[str]:
        """The images that have not been taken."""
        return list(self._paths[self._count :])
