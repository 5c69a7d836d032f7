"""Names of the files for ncnn, and of the tensors in them."""

from __future__ import annotations

PARAMETERS, WEIGHTS = "model.param", "model.bin"
INPUT, OUTPUT = "in0", "out0"  # as pnnx calls them
