"""Passes images and films through the fast networks, and doubtful ones through the float32 networks."""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict

from absl import logging

from speciesnet import pipeline
from speciesnet.pipeline import Photo
from speciesnet.pipeline.films import with_frames
from speciesnet.pipeline.guard.bands import Evidence, errors_of
from speciesnet.pipeline.guard.cache import EvidenceCache, Verdict
from speciesnet.pipeline.guard.films import film_decision
from speciesnet.pipeline.guard.ledger import Ledger
from speciesnet.pipeline.guard.margins import Band, Subject
from speciesnet.pipeline.guard.passes import Passes, place_of
from speciesnet.pipeline.guard.tally import FilmTally, Tally
from speciesnet.pipeline.guard.trial import WORTHWHILE, Trial, pays, trial_of
from speciesnet.pipeline.networks import Networks, ReducedNetworks

AUDITED = 100  # one image in this many is also processed in float32, whatever its margin
CHUNK = 32  # images between two checks of the doubtful ones
FRAMES_NOTED = 32  # frames whose errors are noted, of a film that went through both networks
ENOUGH_FRAMES = 200  # frames of films that show how many must be processed again


class Guard:
    """Determines answers with one pair of fast networks, or in float32 where the answer could differ.

    Args:
        passes: How images pass through networks.
        exact: The float32 networks.
        fast: The networks in the lower precision.
        cache: Keeps the errors of the fast networks for later runs.
        ledger: Keeps the margins of finished images.
        evidence: The errors of the fast networks; None if they need a trial.
        cost: Their time relative to float32; see ``Verdict``.

    Attributes:
        tally: How the images were processed.
        film_tally: How the films were processed.
        is_fast: Whether the fast networks are known to save time.
        is_tried: Whether there has been a trial in this run.
        cost: See above.
    """

    def __init__(
        self,
        passes: Passes,
        exact: Networks,
        fast: ReducedNetworks,
        cache: EvidenceCache,
        ledger: Ledger,
        evidence: Evidence | None = None,
        cost: float = math.inf,
    ) -> None:
        self._passes = passes
        self._exact, self.networks = exact, fast
        self._cache, self._ledger = cache, ledger
        self._section = ledger.section(cache.key)
        self.tally, self.film_tally = Tally(), FilmTally()
        self.cost = cost
        self._band = Band(passes)
        self.is_fast = evidence is not None
        self.is_tried = False
        if evidence is not None:
            self._trust(evidence)

    @classmethod
    def resumed(
        cls,
        passes: Passes,
        exact: Networks,
        fast: ReducedNetworks,
        cache: EvidenceCache,
        ledger: Ledger,
    ) -> Guard | None:
        """A guard with the evidence of earlier runs; None if they showed that it saves no time."""
        evidence, verdict = ledger.section(cache.key).evidence, cache.read()
        if verdict is None:
            return cls(passes, exact, fast, cache, ledger, evidence)
        if evidence is None and not pays(verdict):
            return None
        return cls(passes, exact, fast, cache, ledger, evidence or verdict.evidence, verdict.cost)

    def as_dict(self) -> dict[str, object]:
        """The precision of the networks, the band and the tally, for the settings of the run."""
        return {
            "networks": self.networks.precisions,
            **self._band.as_dict(),
            "decided": asdict(self.tally),
            **({"films_decided": asdict(self.film_tally)} if self.film_tally.films else {}),
        }

    @property
    def band(self) -> float:
        """The margin up to which images are processed in float32, in units of the evidence."""
        return self._band.width

    def _trust(self, evidence: Evidence) -> None:
        section = self._section
        self._band = Band(self._passes, evidence, section.band, section.reach)

    def _keep_band(self) -> None:
        band = self._band
        self._ledger.set_band(self._section, band.evidence, band.width, band.reach)

    def trial(
        self,
        paths: Sequence[str],
        progress: pipeline.Progress = pipeline.no_progress,
        rival: float = math.inf,
        *,
        films: bool = False,
    ) -> Generator[Photo, None, list[str]]:
        """Yields images processed in float32, and determines whether the fast networks are worthwhile.

        Args:
            paths: Images; if they are too few, there is no trial.
            progress: Called for each image that leaves a stage.
            rival: The cost of the networks that would be used instead.
            films: Whether the paths are those of films.

        Returns:
            The other images.
        """
        if not (tried := trial_of(paths, films=films)):
            return list(paths)
        trial = Trial(self._passes, self._exact, self.networks, rival, films)
        self.is_tried = True
        verdict = yield from trial.photos(tried, progress)
        if films:
            self.film_tally.add_exact(len(tried))
        else:
            self.tally.images += len(tried)
            self.tally.detected_again += len(tried)
        if verdict is not None:
            self._cache.write(verdict)
            self.cost = verdict.cost
            if pays(verdict, rival):
                self.is_fast = True
                self._trust(verdict.evidence)
        left = set(tried)
        return [path for path in paths if path not in left]

    def photos(
        self, paths: Iterable[str], progress: pipeline.Progress = pipeline.no_progress
    ) -> Generator[Photo, None, None]:
        """Yields each image, in order, with its final answers."""
        self._keep_band()
        size = 1  # the first record should not wait for many images
        with closing(self._fast_photos(paths, progress)) as photos:
            while chunk := list(itertools.islice(photos, size)):
                yield from self._settled(chunk)
                size = min(2 * size, CHUNK)

    def forget_finished(self) -> None:
        """Forgets all images so far, because they will not be processed again."""
        self._section.margins.clear()
        self._band.extend_reach()
        self._keep_band()

    def films(
        self, paths: Iterable[str], progress: pipeline.Progress = pipeline.no_progress
    ) -> Generator[Photo, None, None]:
        """Yields the frames of each film, in order, with their final answers."""
        self._keep_band()
        with closing(self._fast_photos(paths, progress, films=True)) as photos:
            for frames in with_frames(_without_needless_boxes(photos, self._band)):
                yield from self._settled_film(frames)

    def saves_time_on_films(self) -> bool:
        """Whether so few films are doubtful that the fast networks save time; called from any thread."""
        tally = self.film_tally
        if tally.frames < ENOUGH_FRAMES or not math.isfinite(self.cost):
            return True
        ratio = max(self.cost - self._band.doubtful_share, 0.0)
        return ratio + tally.frames_again / tally.frames <= WORTHWHILE

    def keep_evidence(self) -> None:
        """Stores the evidence of this run for later runs."""
        if math.isfinite(self.cost):  # it is unknown after a resume without a cached verdict
            self._cache.write(Verdict(self._band.evidence, self.cost))

    def _fast_photos(
        self, paths: Iterable[str], progress: pipeline.Progress, *, films: bool = False
    ) -> Generator[Photo, None, None]:
        band = self._band
        return self._passes.run(
            paths,
            self.networks,
            progress,
            films=films,
            threshold=band.faintest_in_films if films else band.faintest,
            rivals=band.rivals,
        )

    def _settled(self, photos: Sequence[Photo]) -> Iterator[Photo]:
        """Yields images in order, doubtful ones after they have been processed in float32."""
        band = self._band
        kept: dict[str, float] = {}
        again: list[Photo] = []
        exact: dict[str, Photo] = {photo.filepath: photo for photo in photos if photo.error is None}
        has_middle = self._passes.has_middle(self.networks)
        self.tally.images += len(photos)
        for photo in exact.values():
            if _is_audited(photo.filepath):
                continue
            if band.is_certain(photo):
                kept[photo.filepath] = band.margin_within_reach(photo)
            elif has_middle and band.is_box_certain(photo):
                again.append(photo)
        settled = {path: exact[path] for path in kept}
        if again:
            for photo in self._passes.classify_again(again, self._exact, band.rivals):
                if photo.error is None and band.is_certain(photo, crop=True):
                    settled[photo.filepath] = photo
                    kept[photo.filepath] = band.width
                    self.tally.classified_again += 1
        rest = [path for path in exact if path not in settled]
        for photo in self._passes.run_exact(rest, self._exact) if rest else ():
            self._compare([exact[photo.filepath]], [photo])
            settled[photo.filepath] = photo
            self.tally.detected_again += 1
        self._ledger.note(self._section, {path: m for path, m in kept.items() if m < band.reach})
        for photo in photos:
            yield settled.get(photo.filepath, photo)

    def _settled_film(self, frames: Sequence[Photo]) -> Sequence[Photo]:
        """The frames of a film, all of them from the float32 networks if it is doubtful."""
        if any(frame.error is not None for frame in frames):
            self.film_tally.films += 1
            return frames
        path, band = frames[0].filepath, self._band
        is_again = _is_audited(path) or not band.is_certain(frames)
        self.film_tally.add(len(frames), is_again=is_again)
        if not is_again:
            margin = band.margin_within_reach(frames)
            self._ledger.note(self._section, {path: margin} if margin < band.reach else {})
            return frames
        exact = list(self._passes.run_exact([path], self._exact, films=True))
        self._compare(frames, exact)
        return exact

    def _compare(self, fast: Sequence[Photo], exact: Sequence[Photo]) -> None:
        """Adds the evidence of an image, or a film's frames, that went through both pairs of networks."""
        band, decisions, path = self._band, self._passes.decisions, fast[0].filepath
        if list(map(place_of, fast)) != list(map(place_of, exact)):
            return  # it could not be read again
        pairs = list(zip(fast, exact, strict=True))[:: math.ceil(len(fast) / FRAMES_NOTED)]
        found = [errors_of(*pair, decisions) for pair in pairs]
        for errors in found:
            if errors is not None:
                band.evidence.add(errors)
        if None in found or not _is_audited(path):
            return
        subject: Subject
        if fast[0].frame is None:
            subject, tally = fast[0], self.tally
            differs = decisions.decision_of(fast[0]) != decisions.decision_of(exact[0])
        else:
            subject, tally = fast, self.film_tally
            differs = film_decision(fast, decisions) != film_decision(exact, decisions)
        tally.audited += 1
        margin = band.margin_of(subject)
        band.evidence.add_margin(margin)
        if differs and margin > band.width:
            tally.differed += 1
            band.evidence.disagree(margin)
            logging.warning(
                "%s gets a different answer in float32; the guard band becomes wider.", path
            )
        if band.widen():
            self._keep_band()


def _without_needless_boxes(frames: Iterable[Photo], band: Band) -> Iterator[Photo]:
    for frame in frames:
        if frame.faint:
            band.forget_needless_boxes(frame)
        yield frame


def _is_audited(filepath: str) -> bool:
    """Whether an image is audited; the choice is random, but always the same for a path."""
    return zlib.crc32(filepath.encode("utf-8", "replace")) % AUDITED == 0
