"""A job of SLURM with one task, in which a test's command runs."""

from __future__ import annotations

from pathlib import Path

import pytest

_VARIABLES = {
    "SLURM_NTASKS": "1",
    "SLURM_JOB_NAME": "train",
    "SLURM_JOB_ID": "4711",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
}


def enter(patch: pytest.MonkeyPatch, path: str) -> None:
    """Set the variables of a job, and ``PATH``."""
    patch.delenv("SLURM_ARRAY_JOB_ID", raising=False)
    for name, value in {**_VARIABLES, "PATH": path}.items():
        patch.setenv(name, value)


def plant_scontrol(folder: Path, script: str) -> None:
    """Write a shell script in the place of SLURM's ``scontrol``."""
    folder.mkdir(exist_ok=True)
    program = folder / "scontrol"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
