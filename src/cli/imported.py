"""The modules that trainings, exports and measurements import, which takes most of their start."""

IMPORTED = ("src.cli.app", "onnxscript", "onnxruntime.quantization")
