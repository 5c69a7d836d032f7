"""Threads of torch in this process, within the quota of a container."""

from __future__ import annotations

import os

from src.system import machine

_VARIABLE = "OMP_NUM_THREADS"


def limit(processes: int = 1, *, is_launched: bool = False) -> None:
    """Let torch start no more threads than this process may use cores.

    By default torch starts a thread for each core of the machine or of the affinity mask. The quota
    of a container (``docker run --cpus=2``, a limit of Kubernetes) hides no core, so that dozens of
    threads would wait for two cores. ``OMP_NUM_THREADS`` is the user's choice and stays.

    Args:
        processes: number of processes that share the cores. Lightning divides the cores of the
            affinity mask between them, unless the variable is set.
        is_launched: a launcher of Lightning starts the training. It sets the threads of each
            process anew, also of a single one, as on each of several machines.
    """
    import torch

    if _VARIABLE in os.environ:
        return
    cores = machine.usable_cores()
    threads = max(1, cores // processes)
    if torch.get_num_threads() > threads:
        torch.set_num_threads(threads)
    if is_launched and cores < len(machine.usable_core_numbers()):
        os.environ[_VARIABLE] = str(threads)
