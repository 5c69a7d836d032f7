"""The limits of this process's control groups (cgroups): processor time and memory.

A container's limits, and those of systemd and of SLURM, are cgroups. A process is in one group of
each hierarchy, and the limits of all parents of that group apply as well: the tightest one counts.

Version 2: https://docs.kernel.org/admin-guide/cgroup-v2.html
Version 1: https://docs.kernel.org/scheduler/sched-bwc.html and
https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_OWN = Path("/proc/self/cgroup")
_MOUNTS = Path("/proc/self/mountinfo")
_USUAL = Path("/sys/fs/cgroup")  # where nothing tells the mounts

_MOST_CORES = 10**6
_MOST_BYTES = 10**15  # version 1 writes 2^63, rounded to pages, for "no limit"
_DEFAULT_PERIOD = 100_000  # microseconds
_OCTAL = re.compile(r"\\([0-7]{3})")  # how mountinfo writes a space


def cores() -> float | None:
    """The limit of processor time, in cores; None without one."""
    limits = [_cores_of(folder) for folder in _groups("cpu")]
    return min((limit for limit in limits if limit is not None), default=None)


def memory_bytes() -> int | None:
    """The limit of memory; None without one."""
    limits = [_bytes_of(folder) for folder in _groups("memory")]
    return min((limit for limit in limits if limit is not None), default=None)


def read(path: Path) -> str | None:
    """The content of a small file of the kernel; None where there is none that can be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


@dataclass(frozen=True)
class _Mount:
    """A hierarchy of groups: where it is mounted, and which of its groups is seen there."""

    point: Path
    root: PurePosixPath
    controllers: frozenset[str]  # empty in version 2, which has one hierarchy for all


def _cores_of(group: Path) -> float | None:
    """Version 2 has "max 100000" or "150000 100000": microseconds of processor time a period."""
    words = (read(group / "cpu.max") or "").split()
    if not words:
        parts = [read(group / f"cpu.cfs_{name}_us") or "" for name in ("quota", "period")]
        words = " ".join(parts).split()
    if not words or not all(word.isdecimal() for word in words):
        return None  # "max" or -1, no such file, or something unheard of
    quota, period = int(words[0]), int(words[1]) if len(words) > 1 else _DEFAULT_PERIOD
    if not quota or not period or quota / period > _MOST_CORES:
        return None
    return quota / period


def _bytes_of(group: Path) -> int | None:
    for name in ("memory.max", "memory.limit_in_bytes"):
        word = (read(group / name) or "").strip()
        if word.isdecimal() and 0 < int(word) < _MOST_BYTES:
            return int(word)
    return None


def _groups(controller: str) -> Iterator[Path]:
    """The folders of this process's groups and of their parents."""
    own = _own_groups(controller)
    mounts = list(_mounts())
    if not mounts:
        yield from (_USUAL, _USUAL / controller)
    for mount in mounts:
        if mount.controllers and controller not in mount.controllers:
            continue
        below = _below(own.get(bool(mount.controllers)), mount.root)
        for parent in (below, *below.parents):
            yield mount.point / parent


def _own_groups(controller: str) -> dict[bool, PurePosixPath]:
    """This process's groups: False for that of version 2, True for the controller's of version 1.

    Lines such as ``0::/user.slice/run.scope`` and ``4:cpu,cpuacct:/docker/1f3c``.
    """
    groups = {}
    for line in (read(_OWN) or "").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            groups[False] = PurePosixPath(path)
        elif controller in controllers.split(","):
            groups[True] = PurePosixPath(path)
    return groups


def _below(group: PurePosixPath | None, root: PurePosixPath) -> PurePosixPath:
    """Where a group is below a mount that shows ``root`` and what is in it.

    In a container the path may be one of the host's, which is not seen here. What is mounted is
    then the container's own group.
    """
    if group is None or ".." in group.parts or not group.is_relative_to(root):
        return PurePosixPath()
    return group.relative_to(root)


def _mounts() -> Iterator[_Mount]:
    """Its lines: https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html."""
    for line in (read(_MOUNTS) or "").splitlines():
        before, _, after = line.partition(" - ")
        words, kind = before.split(), after.split()
        if len(words) < 5 or len(kind) < 3 or kind[0] not in {"cgroup", "cgroup2"}:  # noqa: PLR2004
            continue
        root, point = (_OCTAL.sub(lambda match: chr(int(match[1], 8)), it) for it in words[3:5])
        controllers = frozenset(kind[2].split(",")) if kind[0] == "cgroup" else frozenset()
        yield _Mount(Path(point), PurePosixPath(root), controllers)
