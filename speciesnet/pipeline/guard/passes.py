"""Takes images through the fast networks, and the doubtful ones through those in float32."""

from __future__ import annotations

import itertools
import threading
import time
import zlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from absl import logging

from speciesnet import pipeline
from speciesnet.constants import TOP_CLASSES, RunMode
from speciesnet.files.input_notes import counted, plural
from speciesnet.networks import Networks, ReducedNetworks
from speciesnet.pipeline import WHOLE, PastResults, Photo
from speciesnet.pipeline.guard.bands import Errors, Evidence, errors_of
from speciesnet.pipeline.guard.cache import EvidenceCache, Verdict
from speciesnet.pipeline.guard.ledger import Ledger
from speciesnet.pipeline.guard.stability import (
    MAX_RIVALS,
    Decisions,
    certain_rivals,
    is_detection_stable,
    lowest_confidence,
)
from speciesnet.progress import Profile

AUDITED = 100  # one image in so many is decided in float32 as well, whatever its margin
CHUNK = 32  # images between two looks at the doubtful ones
REACH = 2.0  # bands: how far the margins of finished images are known
TRIAL = (24, 96)  # images of a trial, at least and at most ...
TRIAL_SHARE = 20  # ... one in so many of the run
WORTH_A_TRIAL = 100  # images; with fewer, a trial takes more time than it saves
NEEDED_READABLE = 16  # images of a trial, to say anything
TRIAL_FLOOR = 1.0  # log odds below the threshold down to which a trial looks at faint boxes
WORTHWHILE = 0.95  # of the time in float32, at most, is what a lower precision may take


@dataclass(frozen=True)
class Passes:
    """How images go through networks; see ``pipeline.run``.

    Attributes:
        decisions: What decides the images.
        has_detector: Whether the run has the stage of the detector.
        has_classifier: Whether it has that of the classifier.
        past: The detections of an earlier step, for a classifier alone.
        num_classes: How many classes the classifier returns.
        run_mode: How images are read.
        batch_size: Images that a network takes together.
        readers: Threads or processes that read images.
        profile: Collects the seconds of each stage.
        lock: Held by a network on the processor while it computes.
    """

    decisions: Decisions
    has_detector: bool = True
    has_classifier: bool = True
    past: PastResults = field(default_factory=PastResults)
    num_classes: int | None = TOP_CLASSES
    run_mode: RunMode = "multi_thread"
    batch_size: int = 8
    readers: int | None = None
    profile: Profile | None = None
    lock: Any = field(default_factory=threading.Lock)

    def run(
        self,
        paths: Iterable[str],
        networks: Networks,
        progress: pipeline.Progress = pipeline.no_progress,
        **looking: Any,
    ) -> Generator[Photo, None, None]:
        """Takes images through the stages of the run; ``looking`` adds what a guard needs to know."""
        return pipeline.run(
            paths,
            detector=networks.detector if self.has_detector else None,
            classifier=networks.classifier if self.has_classifier else None,
            past=self.past,
            boxes=self.decisions.boxes,
            num_classes=self.num_classes,
            run_mode=self.run_mode,
            batch_size=self.batch_size,
            readers=self.readers,
            progress=progress,
            profile=self.profile,
            lock=self.lock,
            **looking,
        )

    def classify_again(
        self, photos: Sequence[Photo], networks: Networks, rivals: pipeline.Rivals
    ) -> Iterator[Photo]:
        """Takes images whose boxes are known through a classifier."""
        known = {photo.filepath: photo for photo in photos}
        read = pipeline.read_photos(list(known), pipeline.read_photo, self.run_mode, self.readers)

        def with_boxes() -> Iterator[Photo]:
            for photo in read:
                found = known[photo.filepath]
                yield replace(photo, detections=found.detections, faint=found.faint)

        boxes, looked_at = (self.decisions.boxes, rivals) if self.decisions.crops else (None, None)
        crops = pipeline.crop(with_boxes(), networks.classifier.preprocess, boxes, rivals=looked_at)
        return pipeline.classify(
            crops,
            networks.classifier,
            self.batch_size,
            lock=self.lock,
            num_classes=self.num_classes,
        )


@dataclass
class Tally:
    """How the images of a run were decided.

    Attributes:
        images: All of them.
        detected_again: Those that went through both networks in float32.
        classified_again: Those that went through the classifier in float32.
        audited: Those that did so at random.
        differed: Audited images whose answer changed.
        reached: Finished images that a wider band made doubtful.
    """

    images: int = 0
    detected_again: int = 0
    classified_again: int = 0
    audited: int = 0
    differed: int = 0
    reached: int = 0


class Guard:
    """Decides images in a lower precision, and in float32 where that could matter.

    Args:
        passes: How images go through networks.
        exact: The networks in float32.
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
        self._decisions = passes.decisions
        self._exact, self._fast = exact, fast
        self._cache, self._ledger = cache, ledger
        self.tally = Tally()
        self._evidence = Evidence()
        self._band = self._first_band = 0.0
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
        """A guard with what earlier runs have shown; None if they have shown that it does not pay."""
        evidence = ledger.evidence
        if evidence is None and (verdict := cache.read()) is not None:
            if not verdict.pays:
                return None
            evidence = verdict.evidence
        return cls(passes, exact, fast, cache, ledger, evidence)

    @property
    def has_unsettled(self) -> bool:
        """Whether an earlier run has finished images that its last band has reached."""
        return self.is_fast and bool(self._ledger.reached_by(self._band))

    @property
    def networks(self) -> Networks:
        """The networks that images go through first."""
        return self._fast if self.is_fast else self._exact

    def load(self) -> None:
        """Loads the networks that the first images need."""
        _load(self._passes, self.networks)

    def as_dict(self) -> dict[str, object]:
        """The precision of the networks, the band and the tally, for the settings of the run."""
        evidence = self._evidence
        return {
            "networks": self._fast.precisions,
            "band": {
                "detector": self._band * evidence.detector,
                "classifier": self._band * evidence.classifier,
                "crop": self._band * evidence.crop,
            },
            "images_measured": len(evidence.errors),
            "expected_wrong": evidence.expected_wrong(self._band),
            "decided": asdict(self.tally),
        }

    def summary(self) -> str:
        """How many images were decided in which precision, in sentences."""
        tally = self.tally
        slowly = tally.detected_again + tally.classified_again
        names = " and ".join(dict.fromkeys(self._fast.precisions.values()))
        reached = (
            f" The answers of {counted(tally.reached, 'image')} were then replaced by those of float32, "
            "because the errors turned out to be larger than in the trial."
        )
        return (
            f"{tally.images - slowly} of {counted(tally.images, 'image')} "
            f"{plural(tally.images - slowly, 'was', 'were')} decided in {names} and {slowly} in float32, "
            f"where {tally.classified_again} needed the classifier only. "
            f"{counted(tally.audited, 'image')} {plural(tally.audited, 'was', 'were')} audited; "
            f"{tally.differed} differed.{reached if tally.reached else ''}"
        )

    @property
    def band(self) -> float:
        """Up to which margin images are decided in float32, in units of the evidence."""
        return self._band

    def _trust(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._band = self._first_band = evidence.band()
        self._ledger.start(evidence)

    def photos(
        self, paths: Sequence[str], progress: pipeline.Progress = pipeline.no_progress
    ) -> Generator[Photo, None, None]:
        """Yields each image with the answers that count, first those of a trial if there is one."""
        if not self.is_fast and len(paths) >= WORTH_A_TRIAL:
            tried = trial_of(paths)
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
        """The images, of those that are finished, that a wider band has reached."""
        if not self.is_fast:
            return []
        if self._band > REACH * self._first_band:  # the margins are not known that far
            return list(finished)
        reached = set(self._ledger.reached_by(self._band))
        return [path for path in finished if path in reached]

    def again(self, paths: Sequence[str]) -> Iterator[Photo]:
        """Yields finished images, decided in float32."""
        self.tally.reached += len(paths)
        for photo in self._passes.run(paths, self._exact):
            yield photo
            self._ledger.forget(photo.filepath)

    def finish(self) -> None:
        """Keeps what the run has shown for later ones."""
        if self.is_fast:
            self._cache.write(Verdict(self._evidence, pays=True))
            self._ledger.finish()

    def _fast_photos(
        self, paths: Sequence[str], progress: pipeline.Progress
    ) -> Generator[Photo, None, None]:
        unit = self._evidence.detector
        return self._passes.run(
            paths,
            self._fast,
            progress,
            threshold=lowest_confidence(REACH * self._first_band * unit),
            rivals=self._rivals,
        )

    def _rivals(self, photo: Photo) -> list[int]:
        return certain_rivals(photo, self._band * self._evidence.detector)

    # A trial

    def _trial(self, paths: Sequence[str], progress: pipeline.Progress) -> Iterator[Photo]:
        """Yields images decided in float32, and compares them with the fast networks."""
        logging.info("Trying a lower precision on %d images of the run.", len(paths))
        _load(self._passes, self._exact)
        started = time.perf_counter()
        exact = []
        for photo in self._passes.run(paths, self._exact, progress):
            exact.append(photo)
            yield photo
        slow = time.perf_counter() - started
        try:
            _load(self._passes, self._fast)
            started = time.perf_counter()
            fast = list(
                self._passes.run(
                    paths,
                    self._fast,
                    threshold=lowest_confidence(TRIAL_FLOOR),
                    rivals=_first_rivals,
                )
            )
            quick = time.perf_counter() - started
            again = self._reclassified(fast)
        except Exception as error:  # whatever it is, float32 has just worked
            logging.warning(
                "A lower precision is not used, because it fails (%s: %s).",
                type(error).__name__,
                error,
            )
            return
        finally:
            self.tally.images += len(paths)
            self.tally.detected_again += len(paths)
        self._judge(exact, fast, again, quick / slow)

    def _reclassified(self, fast: Sequence[Photo]) -> list[Photo | None]:
        if not self._has_middle:
            return [None] * len(fast)
        again = list(self._passes.classify_again(fast, self._exact, _first_rivals))
        return [*again]

    @property
    def _has_middle(self) -> bool:
        """Whether the float32 classifier on the fast detector's boxes is a step of its own."""
        both = self._passes.has_detector and self._passes.has_classifier
        return both and self._fast.precisions["classifier"] != "fp32"

    def _judge(
        self,
        exact: Sequence[Photo],
        fast: Sequence[Photo],
        again: Sequence[Photo | None],
        time_ratio: float,
    ) -> None:
        """Derives the band from a trial, and settles whether the fast networks pay."""
        found: list[Errors] = []
        tried: list[Photo] = []
        for one, two, three in zip(exact, fast, again, strict=True):
            errors = errors_of(two, one, self._decisions, three)
            if errors is not None:
                found.append(errors)
                tried.append(two)
        if len(found) < NEEDED_READABLE:
            logging.warning("Too few of the images of the trial can be read.")
            return
        evidence = Evidence.of(found)
        evidence.margins = [self._margin(photo, evidence) for photo in tried]
        band = evidence.band()
        doubtful = sum(margin <= band for margin in evidence.margins) / len(evidence.margins)
        pays = time_ratio + doubtful <= WORTHWHILE
        self._cache.write(Verdict(evidence, pays))
        logging.info(
            "In the trial %.0f %% of the images are doubtful in the lower precision, which takes %.0f %% "
            "of the time of float32: it is %s.",
            100 * doubtful,
            100 * time_ratio,
            "used" if pays else "not used",
        )
        if pays:
            self.is_fast = True
            self._trust(evidence)

    # Margins

    def _is_stable(self, photo: Photo, evidence: Evidence, band: float, crop: bool = False) -> bool:
        detector = band * evidence.detector if self._passes.has_detector else 0.0
        if not self._passes.has_classifier:
            return is_detection_stable(photo, detector, self._decisions.boxes)
        classifier = band * (evidence.crop if crop else evidence.classifier)
        return self._decisions.is_stable(photo, detector, classifier)

    def _margin(self, photo: Photo, evidence: Evidence, low: float = 0.0) -> float:
        """The largest band, in units, in which an image keeps its answers, within a tenth."""
        high = max(low, 1 / 16)
        while self._is_stable(photo, evidence, high):
            low, high = high, 2 * high
            if high > 2**12:
                return high
        while high > 1.1 * max(low, 1 / 32):
            middle = (low + high) / 2
            low, high = (
                (middle, high) if self._is_stable(photo, evidence, middle) else (low, middle)
            )
        return low

    # The run

    def _settled(self, photos: Sequence[Photo]) -> Iterator[Photo]:
        """Yields images in order, those that are doubtful after the passes in float32."""
        band, evidence = self._band, self._evidence
        kept: dict[str, float] = {}
        again: list[Photo] = []
        exact: dict[str, Photo] = {photo.filepath: photo for photo in photos if photo.error is None}
        self.tally.images += len(photos)
        for photo in exact.values():
            if _is_audited(photo.filepath):
                continue
            if self._is_stable(photo, evidence, band):
                kept[photo.filepath] = self._margin_within_reach(photo)
            elif self._has_middle and self._is_certain_box(photo):
                again.append(photo)
        settled = {path: exact[path] for path in kept}
        if again:
            for photo in self._passes.classify_again(again, self._exact, self._rivals):
                if photo.error is None and self._is_stable(photo, evidence, band, crop=True):
                    settled[photo.filepath] = photo
                    kept[photo.filepath] = band
                    self.tally.classified_again += 1
        rest = [path for path in exact if path not in settled]
        for photo in self._passes.run(rest, self._exact) if rest else ():
            self._compare(exact[photo.filepath], photo)
            settled[photo.filepath] = photo
            self.tally.detected_again += 1
        self._ledger.note({path: m for path, m in kept.items() if m < REACH * self._first_band})
        for photo in photos:
            yield settled.get(photo.filepath, photo)

    def _margin_within_reach(self, photo: Photo) -> float:
        band, furthest = self._band, REACH * self._first_band
        if self._is_stable(photo, self._evidence, furthest):
            return furthest
        return min(self._margin(photo, self._evidence, band), furthest)

    def _is_certain_box(self, photo: Photo) -> bool:
        """Whether better classes alone could settle an image."""
        detector = self._band * self._evidence.detector
        return self._decisions.is_stable(photo, detector, 0.0)

    def _compare(self, fast: Photo, exact: Photo) -> None:
        """Learns from an image that went through both."""
        errors = errors_of(fast, exact, self._decisions)
        if errors is None:
            return
        self._evidence.add(errors)
        if not _is_audited(fast.filepath):
            return
        self.tally.audited += 1
        margin = self._margin(fast, self._evidence)
        self._evidence.add_margin(margin)
        differs = self._decisions.decision_of(fast) != self._decisions.decision_of(exact)
        if differs and margin > self._band:
            self.tally.differed += 1
            self._evidence.disagree(margin)
            logging.warning(
                "%s is decided differently in float32; the guard band becomes wider.", fast.filepath
            )
        self._band = max(self._band, self._evidence.band())


def _load(passes: Passes, networks: Networks) -> None:
    names = {"detector": passes.has_detector, "classifier": passes.has_classifier}
    networks.load([name for name, is_used in names.items() if is_used])


def trial_of(paths: Sequence[str]) -> list[str]:
    """The images of a trial, spread evenly over those of a run."""
    count = min(max(TRIAL[0], len(paths) // TRIAL_SHARE), TRIAL[1])
    return [paths[i * len(paths) // count] for i in range(count)]


def _first_rivals(photo: Photo) -> list[int]:
    count = len(photo.detections or ()) + len(photo.faint)
    return [*range(min(count, MAX_RIVALS)), WHOLE]


def _is_audited(filepath: str) -> bool:
    """Whether an image is one of those that are audited, which is random but always the same."""
    return zlib.crc32(filepath.encode("utf-8", "replace")) % AUDITED == 0
