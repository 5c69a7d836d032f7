from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from src.benchmark.concurrency import run_concurrently


def test_one_at_a_time_needs_no_thread_and_keeps_the_order() -> None:
    done: list[tuple[int, int]] = []

    def act(number: int) -> Callable[[], None]:
        return lambda: done.append((number, threading.get_ident()))

    run_concurrently([act(number) for number in range(3)], 1)
    assert done == [(number, threading.get_ident()) for number in range(3)]


def test_tasks_of_a_group_run_at_once_and_the_rest_after_them() -> None:
    both = threading.Barrier(2, timeout=30)
    done: list[str] = []

    def meet() -> None:
        both.wait()
        done.append("met")

    run_concurrently([meet, meet, lambda: done.append("alone")], 2)
    assert done == ["met", "met", "alone"]


@pytest.mark.parametrize("at_once", [1, 2])
def test_an_error_is_raised_and_later_tasks_do_not_start(at_once: int) -> None:
    done: list[str] = []

    def fail() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        run_concurrently([fail] * at_once + [lambda: done.append("later")], at_once)
    assert done == []
