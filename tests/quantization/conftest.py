"""Random numbers that do not depend on the tests that ran before."""

from __future__ import annotations

import numpy as np
import pytest

from tests.quantization.onnx_models import RANDOM


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Give each test the same random numbers."""
    RANDOM.bit_generator.state = np.random.default_rng(0).bit_generator.state
