"""The two networks of a model package, loaded on demand, in float32 and in the fastest precision."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from absl import logging

from speciesnet.classifier import SpeciesNetClassifier
from speciesnet.detector import SpeciesNetDetector
from speciesnet.engines.base import PRECISIONS, Engine, EngineOptions, Precision
from speciesnet.engines.precision import has_int8, lacks_int8, reduced_precision
from speciesnet.errors import InputError
from speciesnet.packages.info import ModelInfo
from speciesnet.pipeline.calibration import quantize_in_background

NETWORKS = ("detector", "classifier")


@dataclass(frozen=True)
class NetworkOptions:
    """Where networks come from and how they run, except for their precision; see ``SpeciesNet``.

    Attributes:
        model_info: Their package.
        engines: The engines of the detector and the classifier.
        device: The device.
        threads: The CPU threads of each network.
        target_species_txt: The file of target species.
    """

    model_info: ModelInfo
    engines: tuple[Engine, Engine] = ("auto", "auto")
    device: str | None = None
    threads: int | None = None
    target_species_txt: str | None = None


class Networks:
    """A detector and a classifier.

    Args:
        options: Where they come from.
        precision: The numeric precision; "auto" is float32 here, with ``reduced`` next to it.

    Raises:
        InputError: The precision is unknown.
    """

    def __init__(
        self, options: NetworkOptions, precision: Precision | Literal["auto"] = "auto"
    ) -> None:
        if precision not in ("auto", *PRECISIONS):
            raise InputError(
                f"precision is {precision!r}; it must be auto, {', '.join(PRECISIONS)}."
            )
        self.options = options
        self._is_precision_open = precision == "auto"
        self._precision: Precision = "fp32" if precision == "auto" else precision

    def precision_of(self, name: str) -> Precision:
        """The precision of a network, "detector" or "classifier"."""
        return self._precision

    @cached_property
    def detector(self) -> SpeciesNetDetector:
        """The detector, loaded on first use."""
        options = self.options
        return SpeciesNetDetector(
            options.model_info,
            options.device,
            engine=options.engines[0],
            precision=self.precision_of("detector"),
            threads=options.threads,
        )

    @cached_property
    def classifier(self) -> SpeciesNetClassifier:
        """The classifier, loaded on first use."""
        options = self.options
        return SpeciesNetClassifier(
            options.model_info,
            options.target_species_txt,
            options.device,
            engine=options.engines[1],
            precision=self.precision_of("classifier"),
            threads=options.threads,
        )

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
            _ = self.options.model_info.detector
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
        options = self.options
        lacking = [
            name
            for name, engine in zip(NETWORKS, options.engines, strict=True)
            if name in names
            and self.precision_of(name) == "int8"
            and lacks_int8(self._source_of(name), EngineOptions(engine, "int8", options.device))
        ]
        if lacking:
            logging.info(
                "Making the %s in int8: this takes a few minutes, but happens only once.",
                " and the ".join(lacking),
            )
            quantize_in_background(
                options.model_info, lacking, paths, threads=options.threads, niceness=0
            ).wait()

    def _source_of(self, name: str) -> Path:
        model_info = self.options.model_info
        return model_info.detector if name == "detector" else model_info.classifier

    @cached_property
    def reduced(self) -> ReducedNetworks | None:
        """The networks in this machine's fastest precision, if the precision is ``auto``.

        None if that is float32.
        """
        if not self._is_precision_open:
            return None
        options = self.options
        lower: dict[str, Precision] = {
            name: self._lowest(name, EngineOptions(engine, device=options.device)) or "fp32"
            for name, engine in zip(NETWORKS, options.engines, strict=True)
        }
        if all(precision == "fp32" for precision in lower.values()):
            return None
        return ReducedNetworks(options, self, lower)

    def _lowest(self, name: str, options: EngineOptions) -> Precision | None:
        """The fastest precision for a network; int8 only if that network already exists."""
        if has_int8(lambda: self._source_of(name), options):
            return "int8"
        return reduced_precision(options)


class ReducedNetworks(Networks):
    """The networks of a package in lower precisions.

    Args:
        options: Where they come from.
        exact: The networks in float32, which are used where no lower precision is faster.
        precisions: The precision of each network.
    """

    def __init__(
        self, options: NetworkOptions, exact: Networks, precisions: Mapping[str, Precision]
    ) -> None:
        super().__init__(options, "fp32")
        self._exact = exact
        self.precisions = dict(precisions)

    def precision_of(self, name: str) -> Precision:
        """The precision of a network."""
        return self.precisions[name]

    @cached_property
    def detector(self) -> SpeciesNetDetector:
        """The detector, loaded on first use."""
        is_exact = self.precisions["detector"] == "fp32"
        return self._exact.detector if is_exact else super().detector

    @cached_property
    def classifier(self) -> SpeciesNetClassifier:
        """The classifier, loaded on first use."""
        is_exact = self.precisions["classifier"] == "fp32"
        return self._exact.classifier if is_exact else super().classifier
