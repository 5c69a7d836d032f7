"""Groups of tasks that run at the same time, such as loading files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor


def run_concurrently(tasks: Sequence[Callable[[], None]], at_once: int) -> None:
    """Run the tasks in their order, in groups of ``at_once`` at the same time.

    The next group starts when all tasks of the group before it have ended. If tasks of a group
    fail, the error of the first of them is raised.
    """
    for start in range(0, len(tasks), at_once):
        group = tasks[start : start + at_once]
        if len(group) == 1:  # no thread: Ctrl-C would have to wait for it
            group[0]()
            continue
        with ThreadPoolExecutor(len(group)) as pool:
            for future in [pool.submit(task) for task in group]:
                future.result()
