"""The int8 file that the run has exported, whose recipe was searched: a twin is timed against it.

The survey and the trainings compare with the plain recipe, because no other one is known before an
export. A searched file may be faster or slower than the plain one.
"""

from __future__ import annotations

from pathlib import Path

from src.backends.onnx import file
from src.backends.onnx.runtime import OnnxRuntime
from src.errors import describe
from src.export import up_to_date
from src.quantization.evaluation import speedup_in_turn
from src.run import fingerprint
from src.run.file_input import Batch
from src.run.folder import Run
from src.system import machine
from src.system.console import Report

_FORMAT = "onnx_int8"


def int8_file(run: Run, checkpoint_sha256: str) -> Path | None:
    """Return the file ``onnx_int8`` of a checkpoint; None without a whole one.

    Files that take pixels are left out: they normalise in each call, and a twin's files do not.

    Args:
        run: with or without exports.
        checkpoint_sha256: of the trained network.
    """
    manifest = up_to_date.read(run)
    if manifest is None or manifest.checkpoint.sha256 != checkpoint_sha256:
        return None
    export = manifest.formats.get(_FORMAT)
    if export is None or export.status != "ok" or export.takes.is_pixels:
        return None
    folder = run.exports / _FORMAT
    return folder / file.FILE if fingerprint.is_as_written(folder, export.files) else None


def speedup_over(
    run: Run, checkpoint_sha256: str, runtime: OnnxRuntime, image: Batch, report: Report
) -> float | None:
    """Return how many times as fast as :func:`int8_file` a runtime is; None without that file.

    Args:
        run: with or without exports.
        checkpoint_sha256: of the trained network.
        runtime: of the twin's int8 file.
        image: (1, 3, H, W).
        report: told why a file cannot be timed.
    """
    try:
        path = int8_file(run, checkpoint_sha256)
        if path is None:
            return None
        return speedup_in_turn(runtime, OnnxRuntime(path, "cpu", machine.usable_cores()), image)
    except Exception as error:  # of a file of any origin; the twin is made without it
        report(f"not timed beside {_FORMAT}, which does not run: {describe(error)}")
        return None
