"""The two networks of a model package, loaded on demand in the precision that suits the machine."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from absl import logging

from speciesnet.classifier import SpeciesNetClassifier
from speciesnet.detector import SpeciesNetDetector
from speciesnet.engines.base import PRECISIONS, EngineOptions, Precision
from speciesnet.engines.precision import TrialCache, compare
from speciesnet.engines.select import engine_of_each_stage, lacks_int8, reduced_precision
from speciesnet.errors import InputError
from speciesnet.packages.info import ModelInfo
from speciesnet.pipeline.calibration import quantize_in_background
from speciesnet.records import Record

NETWORKS = ("detector", "classifier")


class Networks:
    """A detector and a classifier.

    Args:
        model_info: Their package.
        engine: The engine or engines; see ``SpeciesNet``.
        precision: The numeric precision; see ``SpeciesNet``.
        device: The device; see ``SpeciesNet``.
        threads: The CPU threads of each network; see ``SpeciesNet``.
        target_species_txt: The file of target species; see ``SpeciesNet``.

    Raises:
        InputError: The engine or the precision is unknown.
    """

    def __init__(
        self,
        model_info: ModelInfo,
        engine: str = "auto",
        precision: Precision | Literal["auto"] = "auto",
        device: str | None = None,
        threads: int | None = None,
        target_species_txt: str | None = None,
    ) -> None:
        if precision not in ("auto", *PRECISIONS):
            raise InputError(
                f"precision is {precision!r}; it must be auto, {', '.join(PRECISIONS)}."
            )
        self._model_info = model_info
        self._engines = engine_of_each_stage(engine)
        self._device = device
        self._threads = threads
        self._target_species_txt = target_species_txt
        self._is_precision_open = precision == "auto"
        chosen: Precision = "fp32" if precision == "auto" else precision
        self._precisions: dict[str, Precision] = dict.fromkeys(NETWORKS, chosen)
        self._detector: SpeciesNetDetector | None = None
        self._classifier: SpeciesNetClassifier | None = None

    @property
    def detector(self) -> SpeciesNetDetector:
        """The detector, loaded on first use."""
        if self._detector is None:
            self._detector = SpeciesNetDetector(
                self._model_info,
                self._device,
                engine=self._engines[0],
                precision=self._precisions["detector"],
                threads=self._threads,
            )
        return self._detector

    @property
    def classifier(self) -> SpeciesNetClassifier:
        """The classifier, loaded on first use."""
        if self._classifier is None:
            self._classifier = SpeciesNetClassifier(
                self._model_info,
                self._target_species_txt,
                self._device,
                engine=self._engines[1],
                precision=self._precisions["classifier"],
                threads=self._threads,
            )
        return self._classifier

    def load(self, names: Collection[str] = NETWORKS) -> None:
        """Loads networks in parallel: frameworks take seconds each to import.

        Raises:
            ModelError: A network cannot be loaded.
        """
        loaders: dict[str, Callable[[], SpeciesNetDetector | SpeciesNetClassifier]] = {
            "detector": lambda: self.detector,
            "classifier": lambda: self.classifier,
        }
        if "detector" in names:  # a download shows its progress, and can be interrupted
            _ = self._model_info.detector
        with ThreadPoolExecutor(len(loaders)) as executor:
            loading = {n: executor.submit(loaders[n]) for n in NETWORKS if n in names}
        for name, network in loading.items():
            logging.info("The %s runs on %s.", name, network.result().engine.name)

    def quantize(self, names: Collection[str], paths: Sequence[str]) -> None:
        """With ``precision="int8"``, makes the networks that the cache lacks.

        Args:
            names: The networks that will be used.
            paths: Photographs to calibrate them on.

        Raises:
            ModelError: There are too few photographs, or a network cannot be quantized.
        """
        sources = {
            "detector": lambda: self._model_info.detector,
            "classifier": lambda: self._model_info.classifier,
        }
        lacking = [
            name
            for name, engine in zip(NETWORKS, self._engines, strict=True)
            if name in names
            and self._precisions[name] == "int8"
            and lacks_int8(sources[name](), EngineOptions(engine, "int8", self._device))
        ]
        if lacking:
            logging.info(
                "Making the %s in int8, once: this takes some minutes.", " and the ".join(lacking)
            )
            quantize_in_background(
                self._model_info, lacking, paths, threads=self._threads, niceness=0
            ).wait()

    def choose_precision(
        self,
        names: Collection[str] = NETWORKS,
        trial: Callable[[], list[Record]] | None = None,
        *rules: object,
    ) -> None:
        """With ``precision="auto"``, settles on a lower precision where it decides as float32 does.

        Args:
            names: The networks that will be used.
            trial: Predicts a sample of the run's images with the networks as they are then, if the run
                is long enough to be worth a trial. Without it, only the result of an earlier trial of
                the same model on the same machine counts; as long as there is none, float32 is used.
            *rules: What else the answers depend on.
        """
        if not self._is_precision_open:
            return
        reduced: dict[str, Precision] = {}
        for name, engine in zip(NETWORKS, self._engines, strict=True):
            if name in names:
                lower = reduced_precision(EngineOptions(engine, device=self._device))
                reduced[name] = lower or "fp32"
        if all(precision == "fp32" for precision in reduced.values()):
            self._is_precision_open = False
            return
        cache = TrialCache(
            reduced, self._model_info.fingerprint, self._engines, self._device, *rules
        )
        is_same = cache.read()
        if is_same is None and trial is not None:
            is_same = self._try_out(reduced, trial, cache)
        if is_same is not None:
            self._use(reduced if is_same else dict.fromkeys(reduced, "fp32"))
            self._is_precision_open = False

    def _try_out(
        self,
        reduced: Mapping[str, Precision],
        trial: Callable[[], list[Record]],
        cache: TrialCache,
    ) -> bool:
        """Whether a trial in lower precisions decides as one in float32."""
        names = ", ".join(f"{name} {precision}" for name, precision in reduced.items())
        logging.info("Trying %s on the first images, once.", names)

        def reduced_trial() -> list[Record]:
            self._use(reduced)
            self.load(reduced)
            return trial()

        self.load(reduced)
        mismatch = compare(trial(), reduced_trial)
        if mismatch:
            logging.warning(
                "%s is not used, because it decides differently (%s).", names, mismatch.what
            )
        if mismatch is None or mismatch.is_lasting:
            cache.write(mismatch and mismatch.what)
        return mismatch is None

    def _use(self, precisions: Mapping[str, Precision]) -> None:
        """Unloads networks of another precision; they are reloaded on next use."""
        before = dict(self._precisions)
        self._precisions.update(precisions)
        if before["detector"] != self._precisions["detector"]:
            self._detector = None
        if before["classifier"] != self._precisions["classifier"]:
            self._classifier = None
