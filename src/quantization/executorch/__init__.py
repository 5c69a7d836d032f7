"""Static int8 for ExecuTorch by its PT2E quantizer, searched within the accuracy budget."""
