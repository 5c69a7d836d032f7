"""Static int8 for OpenVINO."""
