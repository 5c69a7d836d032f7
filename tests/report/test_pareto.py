from __future__ import annotations

from src.report.pareto import front


def test_a_point_that_another_beats_in_both_is_not_on_the_front() -> None:
    assert front([(3, 9), (1, 5), (2, 4), (2, 7), (4, 9)]) == [1, 3, 0]


def test_of_equally_fast_points_only_the_better_one_is_on_the_front() -> None:
    assert front([(1, 5), (1, 6)]) == [1]
    assert front([(1, 5), (1, 5)]) == [0]
    assert front([]) == []
