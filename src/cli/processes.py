"""Processes of a training: checks of what a cluster has started, before they wait for each other.

Lightning takes some variables of the environment for a cluster's. Where they are left over or do
not fit the options, a training waits without end, or does not know that it is the first process.
"""

from __future__ import annotations

import os

from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch import Trainer

from src.cli.run_selection import is_rank_zero
from src.errors import UsageError
from src.system.console import open_console

# Variables by which Lightning knows its rank before there is a Trainer, in its order.
_RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
_STEPS = ("SLURM_STEP_ID", "SLURM_STEPID")  # that srun sets, and sbatch does not


def check(trainer: Trainer) -> None:
    """Refuse processes that do not fit the options, and print a line where others are waited for.

    Raises:
        UsageError: the processes are not as many as the devices, or the only one has another rank
            than 0.
    """
    devices, nodes = trainer.num_devices, trainer.num_nodes
    if trainer.world_size != devices * nodes:
        raise UsageError(
            "trainer.devices",
            expected=f"{trainer.world_size} in all, one for each process that the cluster has "
            "started",
            found=f"{devices} on {nodes} machines" if nodes > 1 else str(devices),
            remedy="set trainer.devices and trainer.num_nodes so, or start more processes",
        )
    if trainer.is_global_zero and not is_rank_zero():
        name = next((name for name in _RANKS if name in os.environ), _RANKS[0])
        raise UsageError(
            name,
            expected="0, or no such variable, where one process trains",
            found=os.environ.get(name, "another rank"),
            remedy=f"unset {name}, or start the processes of one training by torchrun",
        )
    if trainer.is_global_zero and (line := _waiting(trainer)):
        open_console().print(line, soft_wrap=True, markup=False)


def _waiting(trainer: Trainer) -> str | None:
    """Return a line where a training waits for processes that the user may not have started."""
    others = trainer.world_size - 1
    cluster = trainer._accelerator_connector.cluster_environment  # noqa: SLF001
    if not others:
        return None
    if isinstance(cluster, LightningEnvironment) and "LOCAL_RANK" in os.environ:
        return (
            f"LOCAL_RANK is set, so this process waits for {others} others that are started with "
            "it: unset LOCAL_RANK to start them from here"
        )
    if isinstance(cluster, SLURMEnvironment) and not any(name in os.environ for name in _STEPS):
        return (
            f"SLURM is to start {others} more processes, for which this one waits: write srun "
            "before the command"
        )
    return None
