"""Paths that processes share."""

from __future__ import annotations

import gc
import os
import pickle
import sys
from pathlib import Path

import pytest

from src.data.pipeline.image_files import ImageFiles
from src.data.pipeline.path_list import PathList

PATHS = ["a.png", "", "é/ü.png", "/b/c.jpg", os.fsdecode(b"caf\xe9.png"), "😀"]


@pytest.mark.parametrize("paths", [PATHS, PATHS[1:2], []])
def test_paths_are_those_of_the_list(paths: list[str]) -> None:
    found = PathList(iter(paths))
    assert list(found) == paths
    assert len(found) == len(paths)
    for index in range(-len(paths), len(paths)):
        assert found[index] == paths[index]
    for part in (slice(None), slice(1, 3), slice(None, None, -2), slice(-2, 99)):
        assert found[part] == paths[part]
    assert list(pickle.loads(pickle.dumps(found))) == paths  # noqa: S301  # of our own
    for index in (len(paths), -len(paths) - 1):
        with pytest.raises(IndexError):
            found[index]


def test_image_files_hold_no_object_for_each_path() -> None:
    """An object's count of references would be written to, and its memory copied."""
    files = ImageFiles([f"/data/{number}.png" for number in range(10_000)], [0] * 10_000)
    gc.collect()
    held = gc.get_referents(files.paths.__dict__)
    assert len(held) < 10
    assert files.shrunk(8).paths is files.paths
    assert not any(isinstance(each, list | tuple | set | dict) for each in held)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_that_reads_all_paths_gets_no_memory_of_its_own_for_them() -> None:
    paths = ImageFiles([f"/data/folder/{number:090}.png" for number in range(300_000)], []).paths
    gc.collect()
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        before = _private_bytes()
        for path in paths:
            assert path
        os.write(writer, str(_private_bytes() - before).encode())
        os._exit(0)
    os.waitpid(child, 0)
    grown = int(os.read(reader, 100))
    os.close(reader)
    os.close(writer)
    assert grown < 10e6  # of a list of strings: 45 MB


def _private_bytes() -> int:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))
