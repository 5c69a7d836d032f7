"""Plan of the profiler's windows."""

from __future__ import annotations

import pytest

from src.errors import UsageError
from src.profiling.options import ProfilingOptions
from src.profiling.plan import Window, training_windows, window_at

START = ProfilingOptions()
THROUGHOUT = ProfilingOptions(windows=5, spread="throughout")


def all_windows(epochs: int, steps: int, options: ProfilingOptions) -> list[tuple[int, Window]]:
    return [
        (epoch, window)
        for epoch in range(epochs)
        for window in training_windows(epoch, epochs, steps, options)
    ]


def test_spread_start_puts_one_window_into_each_of_the_first_epochs() -> None:
    assert all_windows(8, 33, START) == [(0, Window(5, 1, 3)), (1, Window(5, 1, 3))]


def test_spread_throughout_puts_windows_evenly_over_the_training() -> None:
    assert [epoch for epoch, _ in all_windows(50, 33, THROUGHOUT)] == [0, 10, 20, 30, 40]


@pytest.mark.parametrize("epochs", [2, 3, 50, 400])
def test_a_long_training_has_no_more_windows_than_a_short_one(epochs: int) -> None:
    assert len(all_windows(epochs, 33, THROUGHOUT)) == 5


@pytest.mark.parametrize("steps", range(1, 60))
@pytest.mark.parametrize("options", [START, THROUGHOUT], ids=["start", "throughout"])
def test_windows_lie_within_their_epoch_and_do_not_overlap(
    steps: int, options: ProfilingOptions
) -> None:
    windows = all_windows(3, steps, options)
    assert windows
    ends = dict.fromkeys(range(3), 0)
    for epoch, window in windows:
        assert ends[epoch] <= window.first
        assert window.end <= steps
        assert window.active >= 1
        ends[epoch] = window.end


def test_a_short_epoch_shortens_wait_then_warmup_then_active_steps() -> None:
    assert window_at(5, 6, START) == Window(2, 1, 3)
    assert window_at(5, 4, START) == Window(0, 1, 3)
    assert window_at(5, 3, START) == Window(0, 0, 3)
    assert window_at(5, 1, START) == Window(0, 0, 1)
    assert window_at(5, 0, START) is None


@pytest.mark.parametrize("name", ["windows", "active", "max_trace_bytes", "wait"])
def test_a_negative_option_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(UsageError, match=rf"profiler\.{name}: expected . or more; found -1"):
        ProfilingOptions(**{name: -1})
