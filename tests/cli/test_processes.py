"""Variables of clusters that fit the options of a training, or do not."""

from __future__ import annotations

from pathlib import Path

import pytest
from lightning.pytorch.utilities import rank_zero_only

from src.cli import app
from src.cli.entry_point import run_command
from src.cli.processes import check
from src.errors import UsageError
from tests.support.tiny_classifier import trainer
from tests.training.test_errors_in_training import SHORT

pytestmark = pytest.mark.filterwarnings("ignore")
DDP = {"devices": 2, "strategy": "ddp"}
SLURM = {
    "SLURM_JOB_ID": "1",
    "SLURM_NTASKS": "2",
    "SLURM_NTASKS_PER_NODE": "2",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
    "SLURM_NNODES": "1",
}


@pytest.fixture(autouse=True)
def _first_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank_zero_only, "rank", 0)
    for name in ("RANK", "LOCAL_RANK", *SLURM, "SLURM_STEP_ID", "SLURM_STEPID", "SLURM_JOB_NAME"):
        monkeypatch.delenv(name, raising=False)


def set_variables(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_fewer_processes_than_devices_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_variables(monkeypatch, **{**SLURM, "SLURM_NTASKS": "1"})
    expected = r"^trainer\.devices: expected 1 in all, one for each process .*; found 2; "
    with pytest.raises(UsageError, match=expected):
        check(trainer(tmp_path, **DDP))


def test_a_single_process_that_is_called_another_rank_is_refused_and_leaves_no_run(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_variables(monkeypatch, RANK="1")
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: app.main([*SHORT]))
    assert ended.value.code == UsageError.exit_code
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert errors == [
        "error: RANK: expected 0, or no such variable, where one process trains; found 1; unset "
        "RANK, or start the processes of one training by torchrun"
    ]
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({}, ""),
        ({"LOCAL_RANK": "0"}, "LOCAL_RANK is set, so this process waits for 1 others"),
        (SLURM, "SLURM is to start 1 more processes, for which this one waits: write srun before"),
        ({**SLURM, "SLURM_STEP_ID": "0"}, ""),
    ],
    ids=["from here", "LOCAL_RANK", "sbatch without srun", "srun"],
)
def test_a_line_tells_which_processes_a_training_waits_for(
    variables: dict[str, str],
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_variables(monkeypatch, **variables)
    check(trainer(tmp_path, **DDP))
    printed = capsys.readouterr().out
    assert printed.startswith(line) if line else not printed


def test_one_process_waits_for_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_variables(monkeypatch, LOCAL_RANK="0")
    check(trainer(tmp_path))
    assert not capsys.readouterr().out
