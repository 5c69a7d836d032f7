"""SIGKILL at random moments of training, export and benchmark; LIGHTSHIP_KILLS sets the number."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest

from src.run.folder import Run
from tests.faults.kills import KilledRun, KillResults

# Kills of one run, by phase, before it may finish.
PHASES_OF_KILLS = (*["training"] * 3, *["export"] * 3, *["benchmark"] * 2)


@pytest.mark.faults
@pytest.mark.filterwarnings("ignore:.*torch.jit")  # the integrity check loads TorchScript files
def test_killed_commands_lose_no_checkpoint_and_leave_no_partial_file(tmp_path: Path) -> None:
    kill_count = int(os.environ.get("LIGHTSHIP_KILLS", str(len(PHASES_OF_KILLS))))
    moments = random.Random(int(os.environ.get("LIGHTSHIP_SEED", "0")))
    results = KillResults()
    # A run that was never killed takes a minute: reuse one if its path is given.
    reference_path = os.environ.get("LIGHTSHIP_NEVER_KILLED")
    never_killed = (
        Run(Path(reference_path))
        if reference_path
        else KilledRun(tmp_path / "whole", moments, results).finish()
    )
    number = 0
    while sum(results.kills.values()) < kill_count:
        killed_run = KilledRun(tmp_path / f"killed_{number}", moments, results)
        for phase in PHASES_OF_KILLS:
            killed_run.kill_in(phase)
            print(json.dumps(vars(results)), flush=True)
        killed_run.finish(never_killed)
        number += 1
    print(json.dumps({"runs": number, **vars(results)}), flush=True)
    assert (results.lost, results.half, results.wrong, results.left) == ([], [], [], [])
