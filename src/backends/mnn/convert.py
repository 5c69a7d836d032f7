"""Convert an ONNX file for MNN. It runs in the environment of MNN.

python -m src.backends.mnn.convert ONNX MNN
"""

from __future__ import annotations

import ctypes
import importlib
import os
import sys
from pathlib import Path

_STANDARD_OUTPUT = 1
_MOST_SHOWN = 250  # characters of the converter's output


def main() -> None:
    onnx_file, target = sys.argv[1:]
    # The program mnnconvert of the package does this, and then reports it to MNN's maker.
    tools = importlib.import_module("_tools")
    arguments = {"-f": "ONNX", "--modelFile": onnx_file, "--MNNModel": target}
    words = [word for pair in arguments.items() for word in pair]
    tools.mnnconvert(["mnnconvert", *words, "--bizCode", "lightship"])
    # The converter explains on standard output what it cannot convert, and returns nothing.
    if not Path(target).is_file():
        sys.exit(f"mnnconvert wrote no file: {_printed() or 'it gave no reason'}")


def _printed() -> str:
    """Return the end of what was printed, in one line; "" where standard output is no file.

    :func:`src.system.limited_process.run_limited` gives a file. Its offset stays where it is.
    """
    ctypes.CDLL(None).fflush(None)  # the converter is C++, and prints into a buffer of its own
    try:
        end = os.fstat(_STANDARD_OUTPUT).st_size
        content = os.pread(_STANDARD_OUTPUT, _MOST_SHOWN, max(0, end - _MOST_SHOWN))
    except OSError:
        return ""  # a terminal or a pipe, whose reader sees it
    return " ".join(content.decode(errors="replace").split())


if __name__ == "__main__":
    main()
