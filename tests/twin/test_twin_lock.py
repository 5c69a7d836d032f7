"""Two commands that make the twin of one run: the second one is refused."""

from __future__ import annotations

import pytest

from src.cli.run_lock import RunLock
from src.errors import UsageError
from src.run.folder import Run
from src.run.twin_files import TwinFiles
from tests.support.user_files import contents
from tests.twin.test_twin_stage import Steps, make


@pytest.fixture
def steps(run: Run, monkeypatch: pytest.MonkeyPatch) -> Steps:
    return Steps(run, monkeypatch)


@pytest.mark.parametrize("options", [{}, {"again": True}, {"epochs": 7}])
@pytest.mark.parametrize("state", ["new", "begun", "finished"])
def test_a_second_command_is_refused_and_changes_nothing(
    state: str, options: dict[str, object], run: Run, steps: Steps
) -> None:
    steps.stops = state == "begun"
    if state == "begun":
        with pytest.raises(KeyboardInterrupt):
            make(run)
    elif state == "finished":
        make(run)
    steps.stops = False
    with TwinFiles(run).held():
        before, done = contents(run.folder), list(steps.done)
        with pytest.raises(
            UsageError, match=r"^RUN: expected a run whose int8 twin no other"
        ) as raised:
            make(run, **options)
        assert "\n" not in str(raised.value)
        assert (contents(run.folder), steps.done) == (before, done)
    assert make(run, **options).is_complete


def test_the_lock_of_the_training_that_the_twin_ends_does_not_stop_it(
    run: Run, steps: Steps
) -> None:
    with RunLock() as training:
        training.take(run)
        assert make(run).is_complete


def test_the_lock_ends_with_a_making_that_fails(run: Run, steps: Steps) -> None:
    steps.stops = True
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            make(run)
    assert steps.done == ["survey", "trained", "resumed"]
