"""Advice where the folder of downloaded weights cannot be written, as without a home folder."""

from __future__ import annotations

import errno

_NOT_WRITABLE = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR})


def remedy(error: BaseException, variable: str, otherwise: str) -> str:
    """Return the remedy for weights that could not be downloaded.

    A container whose user has no home folder, or with a read-only disk, has a network but no place
    for the file.

    Args:
        error: raised by the download.
        variable: names the folder of the library's downloads.
        otherwise: the remedy where the folder is not to blame.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _NOT_WRITABLE and seen.filename:
            return f"set the variable {variable} to a folder that can be written, or {otherwise}"
        seen = seen.__cause__ or seen.__context__
    return otherwise
