"""Metrics in the format of Prometheus."""

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


class Metrics:
    """The metrics of one server."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "speciesnet_requests", "Responses sent.", ["path", "status"], registry=registry
        )
        self.request_seconds = Histogram(
            "speciesnet_request_seconds",
            "Seconds from the first byte of a prediction request to its response.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.images = Counter(
            "speciesnet_images", "Records returned.", ["outcome"], registry=registry
        )
        self.batch_images = Histogram(
            "speciesnet_batch_images", "Images per batch.", buckets=_IMAGES, registry=registry
        )
        self.batch_seconds = Histogram(
            "speciesnet_batch_seconds", "Seconds per batch.", buckets=_SECONDS, registry=registry
        )
        self.workers_lost = Counter(
            "speciesnet_workers_lost", "Workers that were replaced.", registry=registry
        )

    def add_gauge(self, name: str, description: str, value: Callable[[], float]) -> None:
        """Adds a number that ``value`` returns whenever the metrics are requested."""
        Gauge(f"speciesnet_{name}", description, registry=self._registry).set_function(value)

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)
