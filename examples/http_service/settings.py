"""Settings of the service: the run of the model, and limits."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MEASURED = "serving.json"


@dataclass(frozen=True)
class Settings:
    """Batching, and the bounds of the service.

    The bytes, pixels and seconds of one request are bounded for each client. ``most_in_hand``,
    ``most_buffered``, ``most_prepared``, ``most_connections`` and ``decoders`` are of all clients
    together; a proxy in front has to bound the share of one.

    ``serving.json`` of a bundle has the first four as they were measured by ``src.serve_test``, and
    the rate and the limit of the p99, of which ``most_in_hand`` is made.

    Args:
        threads: of the model in each stream; None for the runtime's own choice.
        streams: batches that are answered at the same time, each by a model of its own.
        window: seconds that the oldest request waits for others.
        largest_batch: images of a batch at most.
        most_in_hand: requests from the whole body to the answer; further ones get 429.
        most_bytes: of an image file; a larger one gets 413.
        most_buffered: bytes of all bodies together; what does not fit gets 429.
        most_prepared: bytes of all prepared images together; what does not fit gets 429. They are
            small but for a model with its preprocessing inside, which takes an image in its whole
            size: three bytes a pixel.
        most_pixels: that an image file may unpack to; a larger one gets 415.
        body_seconds: that a body may take to arrive; a slower one gets 408.
        head_seconds: that the head of a request may take, and an answer may be unread; after them
            the connection is closed.
        idle_seconds: that a connection may be idle between two requests. Longer than the proxy in
            front keeps one, usually 60: else it could send a request on a connection that is being
            closed, and answer 502.
        most_connections: at the same time; for a further one, the oldest that waits for its client
            is closed. Below 1024, the usual limit of open files.
        decoders: images that are decoded at the same time.
        drain_seconds: that the service goes on at least after SIGTERM, answering 503 to new
            requests, so that a load balancer notices.
        most_drain_seconds: after which what is still in hand is given up; below the 30 after which
            Kubernetes kills.
    """

    threads: int | None = None
    streams: int = 1
    window: float = 0.005
    largest_batch: int = 16
    most_in_hand: int = 64
    most_bytes: int = 20_000_000
    most_buffered: int = 200_000_000
    most_prepared: int = 400_000_000
    most_pixels: int = 50_000_000
    body_seconds: float = 10.0
    head_seconds: float = 10.0
    idle_seconds: float = 75.0
    most_connections: int = 800
    decoders: int = 2
    drain_seconds: float = 1.0
    most_drain_seconds: float = 25.0

    @staticmethod
    def measured_on(bundle: Path) -> str | None:
        """Return the processor that the settings of a bundle were measured on; None if unknown."""
        measured = _measured(bundle)
        named = measured and measured.get("cpu")
        return named if isinstance(named, str) else None

    @classmethod
    def of(cls, bundle: Path, cores: int) -> Settings:
        """Return the settings of a bundle: those that were measured, or the defaults.

        Args:
            bundle: its folder.
            cores: that the service may use, of its container and not of the machine; all streams
                together have no more threads.
        """
        measured = _measured(bundle)
        if measured is None:
            return cls(threads=cores)
        streams, largest = min(measured["streams"], cores), measured["largest_batch"]
        # Little's law: at this rate, so many requests are in hand if each takes the whole limit.
        in_time = math.ceil(measured["rate"] * measured["p99_limit_s"])
        return dataclasses.replace(
            cls(),
            threads=min(measured["threads"], max(1, cores // streams)),
            streams=streams,
            window=measured["window_s"],
            largest_batch=largest,
            # Room for a full batch a stream; half of the connections are left for the rest.
            most_in_hand=min(max(streams * largest, in_time), cls.most_connections // 2),
        )


def _measured(bundle: Path) -> dict[str, Any] | None:
    """Return the content of ``serving.json``; None if there is none."""
    file = bundle / MEASURED
    if not file.is_file():
        return None
    content = json.loads(file.read_text(encoding="utf-8-sig"))  # as editors on Windows write
    if not isinstance(content, dict):
        raise TypeError(f"expected an object, found a {type(content).__name__}")
    return content
