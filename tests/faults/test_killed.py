"""SIGKILL at random moments of training, export and benchmark; LIGHTSHIP_KILLS says how many."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest

from src.run.folder import Run
from tests.faults.kills import Course, Tally

# Of one run: it is killed so often in each phase before it is let end.
IN_TURN = (*["training"] * 3, *["export"] * 3, *["benchmark"] * 2)


@pytest.mark.faults
@pytest.mark.filterwarnings("ignore:.*torch.jit")  # a file of it is read to see that it is whole
def test_nothing_is_lost_half_or_wrong_however_often_it_is_killed(tmp_path: Path) -> None:
    wanted = int(os.environ.get("LIGHTSHIP_KILLS", str(len(IN_TURN))))
    moments = random.Random(int(os.environ.get("LIGHTSHIP_SEED", "0")))
    tally = Tally()
    # Another test of the same machine may have left one, which takes a minute.
    given = os.environ.get("LIGHTSHIP_NEVER_KILLED")
    never_killed = (
        Run(Path(given)) if given else Course(tmp_path / "whole", moments, tally).finish()
    )
    number = 0
    while sum(tally.kills.values()) < wanted:
        course = Course(tmp_path / f"killed_{number}", moments, tally)
        for phase in IN_TURN:
            course.kill_in(phase)
            print(json.dumps(vars(tally)), flush=True)
        course.finish(never_killed)
        number += 1
    print(json.dumps({"runs": number, **vars(tally)}), flush=True)
    assert (tally.lost, tally.half, tally.wrong, tally.left) == ([], [], [], [])
