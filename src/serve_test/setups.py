"""The configurations to try: threads, streams and batching windows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from src.serve_test.options import MOST_STREAMS, ServeTestOptions


@dataclass(frozen=True)
class Setup:
    """One configuration.

    Args:
        threads: intra-op threads of each stream.
        streams: processes that each answer one batch at a time.
        window: seconds that the oldest request waits for others; 0 is no batching.
        largest: requests of a batch at most; 1 without a window.
    """

    threads: int
    streams: int
    window: float
    largest: int

    def __str__(self) -> str:
        batching = f"batching {1e3 * self.window:g} ms" if self.window else "no batching"
        return f"{self.streams} x {self.threads} threads, {batching}"


def setups(options: ServeTestOptions, cores: int, *, mixes_batch: bool) -> list[Setup]:
    """Return the configurations to try, the plainest one first.

    Args:
        options: the request.
        cores: that the streams may use.
        mixes_batch: answers of the format depend on the other images of a batch, so that batching
            would change them.
    """
    windows = sorted({0.0} if mixes_batch else set(options.windows))
    return [
        Setup(threads, streams, window, options.largest_batch if window else 1)
        for threads, streams in _pairs(options.threads, options.streams, cores)
        for window in windows
    ]


def within(candidates: Sequence[Setup], limit: float) -> list[Setup]:
    """Return the configurations whose window is below the limit of the p99, in seconds."""
    return [setup for setup in candidates if setup.window < limit]


def notes(
    candidates: Sequence[Setup],
    options: ServeTestOptions,
    cores: int,
    limit: float,
    *,
    mixes_batch: bool,
) -> Iterator[str]:
    """Yield a sentence on everything that was asked for and is not tried, or not as it seems."""
    if mixes_batch and any(options.windows):
        yield "Batching was not tried: answers of this format depend on the images beside them."
    left_out = sorted({setup.window for setup in candidates if setup.window >= limit})
    if left_out:
        words = ", ".join(f"{1e3 * window:g} ms" for window in left_out)
        yield f"Windows not below the limit of {1e3 * limit:.3g} ms were left out: {words}."
    crowded = [setup for setup in candidates if setup.threads * setup.streams > cores]
    if crowded:
        yield (
            f"Some configurations have more threads than the {cores} cores of the streams: "
            f"{', '.join(dict.fromkeys(f'{each.streams} x {each.threads}' for each in crowded))}."
        )


def _pairs(
    threads: Sequence[int] | None, streams: Sequence[int] | None, cores: int
) -> list[tuple[int, int]]:
    """Return threads and streams."""
    if threads is None and streams is None:
        return list(dict.fromkeys([(cores, 1), (1, min(cores, MOST_STREAMS))]))
    if threads is None:
        return [(max(1, cores // count), count) for count in streams or ()]
    return list(itertools.product(threads, streams or [1]))
