"""Processor and memory limits of this process's control groups (cgroups).

Containers, systemd and SLURM limit processes by cgroups. A process is in one group of each
hierarchy. The limits of all parents of that group apply too, so the lowest limit counts.

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
_USUAL_MOUNT = Path("/sys/fs/cgroup")  # used if /proc/self/mountinfo lists no cgroup mount

# Larger values mean "no limit": version 1 writes 2^63, rounded to pages.
_MAX_CORES = 10**6
_MAX_BYTES = 10**15
_DEFAULT_PERIOD = 100_000  # microseconds
_OCTAL = re.compile(r"\\([0-7]{3})")  # how mountinfo writes a space


def cores() -> float | None:
    """Return the limit of processor time, in cores; None without one."""
    limits = [_cores_of(folder) for folder in _groups("cpu")]
    return min((limit for limit in limits if limit is not None), default=None)


def memory_bytes() -> int | None:
    """Return the limit of memory; None without one."""
    limits = [_bytes_of(folder) for folder in _groups("memory")]
    return min((limit for limit in limits if limit is not None), default=None)


def read(path: Path) -> str | None:
    """Return the content of a small file of the kernel; None if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


@dataclass(frozen=True)
class _Mount:
    """A mounted hierarchy of groups."""

    point: Path  # where it is mounted
    root: PurePosixPath  # the group that is seen at ``point``
    controllers: frozenset[str]  # empty in version 2, which has one hierarchy for all


def _cores_of(group: Path) -> float | None:
    """Return a group's own limit in cores; None without one.

    Version 2 writes "max 100000" or "150000 100000": microseconds of processor time, and the
    period in microseconds. Version 1 has a file for each number.
    """
    words = (read(group / "cpu.max") or "").split()
    if not words:
        parts = [read(group / f"cpu.cfs_{name}_us") or "" for name in ("quota", "period")]
        words = " ".join(parts).split()
    if not words or not all(word.isdecimal() for word in words):
        return None  # "max" or -1, no such file, or an unknown format
    quota, period = int(words[0]), int(words[1]) if len(words) > 1 else _DEFAULT_PERIOD
    if not quota or not period or quota / period > _MAX_CORES:
        return None
    return quota / period


def _bytes_of(group: Path) -> int | None:
    for name in ("memory.max", "memory.limit_in_bytes"):
        word = (read(group / name) or "").strip()
        if word.isdecimal() and 0 < int(word) < _MAX_BYTES:
            return int(word)
    return None


def _groups(controller: str) -> Iterator[Path]:
    """Yield the folders of this process's groups and of their parents."""
    own = _own_groups(controller)
    mounts = list(_mounts())
    if not mounts:
        yield from (_USUAL_MOUNT, _USUAL_MOUNT / controller)
    for mount in mounts:
        if mount.controllers and controller not in mount.controllers:
            continue
        group = _relative_group(own.get(bool(mount.controllers)), mount.root)
        for relative in (group, *group.parents):
            yield mount.point / relative


def _own_groups(controller: str) -> dict[bool, PurePosixPath]:
    """Return this process's groups: False is the one of version 2, True the one of version 1.

    Lines are such as ``0::/user.slice/run.scope`` and ``4:cpu,cpuacct:/docker/1f3c``.
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


def _relative_group(group: PurePosixPath | None, root: PurePosixPath) -> PurePosixPath:
    """Return a group's path relative to a mount whose top is the group ``root``.

    In a container ``group`` may be a path on the host, which is not visible here. The mount's top
    is the container's own group then.
    """
    if group is None or ".." in group.parts or not group.is_relative_to(root):
        return PurePosixPath()
    return group.relative_to(root)


def _mounts() -> Iterator[_Mount]:
    """Yield the mounts of cgroup hierarchies.

    Format: https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
    """
    for line in (read(_MOUNTS) or "").splitlines():
        before, _, after = line.partition(" - ")
        mount, kind = before.split(), after.split()
        if len(mount) < 5 or len(kind) < 3 or kind[0] not in {"cgroup", "cgroup2"}:  # noqa: PLR2004  # fields that are read below
            continue
        root, point = (_unescape(field) for field in mount[3:5])
        controllers = frozenset(kind[2].split(",")) if kind[0] == "cgroup" else frozenset()
        yield _Mount(Path(point), PurePosixPath(root), controllers)


def _unescape(field: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), field)
