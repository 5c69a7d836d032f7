"""How the service runs the model, and its limits."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Batching, and the bounds of everything that a client may take.

    ``serving.json`` of a bundle has the first four as they were measured by ``src.serve_test``, and
    with the rate and the limit of the p99 the number of requests that can be answered in time.

    Args:
        threads: of the model in each stream; None for one a core.
        streams: batches that are answered at the same time, each by a model of its own.
        window: seconds that the oldest request waits for others.
        largest_batch: images of a batch at most.
        most_in_hand: requests from the whole body to the answer; further ones get 429.
        most_bytes: of an image file; a larger one gets 413.
        most_buffered: bytes of all bodies together; what does not fit gets 429.
        most_pixels: that an image file may unpack to; a larger one gets 415.
        body_seconds: that a body may take to arrive; a slower one gets 408.
        head_seconds: that the head of a request may take; a slower connection is closed.
        most_connections: at the same time; further ones are closed.
        decoders: images that are decoded at the same time.
        drain_seconds: that the service goes on at least after SIGTERM, answering 503 to new
            requests, so that a load balancer notices.
        most_drain_seconds: after which what is still in hand is given up.
    """

    threads: int | None = None
    streams: int = 1
    window: float = 0.005
    largest_batch: int = 16
    most_in_hand: int = 64
    most_bytes: int = 20_000_000
    most_buffered: int = 200_000_000
    most_pixels: int = 50_000_000
    body_seconds: float = 10.0
    head_seconds: float = 10.0
    most_connections: int = 1000
    decoders: int = 2
    drain_seconds: float = 1.0
    most_drain_seconds: float = 30.0

    @classmethod
    def of(cls, bundle: Path) -> Settings:
        """Return the settings of a bundle: those that were measured, or the defaults."""
        file = bundle / "serving.json"
        if not file.is_file():
            return cls()
        measured = json.loads(file.read_text(encoding="utf-8"))
        cores = os.cpu_count() or 1
        streams, largest = measured["streams"], measured["largest_batch"]
        # Little's law: more requests than this are not answered within the limit.
        in_time = math.ceil(measured["rate"] * measured["p99_limit_s"])
        return dataclasses.replace(
            cls(),
            threads=min(measured["threads"], cores),
            streams=min(streams, cores),
            window=measured["window_s"],
            largest_batch=largest,
            most_in_hand=max(2 * streams * largest, in_time, 4),
        )
