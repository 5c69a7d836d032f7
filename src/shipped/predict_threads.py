"""The number of threads of a model: as asked for, as measured, or as this process may use."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING or __package__:  # a part of a package
    from . import machine
    from .predict_opening import UnusableModelError, description
else:  # in the folder of a model
    import machine
    from predict_opening import UnusableModelError, description

HERE = Path(__file__).resolve().parent
MOST_THREADS = 1024
MEASURED = "measured"


def chosen_threads(text: str) -> int:
    """Return a number of threads: itself, or for ``measured`` that of the measurement.

    Raises:
        ArgumentTypeError: it is neither, or nothing was measured.
    """
    if text == MEASURED:
        try:
            threads: int | None = description(HERE)["threads"]
        except UnusableModelError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
        if threads is None:
            raise argparse.ArgumentTypeError("this model was not measured; give a number")
        return threads
    if not text.isdecimal() or not 1 <= int(text) <= MOST_THREADS:
        raise argparse.ArgumentTypeError(
            f"expected a number from 1 to {MOST_THREADS} or {MEASURED}, found {text!r}"
        )
    return int(text)


def default_threads(measured: int | None) -> int | None:
    """Return the threads of a model; None, the runtime's own choice, where all cores may be used.

    Where some may not, they are those of the measurement, as in the exam, but no more than the
    usable cores, nor than ``OMP_NUM_THREADS``. Left to themselves, ONNX Runtime, OpenVINO and
    PyTorch go by the cores of the machine, also in a container with a quota of two, in which the
    threads wait for each other. ONNX Runtime ties each of them to a core, and prints an error for
    a core that the container does not have: https://github.com/microsoft/onnxruntime/issues/10113

    Args:
        measured: threads of the measurement; None without one.
    """
    cores, usable = machine.core_numbers(), machine.usable_cores()
    if cores == set(range(os.cpu_count() or 1)) and usable == len(cores):
        return None
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    bound = int(asked) if asked.isascii() and asked.isdecimal() and int(asked) else usable
    return min(measured or usable, usable, bound)
