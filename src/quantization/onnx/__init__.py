"""Static int8 quantization for ONNX Runtime."""
