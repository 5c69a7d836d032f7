"""Explains failures of uv and pip: the problem in one line, and what mends it."""

from __future__ import annotations

import errno
import re
import subprocess

from src.errors import one_line

_LAST = 300  # characters of an installer's message
_FULL = {errno.ENOSPC, errno.EDQUOT}

# The first kind whose pattern is in the message counts.
_DISK = r"no space left|quota exceeded|os error (28|122)\b|errno (28|122)\b"
_PERMISSION = r"permission denied|read-only file system|os error (1|13|30)\b|errno (1|13|30)\b"
_HASH = r"hash mismatch|do not match the hashes"
_CONNECTION = (
    r"error sending request|client error \(connect\)|dns error|lookup address|name resolution|"
    r"name or service not known|could not resolve|"
    r"connection (refused|reset|aborted|closed|error|timed|broken)|connectionerror|"
    r"(connect|read)timeout|timed out|network is unreachable|network is down|"
    r"network (was|is) disabled|network connectivity is disabled|no network|max retries exceeded"
)
_REFUSED = r"http (status|error)[^\n]*\b[45]\d\d\b|\b(401|403|407)\b"
_PYTHON = r"no interpreter found|no (virtual environment or )?python found"
_PACKAGE = (
    r"no solution found|unsatisfiable|not found in the|no matching distribution|no versions? of|"
    r"no wheels?\b|matching (python|platform) (abi|tag|version)|incompatible with"
)


def problem(error: Exception) -> str:
    """Return the end of an installer's message, in one line."""
    if isinstance(error, subprocess.TimeoutExpired):
        return f"not done within {error.timeout:g} s"
    return one_line(_message(error))[-_LAST:]


def remedy(error: Exception, *, connection: str, package: str, other: str) -> str:
    """Return the remedy for a failed installation.

    Args:
        error: of the command, which holds its standard error, or of the system.
        connection: remedy if the package index cannot be reached.
        package: remedy if no such package fits here.
        other: remedy for every other problem than those of the disk, the index and Python.
    """
    if isinstance(error, subprocess.TimeoutExpired):
        return connection
    remedies = (
        (_DISK, "make room on the disk of environments/ and on that of the installer's cache"),
        (_PERMISSION, "make environments/ and the installer's cache writable"),
        (_HASH, "use a package index whose files are those of the lock"),
        (_CONNECTION, connection),
        (_REFUSED, "see that the package index is the right one and lets you in"),
        (_PYTHON, f"install this Python, or {connection}"),
        (_PACKAGE, package),
    )
    message = _message(error)
    return next(
        (text for pattern, text in remedies if re.search(pattern, message, re.IGNORECASE)), other
    )


def remedy_for_folder(error: OSError) -> str:
    """Return the remedy where the folder of all environments cannot be written."""
    return "make room on its disk" if error.errno in _FULL else "make that folder writable"


def _message(error: Exception) -> str:
    return str(getattr(error, "stderr", None) or error)
