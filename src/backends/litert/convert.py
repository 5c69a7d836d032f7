"""Convert an ONNX file for LiteRT by onnx2tf, for one image. It runs in the environment of LiteRT.

python -m src.backends.litert.convert ONNX TFLITE

With a batch that may change, onnx2tf writes a dozen operators in front of each padded convolution.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import onnx
from onnx2tf.onnx2tf import convert

from src.backends.litert.names import INPUT
from src.backends.own_environment import CANNOT


def main() -> None:
    onnx_file, target = sys.argv[1:]
    model = onnx.load(onnx_file)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        onnx.save_model(model, folder / "network.onnx")
        try:
            convert(
                input_onnx_file_path=str(folder / "network.onnx"),
                output_folder_path=str(folder),
                keep_ncw_or_nchw_or_ncdhw_input_names=[INPUT],
                copy_onnx_input_output_names_to_tflite=True,
                output_signaturedefs=True,
                not_use_onnxsim=True,
                non_verbose=True,
            )
        except NotImplementedError as error:
            sys.stderr.write(f"\nonnx2tf cannot convert it: {' '.join(str(error).split())}\n")
            sys.exit(CANNOT)
        shutil.copyfile(folder / "network_float32.tflite", target)


if __name__ == "__main__":
    main()
