"""Static int8 for ONNX Runtime."""
