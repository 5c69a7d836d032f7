"""The SHA-256 of a file, read so that the process stays as it was."""

from __future__ import annotations

import hashlib
from pathlib import Path

# glibc gives a block of 128 KiB or more pages of its own. When the first such block is freed, it
# stops doing so up to that size, and the arrays of a runtime that is opened afterwards lie
# elsewhere, which can change its speed.
BLOCK = 1 << 16


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
