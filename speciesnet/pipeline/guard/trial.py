"""A trial: some images of a run go through both the fast and the float32 networks."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

from absl import logging

from speciesnet import pipeline
from speciesnet.pipeline import WHOLE, Photo
from speciesnet.pipeline.guard.bands import Errors, Evidence, errors_of
from speciesnet.pipeline.guard.cache import Verdict
from speciesnet.pipeline.guard.margins import margin_of
from speciesnet.pipeline.guard.passes import Passes, place_of
from speciesnet.pipeline.guard.stability import MAX_RIVALS, lowest_confidence
from speciesnet.pipeline.networks import Networks, ReducedNetworks

WORTH_A_TRIAL = 100  # images; with fewer, a trial takes more time than it saves
TRIAL = (24, 96)  # the fewest and the most images in a trial ...
TRIAL_SHARE = 20  # ... otherwise one in this many of the run
FILMS_WORTH_A_TRIAL = 16  # films; most have ten frames or more
FILMS = (4, 12)  # the fewest and the most films in a trial ...
FILMS_SHARE = 8  # ... otherwise one in this many of the run ...
FRAMES = 8  # ... of each, this many frames are compared as if they were images
NEEDED_READABLE = 16  # the minimum number of readable images in a trial
TRIAL_FLOOR = 1.0  # log odds below the threshold down to which a trial looks at faint boxes
WORTHWHILE = 0.95  # the maximum share of float32's time that a lower precision may take


def trial_of(paths: Sequence[str], *, films: bool = False) -> list[str]:
    """The images or films for a trial, spread evenly over the run; empty if the run is too short."""
    worth_it, share, (least, most) = (
        (FILMS_WORTH_A_TRIAL, FILMS_SHARE, FILMS) if films else (WORTH_A_TRIAL, TRIAL_SHARE, TRIAL)
    )
    if len(paths) < worth_it:
        return []
    count = min(max(least, len(paths) // share), most)
    return [paths[i * len(paths) // count] for i in range(count)]


def pays(verdict: Verdict, rival: float = math.inf) -> bool:
    """Whether fast networks save time compared with float32 and with others of a known cost."""
    return verdict.cost <= WORTHWHILE and verdict.cost < rival


@dataclass(frozen=True)
class Trial:
    """Compares the fast networks with the float32 networks.

    Attributes:
        passes: How images pass through networks.
        exact: The float32 networks.
        fast: The networks in the lower precision.
        rival: The cost of the networks that would be used instead; see ``Verdict``.
        films: Whether the images are the first frames of films.
    """

    passes: Passes
    exact: Networks
    fast: ReducedNetworks
    rival: float = math.inf
    films: bool = False

    def photos(
        self, paths: Sequence[str], progress: pipeline.Progress
    ) -> Generator[Photo, None, Verdict | None]:
        """Yields images processed in float32, and then passes them through the fast networks.

        Films are processed in float32 to the end, because these are their final answers, but only their
        first frames are compared.

        Returns:
            A verdict on the fast networks; None if they fail or too few images can be read.
        """
        noun = "films" if self.films else "images"
        logging.info("Trying a lower precision on %d %s of the run.", len(paths), noun)
        self.passes.load(self.exact)
        started = time.perf_counter()
        exact, count = [], 0
        for photo in self.passes.run_exact(paths, self.exact, progress, self.films):
            if not self.films or sum(one.filepath == photo.filepath for one in exact) < FRAMES:
                exact.append(photo)
            count += 1
            yield photo
        slow = time.perf_counter() - started
        try:
            self.passes.load(self.fast)
            started = time.perf_counter()
            fast = self._fast_photos(paths)
            quick = (time.perf_counter() - started) * (count / max(len(fast), 1))
            again = self._reclassified(fast)
        except Exception as error:  # whatever it is, float32 has just worked
            logging.warning(
                "A lower precision is not used, because it failed (%s: %s).",
                type(error).__name__,
                error,
            )
            return None
        verdict = _verdict(self.passes, exact, fast, again, quick / slow)
        if verdict is not None:
            logging.info(
                "Including the images processed again, %s takes %.0f%% as long as float32: it "
                "is %s.",
                " and ".join(dict.fromkeys(self.fast.precisions.values())),
                100 * verdict.cost,
                "used" if pays(verdict, self.rival) else "not used",
            )
        return verdict

    def _fast_photos(self, paths: Sequence[str]) -> list[Photo]:
        floor = lowest_confidence(TRIAL_FLOOR)
        run = self._first_frames.run
        return list(run(paths, self.fast, films=self.films, threshold=floor, rivals=_first_rivals))

    @property
    def _first_frames(self) -> Passes:
        """The passes, with only a few frames of each film."""
        films = self.passes.films
        if not self.films or films is None:
            return self.passes
        most = FRAMES if films.max_frames is None else min(films.max_frames, FRAMES)
        return replace(self.passes, films=replace(films, max_frames=most))

    def _reclassified(self, fast: Sequence[Photo]) -> Sequence[Photo | None]:
        """The images after the float32 classifier on the fast detector's boxes, if that is a step."""
        if not self.passes.has_middle(self.fast):
            return [None] * len(fast)
        return list(
            self._first_frames.classify_again(fast, self.exact, _first_rivals, films=self.films)
        )


def _verdict(
    passes: Passes,
    exact: Sequence[Photo],
    fast: Sequence[Photo],
    again: Sequence[Photo | None],
    time_ratio: float,
) -> Verdict | None:
    """Derives the errors of the fast networks, and their cost, from a trial."""
    found: list[Errors] = []
    tried: list[Photo] = []
    by_place = {place_of(two): (two, three) for two, three in zip(fast, again, strict=True)}
    for one in exact:
        two, three = by_place.get(place_of(one), (None, None))
        if two is None:  # a frame that could not be read again
            continue
        errors = errors_of(two, one, passes.decisions, three)
        if errors is not None:
            found.append(errors)
            tried.append(two)
    if len(found) < NEEDED_READABLE:
        logging.warning("Too few of the trial's images can be read.")
        return None
    evidence = Evidence.of(found)
    evidence.margins = [margin_of(photo, passes, evidence) for photo in tried]
    band = evidence.band()
    doubtful = sum(margin <= band for margin in evidence.margins) / len(evidence.margins)
    logging.info(
        "In the trial, %.0f%% of the images were doubtful in the lower precision, which took %.0f%% "
        "as long as float32.",
        100 * doubtful,
        100 * time_ratio,
    )
    return Verdict(evidence, time_ratio + doubtful)


def _first_rivals(photo: Photo) -> list[int]:
    count = len(photo.detections or ()) + len(photo.faint)
    return [*range(min(count, MAX_RIVALS)), WHOLE]
