from __future__ import annotations

from src.report.pareto import front


def test_what_another_beats_at_both_is_not_on_the_front() -> None:
    assert front([(3, 9), (1, 5), (2, 4), (2, 7), (4, 9)]) == [1, 3, 0]


def test_of_what_is_as_fast_only_the_better_one_is() -> None:
    assert front([(1, 5), (1, 6)]) == [1]
    assert front([(1, 5), (1, 5)]) == [0]
    assert front([]) == []
