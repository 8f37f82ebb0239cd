"""Passes images through the fast networks, and doubtful ones through the float32 networks."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict

from absl import logging

from speciesnet import pipeline
from speciesnet.networks import Networks, ReducedNetworks
from speciesnet.pipeline import Photo
from speciesnet.pipeline.guard.bands import Evidence, errors_of
from speciesnet.pipeline.guard.cache import EvidenceCache, Verdict
from speciesnet.pipeline.guard.ledger import Ledger
from speciesnet.pipeline.guard.margins import Band
from speciesnet.pipeline.guard.passes import Passes
from speciesnet.pipeline.guard.tally import Tally
from speciesnet.pipeline.guard.trial import Trial, trial_of

AUDITED = 100  # one image in so many is processed in float32 as well, whatever its margin
CHUNK = 32  # images between two looks at the doubtful ones


class Guard:
    """Decides images in a lower precision, or in float32 where the answer could differ.

    Args:
        passes: How images pass through networks.
        exact: The float32 networks.
        fast: The networks in the lower precision.
        cache: Keeps the errors of the fast networks for later runs.
        ledger: Keeps the margins of finished images.
        evidence: The errors of the fast networks; None starts with a trial.

    Attributes:
        tally: How the images were decided.
        is_fast: Whether the fast networks are used.
    """

    def __init__(
        self,
        passes: Passes,
        exact: Networks,
        fast: ReducedNetworks,
        cache: EvidenceCache,
        ledger: Ledger,
        evidence: Evidence | None = None,
    ) -> None:
        self._passes = passes
        self._exact, self._fast = exact, fast
        self._cache, self._ledger = cache, ledger
        self.tally = Tally()
        self._band = Band(passes)
        self.is_fast = evidence is not None
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
        """A guard with the evidence of earlier runs; None if they showed that it is not worthwhile."""
        evidence = ledger.evidence
        if evidence is None and (verdict := cache.read()) is not None:
            if not verdict.pays:
                return None
            evidence = verdict.evidence
        return cls(passes, exact, fast, cache, ledger, evidence)

    @property
    def has_unsettled(self) -> bool:
        """Whether an earlier run finished images that are within its last band."""
        return self.is_fast and bool(self._ledger.reached_by(self._band.width))

    @property
    def networks(self) -> Networks:
        """The networks that images pass through first."""
        return self._fast if self.is_fast else self._exact

    def load(self) -> None:
        """Loads the networks that the first images need."""
        self._passes.load(self.networks)

    def as_dict(self) -> dict[str, object]:
        """The precision of the networks, the band and the tally, for the settings of the run."""
        return {
            "networks": self._fast.precisions,
            **self._band.as_dict(),
            "decided": asdict(self.tally),
        }

    def summary(self) -> str:
        """Sentences on how many images were processed in each precision."""
        return self.tally.summary(self._fast.precisions.values())

    @property
    def band(self) -> float:
        """The margin up to which images are processed in float32, in units of the evidence."""
        return self._band.width

    def _trust(self, evidence: Evidence) -> None:
        self._band = Band(self._passes, evidence)
        self._ledger.start(evidence)

    def photos(
        self, paths: Sequence[str], progress: pipeline.Progress = pipeline.no_progress
    ) -> Generator[Photo, None, None]:
        """Yields each image with its final answers, starting with the images of a trial, if any."""
        if not self.is_fast and (tried := trial_of(paths)):
            yield from self._trial(tried, progress)
            left = set(tried)
            paths = [path for path in paths if path not in left]
        if not self.is_fast:
            self.tally.images += len(paths)
            yield from self._passes.run(paths, self._exact, progress)
            return
        size = 1  # the first record should not wait for many images
        with closing(self._fast_photos(paths, progress)) as photos:
            while chunk := list(itertools.islice(photos, size)):
                yield from self._settled(chunk)
                size = min(2 * size, CHUNK)

    def reached(self, finished: Iterable[str]) -> list[str]:
        """The finished images that a wider band has reached."""
        if not self.is_fast:
            return []
        if self._band.width > self._band.reach:  # the margins are not known that far
            return list(finished)
        reached = set(self._ledger.reached_by(self._band.width))
        return [path for path in finished if path in reached]

    def again(self, paths: Sequence[str]) -> Iterator[Photo]:
        """Decides finished images again, in float32."""
        self.tally.reached += len(paths)
        for photo in self._passes.run(paths, self._exact):
            yield photo
            self._ledger.forget(photo.filepath)

    def finish(self) -> None:
        """Stores the evidence of this run for later runs."""
        if self.is_fast:
            self._cache.write(Verdict(self._band.evidence, pays=True))
            self._ledger.finish()

    def _fast_photos(
        self, paths: Sequence[str], progress: pipeline.Progress
    ) -> Generator[Photo, None, None]:
        return self._passes.run(
            paths,
            self._fast,
            progress,
            threshold=self._band.faintest,
            rivals=self._band.rivals,
        )

    def _trial(self, paths: Sequence[str], progress: pipeline.Progress) -> Iterator[Photo]:
        """Yields images processed in float32, and determines whether the fast networks are worthwhile."""
        trial = Trial(self._passes, self._exact, self._fast)
        verdict = yield from trial.photos(paths, progress)
        self.tally.images += len(paths)
        self.tally.detected_again += len(paths)
        if verdict is None:
            return
        self._cache.write(verdict)
        if verdict.pays:
            self.is_fast = True
            self._trust(verdict.evidence)

    def _settled(self, photos: Sequence[Photo]) -> Iterator[Photo]:
        """Yields images in order, doubtful ones after they were processed in float32."""
        band = self._band
        kept: dict[str, float] = {}
        again: list[Photo] = []
        exact: dict[str, Photo] = {photo.filepath: photo for photo in photos if photo.error is None}
        has_middle = self._passes.has_middle(self._fast)
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
        for photo in self._passes.run(rest, self._exact) if rest else ():
            self._compare(exact[photo.filepath], photo)
            settled[photo.filepath] = photo
            self.tally.detected_again += 1
        self._ledger.note({path: m for path, m in kept.items() if m < band.reach})
        for photo in photos:
            yield settled.get(photo.filepath, photo)

    def _compare(self, fast: Photo, exact: Photo) -> None:
        """Adds the evidence of an image that went through both."""
        band, decisions = self._band, self._passes.decisions
        errors = errors_of(fast, exact, decisions)
        if errors is None:
            return
        band.evidence.add(errors)
        if not _is_audited(fast.filepath):
            return
        self.tally.audited += 1
        margin = band.margin_of(fast)
        band.evidence.add_margin(margin)
        differs = decisions.decision_of(fast) != decisions.decision_of(exact)
        if differs and margin > band.width:
            self.tally.differed += 1
            band.evidence.disagree(margin)
            logging.warning(
                "%s gets a different answer in float32; the guard band becomes wider.",
                fast.filepath,
            )
        band.widen()


def _is_audited(filepath: str) -> bool:
    """Whether an image is audited; the choice is random, but always the same for a path."""
    return zlib.crc32(filepath.encode("utf-8", "replace")) % AUDITED == 0
