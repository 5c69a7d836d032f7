"""Static int8 quantization for OpenVINO."""
