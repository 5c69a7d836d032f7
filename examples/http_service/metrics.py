"""Figures of the service in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
SIZES = (1, 2, 4, 8, 16, 32, 64)
NO_ANSWER = "none"  # the status of a request that ended without one


class Metrics:
    """Counters of one service, and of its process where the system reports it."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "classify_requests", "Requests by status", ["status"], registry=self._registry
        )
        self._seconds = Histogram(
            "classify_seconds",
            "Time from the head of a request to its answer",
            buckets=SECONDS,
            registry=self._registry,
        )
        self._batches = Histogram(
            "classify_batch_size", "Images of a batch", buckets=SIZES, registry=self._registry
        )
        self._in_hand = Gauge(
            "classify_in_hand", "Requests without an answer", registry=self._registry
        )
        self._queue = Gauge(
            "classify_queue_depth", "Images that wait for the model", registry=self._registry
        )

    def observe_batch(self, size: int) -> None:
        """Count a batch."""
        self._batches.observe(size)

    def watch(self, in_hand: Callable[[], float], queue: Callable[[], float]) -> None:
        """Read these figures whenever the metrics are asked for."""
        self._in_hand.set_function(in_hand)
        self._queue.set_function(queue)

    def text(self) -> bytes:
        """Return all figures."""
        return generate_latest(self._registry)

    def counting(self, app: Any) -> Any:
        """Return an ASGI application that counts the requests to ``/classify``."""

        async def counted(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
            if scope["type"] != "http" or scope["path"] != "/classify":
                await app(scope, receive, send)
                return
            status, began = NO_ANSWER, perf_counter()

            async def noted(message: Any) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = str(message["status"])
                await send(message)

            try:
                await app(scope, receive, noted)
            finally:
                self._requests.labels(status).inc()
                self._seconds.observe(perf_counter() - began)

        return counted
