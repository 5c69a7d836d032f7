"""ExecuTorch: lowering and quantization in its environment, and a program as a runtime."""
