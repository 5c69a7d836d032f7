"""Convert an ONNX file for ncnn by pnnx. It runs in the environment of ncnn.

python -m src.backends.ncnn.convert ONNX SHAPE FOLDER

SHAPE is that of one image, as in 1,3,224,224. pnnx also writes files for other programs; they stay
in the folder of the ONNX file.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import ncnn

from src.backends.ncnn.names import PARAMETERS, WEIGHTS
from src.backends.own_environment import CANNOT


def main() -> None:
    onnx_file, shape, folder = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    found = importlib.util.find_spec("pnnx")  # importing it would import PyTorch
    if found is None or not found.submodule_search_locations:
        sys.exit("pnnx is not installed")
    program = Path(found.submodule_search_locations[0]) / "pnnx"
    ended = subprocess.run(
        # fp16=0 keeps the weights in fp32.
        [str(program), onnx_file.name, f"inputshape=[{shape}]f32", "fp16=0"],
        cwd=onnx_file.parent,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    parameters, weights = (onnx_file.with_suffix(f".ncnn{ending}") for ending in (".param", ".bin"))
    if ended.returncode or not parameters.is_file() or not weights.is_file():
        sys.exit(f"pnnx failed: {(ended.stderr or ended.stdout).strip().rpartition(chr(10))[2]}")
    if unknown := _unknown_layers(parameters):
        sys.stderr.write(f"ncnn has no layer for {', '.join(unknown)}, which pnnx wrote\n")
        sys.exit(CANNOT)
    shutil.copy(parameters, folder / PARAMETERS)
    shutil.copy(weights, folder / WEIGHTS)


def _unknown_layers(parameters: Path) -> list[str]:
    """Return the kinds of layer in a file that are none of ncnn's: pnnx writes them as they are."""
    layers = parameters.read_text(encoding="utf-8").splitlines()[2:]
    kinds = {line.split()[0] for line in layers if line.strip()}
    return sorted(kind for kind in kinds if ncnn.layer_to_index(kind) < 0)


if __name__ == "__main__":
    main()
