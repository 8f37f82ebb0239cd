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
from speciesnet.engines.precision import int8_digest, lacks_int8, prefers_int8, reduced_precision
from speciesnet.errors import InputError
from speciesnet.files.packages.info import ModelInfo
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
        self._lower: dict[tuple[tuple[str, str], ...], ReducedNetworks] = {}

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

    def lacking_int8(self, names: Collection[str]) -> list[str]:
        """The networks that int8 would make faster on this machine, but that have not been made.

        Args:
            names: The networks that will be used.

        Returns:
            Some of them; none unless the precision is ``auto``.
        """
        if not self._is_precision_open:
            return []
        return [
            name
            for name, options in self._engines_of(names).items()
            if prefers_int8(options) and self._int8_digest(name, options) is None
        ]

    def reduced(self, names: Collection[str] = NETWORKS) -> list[ReducedNetworks]:
        """Networks in the lower precisions of this machine, if the precision is ``auto``.

        Args:
            names: The networks that will be used.

        Returns:
            Those in int8 where they have been made, and those in the precision of the hardware; none
            if that is float32.
        """
        if not self._is_precision_open:
            return []
        engines = self._engines_of(names)
        native: dict[str, Precision] = {
            name: reduced_precision(options) or "fp32" for name, options in engines.items()
        }
        digests = {name: self._int8_digest(name, options) for name, options in engines.items()}
        made = {name: digest for name, digest in digests.items() if digest}
        found = []
        if made:
            found.append(self._reduced_to({**native, **dict.fromkeys(made, "int8")}, made))
        if any(precision != "fp32" for precision in native.values()):
            found.append(self._reduced_to(native, {}))
        return found

    def _reduced_to(
        self, precisions: dict[str, Precision], calibrations: dict[str, str]
    ) -> ReducedNetworks:
        """Always the same networks, so that they are loaded once."""
        key = (*precisions.items(), *calibrations.items())
        made = ReducedNetworks(self.options, self, precisions, calibrations)
        return self._lower.setdefault(key, made)

    def _engines_of(self, names: Collection[str]) -> dict[str, EngineOptions]:
        options = self.options
        return {
            name: EngineOptions(engine, device=options.device)
            for name, engine in zip(NETWORKS, options.engines, strict=True)
            if name in names
        }

    def _int8_digest(self, name: str, options: EngineOptions) -> str | None:
        return int8_digest(lambda: self._source_of(name), options)


class ReducedNetworks(Networks):
    """The networks of a package in lower precisions.

    Args:
        options: Where they come from.
        exact: The networks in float32, which are used where no lower precision is faster.
        precisions: The precision of each network that is used.
        calibrations: What those in int8 were calibrated on; see ``int8_digest``.

    Attributes:
        precisions: See above.
        calibrations: See above.
    """

    def __init__(
        self,
        options: NetworkOptions,
        exact: Networks,
        precisions: Mapping[str, Precision],
        calibrations: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(options, "fp32")
        self._exact = exact
        self.precisions = dict(precisions)
        self.calibrations = dict(calibrations or {})

    def precision_of(self, name: str) -> Precision:
        """The precision of a network."""
        return self.precisions.get(name, "fp32")

    def unload(self) -> None:
        """Frees the memory of the networks; they are loaded again on the next use."""
        for name in NETWORKS:
            self.__dict__.pop(name, None)

    @cached_property
    def detector(self) -> SpeciesNetDetector:
        """The detector, loaded on first use."""
        is_exact = self.precision_of("detector") == "fp32"
        return self._exact.detector if is_exact else super().detector

    @cached_property
    def classifier(self) -> SpeciesNetClassifier:
        """The classifier, loaded on first use."""
        is_exact = self.precision_of("classifier") == "fp32"
        return self._exact.classifier if is_exact else super().classifier
