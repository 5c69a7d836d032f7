"""OpenVINO files, and the runtime for them."""
