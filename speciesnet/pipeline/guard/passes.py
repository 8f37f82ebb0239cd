"""Passes images through the networks of a run."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from speciesnet import pipeline
from speciesnet.constants import SCORE_THRESHOLD, TOP_CLASSES, RunMode
from speciesnet.engines.memory import return_memory
from speciesnet.images.films import Sampling
from speciesnet.pipeline import PastResults, Photo
from speciesnet.pipeline.films import FilmReader, read_films
from speciesnet.pipeline.guard.stability import Decisions
from speciesnet.pipeline.networks import Networks, ReducedNetworks
from speciesnet.pipeline.progress import Profile

# Images per batch of the float32 classifier next to the fast networks, where this changes no number. At
# full size on 2 cores, it takes as long per image with 1 as with 8 (0.73 CPU seconds), and needs 0.32 GiB
# less memory.
BATCH_NEXT_TO_OTHERS = 1


def place_of(photo: Photo) -> tuple[str, int | None]:
    """The path of an image, and its number in a film."""
    return photo.filepath, photo.frame and photo.frame.number


@dataclass(frozen=True)
class Passes:
    """How images pass through networks; see ``pipeline.run``.

    Attributes:
        decisions: The rules that determine the answers.
        has_detector: Whether the run has a detector stage.
        has_classifier: Whether it has a classifier stage.
        past: The detections of an earlier step, for a run with only the classifier.
        films: Which frames of films are examined.
        num_classes: How many classes the classifier returns.
        run_mode: How images are read.
        batch_size: Images per batch.
        readers: Threads or processes that read images.
        profile: Collects the seconds spent in each stage.
        lock: Held by a network on the processor while it computes.
    """

    decisions: Decisions
    has_detector: bool = True
    has_classifier: bool = True
    past: PastResults = field(default_factory=PastResults)
    films: Sampling | None = None
    num_classes: int | None = TOP_CLASSES
    run_mode: RunMode = "multi_thread"
    batch_size: int = 8
    readers: int | None = None
    profile: Profile | None = None
    lock: pipeline.Lock = field(default_factory=threading.Lock)

    def load(self, networks: Networks) -> None:
        """Loads the networks of the run's stages."""
        names = {"detector": self.has_detector, "classifier": self.has_classifier}
        networks.load([name for name, is_used in names.items() if is_used])

    def has_middle(self, fast: ReducedNetworks) -> bool:
        """Whether the float32 classifier on the fast detector's boxes is a separate step."""
        both = self.has_detector and self.has_classifier
        return both and fast.precisions["classifier"] != "fp32"

    def run(
        self,
        paths: Iterable[str],
        networks: Networks,
        progress: pipeline.Progress = pipeline.no_progress,
        batch_size: int | None = None,
        films: bool = False,
        *,
        threshold: float = SCORE_THRESHOLD,
        rivals: pipeline.Rivals | None = None,
    ) -> Generator[Photo, None, None]:
        """Passes images, or the frames of films, through the stages of the run; see ``pipeline.run``."""
        return pipeline.run(
            paths,
            detector=networks.detector if self.has_detector else None,
            classifier=networks.classifier if self.has_classifier else None,
            past=self.past,
            boxes=self.decisions.boxes,
            num_classes=self.num_classes,
            run_mode=self.run_mode,
            batch_size=batch_size or self.batch_size,
            readers=self.readers,
            progress=progress,
            profile=self.profile,
            lock=self.lock,
            films=self.films if films else None,
            threshold=threshold,
            rivals=rivals,
        )

    def run_exact(
        self,
        paths: Iterable[str],
        networks: Networks,
        progress: pipeline.Progress = pipeline.no_progress,
        films: bool = False,
    ) -> Generator[Photo, None, None]:
        """Passes images through the float32 networks, while the fast ones stay in memory."""
        size = self._batch_next_to_others(networks)
        yield from self.run(paths, networks, progress, size, films)
        return_memory()

    def _batch_next_to_others(self, networks: Networks) -> int:
        if self.has_classifier and networks.classifier.engine.batches_alike:
            return min(self.batch_size, BATCH_NEXT_TO_OTHERS)
        return self.batch_size

    def classify_again(
        self,
        photos: Sequence[Photo],
        networks: Networks,
        rivals: pipeline.Rivals,
        *,
        films: bool = False,
    ) -> Iterator[Photo]:
        """Passes images, or frames of films, whose boxes are known through a classifier."""
        known = {place_of(photo): photo for photo in photos}
        paths = list(dict.fromkeys(photo.filepath for photo in photos))
        if films and self.films is not None:
            read = read_films(paths, FilmReader(self.films), self.run_mode, self.readers)
        else:
            read = pipeline.read_photos(paths, pipeline.read_photo, self.run_mode, self.readers)

        def with_boxes() -> Iterator[Photo]:
            for photo in read:
                if (found := known.get(place_of(photo))) is not None:
                    yield replace(photo, detections=found.detections, faint=found.faint)

        gets_crops = self.decisions.crops
        crops = pipeline.crop(
            with_boxes(),
            networks.classifier.preprocess,
            self.decisions.boxes if gets_crops else None,
            rivals=rivals if gets_crops else None,
        )
        return pipeline.classify(
            crops,
            networks.classifier,
            self._batch_next_to_others(networks),
            lock=self.lock,
            num_classes=self.num_classes,
        )
