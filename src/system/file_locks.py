"""Locks on open files, which end with the process that holds them, however that ends.

They are advisory and belong to the open file, as flock(2) has them. NFS turns them into byte-range
locks: an exclusive one needs a file that is open for writing. Some file systems have no locks.
"""

from __future__ import annotations

import errno
import fcntl

# What a file system says that has no locks: NFS without its lock service, Lustre without
# -o flock, many of FUSE. NFS says EBADF where the file is open for reading only.
_NO_LOCKS = frozenset(
    {errno.EBADF, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}
)


def take(descriptor: int) -> None:
    """Lock a file that is open for writing for this process alone, after waiting for others.

    Where the file system has no locks, return without one.
    """
    _flock(descriptor, fcntl.LOCK_EX)


def share(descriptor: int) -> None:
    """Lock a file against :func:`take` and :func:`is_free`, together with others that share it.

    Where the file system has no locks, return without one.
    """
    _flock(descriptor, fcntl.LOCK_SH)


def is_free(descriptor: int) -> bool:
    """Lock a file that is open for writing if no other process holds it; whether that was so.

    Where the file system has no locks the answer is no, for nobody can tell.
    """
    try:
        return _flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # the latter is how some network disks say it
        return False


def _flock(descriptor: int, operation: int) -> bool:
    """Whether there is a lock now."""
    try:
        fcntl.flock(descriptor, operation)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return False
    return True
