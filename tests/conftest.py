"""Settings of all tests: one thread a process, and seeds and threads that are restored."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parent.parent
CONFIGS = ROOT / "configs"

# Child processes of tests share the cores with them, and waiting OpenMP threads spin.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell lets background commands ignore Ctrl-C, and their children inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Files that train or compile for minutes. They start first, so that with several processes none of
# them runs alone at the end.
LONGEST = (
    "tests/training/test_train.py",
    "tests/formats/test_contract.py",
    "tests/training/test_resume.py",
    "tests/formats/test_openvino.py",
    "tests/training/test_tensorboard_server.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; the order within a file stays."""
    places = {ROOT / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(autouse=True)
def _restore_global_state() -> Iterator[None]:
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)  # the train command turns it on


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to an empty working directory and return it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
