"""Settings of all tests: one thread per process, and restored seeds and threads."""

from __future__ import annotations

import functools
import gc
import os
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadFileScheduling

ROOT = Path(__file__).parent.parent
CONFIGS = ROOT / "configs"

# The scripts set it; the tests expect the commands of a Python that is on the PATH.
os.environ.pop("LIGHTSHIP_SCRIPTS", None)
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
    "tests/deployment",
    "tests/training/test_resume.py",
    "tests/formats/test_openvino.py",
    "tests/training/test_tensorboard_server.py",
    "tests/system/test_library_errors.py",
    "tests/cli/test_app.py",
    "tests/training/test_errors_in_training.py",
    # They would come among the last ones.
    "tests/twin/test_functional_calls.py",
    "tests/twin/test_views_in_place.py",
    "tests/training/test_ends_of_training.py",
    "tests/training/test_small_data.py",
    "tests/tensorboard_plugin/test_files_view.py",
)
ONE_SCOPE = "tests/deployment"  # its files share a training, and so stay in one process


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector from what lives until the end: all modules and tests.

    Else it goes through these millions of objects again and again, also during the tests.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_unconfigure() -> None:
    """Let the interpreter free everything at its end, else some libraries report leaks."""
    gc.unfreeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; the order within a file stays."""

    def place(item: pytest.Item) -> int:
        name = item.path.relative_to(ROOT).as_posix()
        return next((at for at, long in enumerate(LONGEST) if name.startswith(long)), len(LONGEST))

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    """Keep the tests of a file, or of ``ONE_SCOPE``, in one process."""
    from xdist.scheduler import LoadFileScheduling

    if config.getvalue("dist") != "loadfile":
        return None

    class ByFileOrFolder(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return ONE_SCOPE if nodeid.startswith(f"{ONE_SCOPE}/") else super()._split_scope(nodeid)

    return ByFileOrFolder(config, log)


# Imported here, for neither the process that only distributes the tests nor a program of a test
# that wants the paths above needs it.
@functools.cache
def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _keep_onnx_functions() -> None:
    """Let torch read its ONNX functions once.

    It parses the source of 500 functions at each export, half the time of a small network's.
    """
    exporter: Any = sys.modules.get("torch.onnx._internal.exporter._registration")
    if exporter is not None and not hasattr(exporter.ONNXRegistry.from_torchlib, "cache_info"):
        registry = exporter.ONNXRegistry
        registry.from_torchlib = staticmethod(functools.cache(registry.from_torchlib))


@pytest.fixture(autouse=True)
def _restore_global_state() -> Iterator[None]:
    import torch

    _keep_onnx_functions()
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed also keeps the stack of its caller for each kind of device that is not
        # in use yet, which takes milliseconds, at each of thousands of tests.
        (torch.manual_seed if _has_gpu() else torch.default_generator.manual_seed)(0)
        yield
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)  # the train command turns it on


@pytest.fixture
def reacts_to_hang_up() -> Iterator[None]:
    """Stop ignoring SIGHUP, as all processes do that nohup started."""
    earlier = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, earlier)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to an empty working directory and return it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
