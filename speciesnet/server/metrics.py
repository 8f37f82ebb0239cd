"""What Prometheus is told."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_IMAGES = (1, 2, 4, 8, 16, 32, 64)


class Meters:
    """Counts of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.requests = Counter(
            "speciesnet_requests",
            "Requests answered.",
            ["path", "status"],
            registry=self._registry,
        )
        self.seconds = Histogram(
            "speciesnet_request_seconds",
            "From the first byte of a request for predictions to its answer.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.images = Counter(
            "speciesnet_images", "Records answered.", ["outcome"], registry=self._registry
        )
        self.batches = Histogram(
            "speciesnet_batch_images",
            "Images that went to a worker together.",
            buckets=_IMAGES,
            registry=self._registry,
        )
        self.batch_seconds = Histogram(
            "speciesnet_batch_seconds",
            "Seconds of a worker for these.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.lost = Counter(
            "speciesnet_workers_lost", "Workers that were replaced.", registry=self._registry
        )

    def watch(self, name: str, what: str, value: Callable[[], float]) -> None:
        """Adds a number that is asked for when it is wanted."""
        Gauge(f"speciesnet_{name}", what, registry=self._registry).set_function(value)

    def text(self) -> bytes:
        """All of it, in the format that Prometheus reads."""
        return generate_latest(self._registry)
