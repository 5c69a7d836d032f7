"""Commands of this project in a process that has imported the large libraries already.

``python -m`` takes seconds to import PyTorch and Lightning, again for each command of a test. Here
a server imports them once, and each command is a fork of it. Nothing of this project is imported
before. Tests of signals, kills and the first import start a Python of their own instead. On other
systems than Linux, where a fork with these libraries is not safe, each command starts one too.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.conftest import ROOT

_LIBRARIES = ["torch", "torchvision", "lightning.pytorch", "torchmetrics"]
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
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_LIBRARIES)
    with tempfile.TemporaryDirectory() as name:
        files = [Path(name, stream) for stream in ("stdout", "stderr")]
        process = context.Process(target=_run, args=(words, folder, variables, files))
        process.start()
        process.join(_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()
        assert process.exitcode is not None
        printed, complaints = (file.read_text(encoding="utf-8") for file in files)
    return subprocess.CompletedProcess([*map(list, words)], process.exitcode, printed, complaints)


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
