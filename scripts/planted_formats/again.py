"""The file of onnx_fp32 under another name: no comparison may find a difference."""

from src.formats.onnx_fp32 import devices, load, precision, requires, runs_with, tolerance

__all__ = ["devices", "load", "precision", "requires", "runs_with", "tolerance"]
