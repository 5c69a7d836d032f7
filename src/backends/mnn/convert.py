"""Convert an ONNX file for MNN. It runs in the environment of MNN.

python -m src.backends.mnn.convert ONNX MNN
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def main() -> None:
    onnx_file, target = sys.argv[1:]
    # The program mnnconvert of the package does this, and then reports it to MNN's maker.
    tools = importlib.import_module("_tools")
    arguments = {"-f": "ONNX", "--modelFile": onnx_file, "--MNNModel": target}
    words = [word for pair in arguments.items() for word in pair]
    tools.mnnconvert(["mnnconvert", *words, "--bizCode", "lightship"])
    # The converter explains on standard output what it cannot convert, and returns nothing.
    if not Path(target).is_file():
        sys.exit("mnnconvert wrote no file")


if __name__ == "__main__":
    main()
