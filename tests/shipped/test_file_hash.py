"""The hash of a file, and what taking it leaves behind in the process."""

from __future__ import annotations

import hashlib
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from src.shipped import file_hash
from src.shipped.predict_opening import HERE

# The fourth number of mallinfo2 counts the blocks that have pages of their own. A block above the
# threshold that is freed raises it, and then the next one of its size has none.
PROGRAM = """
import ctypes, pathlib, sys
sys.path.insert(0, sys.argv[1])
from file_hash import sha256_of
libc = ctypes.CDLL(None)
class Facts(ctypes.Structure):
    _fields_ = [(f"f{number}", ctypes.c_size_t) for number in range(10)]
libc.mallinfo2.restype = Facts
libc.malloc.restype = ctypes.c_void_p
print(sha256_of(pathlib.Path(sys.argv[2])))
print(libc.mallinfo2().f3, end=" ")
libc.malloc(ctypes.c_size_t(140_000))
print(libc.mallinfo2().f3)
"""


def test_it_is_the_hash_of_the_content(tmp_path: Path) -> None:
    for size in (0, 1, file_hash.BLOCK, 3 * file_hash.BLOCK + 1):
        content = bytes(range(256)) * (size // 256 + 1)
        (tmp_path / "file").write_bytes(content[:size])
        expected = hashlib.sha256(content[:size]).hexdigest()
        assert file_hash.sha256_of(tmp_path / "file") == expected
    with pytest.raises(OSError, match="nowhere"):
        file_hash.sha256_of(tmp_path / "nowhere")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="its threshold is glibc's")
def test_the_next_large_array_still_has_pages_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(3_000_000))
    program = [sys.executable, "-c", PROGRAM, str(HERE), str(tmp_path / "file")]
    ended = subprocess.run(program, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    digest, counts = ended.stdout.splitlines()
    assert digest == hashlib.sha256(bytes(3_000_000)).hexdigest()
    before, after = map(int, counts.split())
    assert after == before + 1  # blocks with pages of their own
