"""Files that are loaded at the same time, on a machine that has the cores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor


def run_together(acts: Sequence[Callable[[], None]], at_once: int) -> None:
    """Do all in their order, ``at_once`` at a time; what the first of a group raises is raised."""
    for begun in range(0, len(acts), at_once):
        group = acts[begun : begun + at_once]
        if len(group) == 1:  # without a thread, so that Ctrl-C need not wait for one
            group[0]()
            continue
        with ThreadPoolExecutor(len(group)) as pool:
            for running in [pool.submit(act) for act in group]:
                running.result()
