"""ONNX files, and ONNX Runtime, which runs them."""
