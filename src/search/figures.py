"""The figures that a measurement has to give, so that files can be judged by the limits."""

from __future__ import annotations

from collections.abc import Sequence

from src.errors import UsageError
from src.forecast.records import Candidate
from src.search.limits import BATCH_SIZE
from src.search.records import Limits


def require_memory(limits: Limits, *, is_measured: bool, found: str) -> None:
    """Check that the memory is measured if it has a limit.

    Args:
        limits: of the search.
        is_measured: True if the measurement gives the peak memory.
        found: the reason why it does not, for the message.

    Raises:
        UsageError: it is not measured.
    """
    if limits.memory_bytes is not None and not is_measured:
        raise UsageError(
            "memory_under",
            expected="benchmark.memory=true beside it, so that the memory is measured",
            found=found,
            remedy="add benchmark.memory=true, or leave out memory_under",
        )


def require_single_images(batch_sizes: Sequence[int]) -> None:
    """Check that calls with one image are timed, by which files are compared.

    Raises:
        UsageError: they are not.
    """
    if BATCH_SIZE not in batch_sizes:
        sizes = ",".join(str(size) for size in [BATCH_SIZE, *batch_sizes])
        raise UsageError(
            "benchmark.batch_sizes",
            expected=f"{BATCH_SIZE} among them, because a search compares calls with one image",
            found=str(list(batch_sizes)),
            remedy=f"add {BATCH_SIZE}, as in benchmark.batch_sizes=[{sizes}]",
        )


def require_in_forecast(forecast: Candidate, limits: Limits) -> bool:
    """Check that a forecast has the figures that the limits need. Return False if it has no timing.

    Raises:
        UsageError: it has timings, and a figure is in none of them.
    """
    timings = [timing for file in forecast.files for timing in file.timings]
    if not timings:
        return False
    require_single_images(sorted({timing.batch_size for timing in timings}))
    require_memory(
        limits,
        is_measured=any(timing.peak_rss_bytes is not None for timing in timings),
        found=f"no peak memory in the forecast of {forecast.name}",
    )
    return True
