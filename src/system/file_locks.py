"""Locks on open files. The system releases them when the process that holds them ends.

They are advisory and belong to the open file: see flock(2). NFS turns them into byte-range locks,
so an exclusive lock needs a file that is open for writing. Some file systems have no locks.
"""

from __future__ import annotations

import errno
import fcntl

# Errors of file systems without locks: NFS without its lock service, Lustre without -o flock,
# many FUSE file systems. EBADF is NFS's error for a file that is open for reading only.
_NO_LOCKS = frozenset(
    {errno.EBADF, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}
)


def lock_exclusive(descriptor: int) -> None:
    """Wait for an exclusive lock on a file that is open for writing.

    Return without a lock if the file system has none.
    """
    _flock(descriptor, fcntl.LOCK_EX)


def lock_shared(descriptor: int) -> None:
    """Wait for a shared lock, which excludes exclusive locks only.

    Return without a lock if the file system has none.
    """
    _flock(descriptor, fcntl.LOCK_SH)


def try_lock_exclusive(descriptor: int) -> bool:
    """Take an exclusive lock on a file that is open for writing, if no other process holds one.

    Return True if this process has the lock now. Without locks in the file system return False,
    because nobody can tell whether the file is in use.
    """
    try:
        return _flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # some network disks report the latter
        return False


def take_exclusive(descriptor: int) -> bool:
    """Take an exclusive lock on a file or folder, if the file system has locks.

    Return False if another process holds it. Without locks in the file system return True.
    """
    try:
        _flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # some network disks report the latter
        return False
    return True


def _flock(descriptor: int, operation: int) -> bool:
    """Call flock(2). Return False if the file system has no locks."""
    try:
        fcntl.flock(descriptor, operation)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return False
    return True
