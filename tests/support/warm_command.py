"""Commands of this project in a process that has imported the large libraries already.

``python -m`` takes seconds to import PyTorch, Lightning and what exports and draws, again for each
command of a test. Here a server imports them once, and each command is a fork of it. Nothing of
this project is imported before. Tests of signals and of the first import start a Python of their
own instead. On other systems than Linux, where a fork with these libraries is not safe, each
command starts one too.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.conftest import ROOT

# Those of a training with all of its stages. One that is not installed is left out.
_LIBRARIES = [
    *("torch", "torchvision", "torchvision.transforms.v2", "lightning.pytorch.cli"),
    *("torchmetrics.classification", "sklearn.datasets", "sklearn.model_selection", "timm"),
    *("torch.profiler", "torch.utils.flop_counter", "torch.utils.tensorboard"),
    *("torch.export", "onnx", "onnxscript", "onnxruntime.quantization", "safetensors.torch"),
    *("scipy.optimize", "scipy.special", "scipy.stats"),
    *("matplotlib.figure", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg"),
    *("jinja2", "rich.progress", "rich.table"),
]
_SECONDS = 600


def command(
    folder: Path, module: str, *argv: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m module argv`` in a folder, and return its exit code and what it printed."""
    return commands(folder, (module, *argv), **environment)


def commands(
    folder: Path, *words: tuple[str, ...], **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run several commands one after the other in one process, up to the first that fails."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    if sys.platform != "linux":
        return _in_new_processes(folder, words, variables)
    with _forked(folder, words, variables) as (process, files):
        process.join(_SECONDS)
        printed, complaints = (file.read_text(encoding="utf-8") for file in files)
        assert process.exitcode is not None, f"no end after {_SECONDS} s: {printed}{complaints}"
    return subprocess.CompletedProcess([*map(list, words)], process.exitcode, printed, complaints)


@contextlib.contextmanager
def _forked(
    folder: Path, words: tuple[tuple[str, ...], ...], variables: dict[str, str]
) -> Iterator[tuple[BaseProcess, list[Path]]]:
    """Start commands; yield their process and the files of their output and errors."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_LIBRARIES)
    with tempfile.TemporaryDirectory() as name:
        files = [Path(name, stream) for stream in ("stdout", "stderr")]
        process = context.Process(target=_run, args=(words, folder, variables, files))
        process.start()
        try:
            yield process, files
        finally:
            if process.is_alive():
                process.kill()
                process.join()


def _in_new_processes(
    folder: Path, words: tuple[tuple[str, ...], ...], variables: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    code, printed, complaints = 0, "", ""
    for module, *argv in words:
        process = subprocess.run(
            [sys.executable, "-m", module, *argv],
            cwd=folder, env=variables, capture_output=True, text=True, timeout=_SECONDS,
            check=False,
        )  # fmt: skip
        code, printed = process.returncode, printed + process.stdout
        complaints += process.stderr
        if code:
            break
    return subprocess.CompletedProcess([*map(list, words)], code, printed, complaints)


def _run(
    words: tuple[tuple[str, ...], ...],
    folder: Path,
    variables: dict[str, str],
    files: list[Path],
) -> None:
    gc.freeze()  # else each collection goes through, and copies, all that the server imported
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    for stream, file in zip((sys.stdout, sys.stderr), files, strict=True):
        stream.flush()
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, stream.fileno())
    # As for python -m: the current folder comes first, then the folders of the variable.
    sys.path[:0] = [str(folder), *variables["PYTHONPATH"].split(os.pathsep)]
    for module, *argv in words:
        sys.argv = [module, *argv]
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except SystemExit as end:
            if end.code:
                raise
