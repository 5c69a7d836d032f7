"""The measurement in a web browser beside the native file: its formats and its table."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest

from src.errors import LightshipError, UsageError
from src.run.latency import Turn
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    """The script."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "scripts"))
        import benchmark_browser

        yield benchmark_browser


def test_a_format_that_no_page_runs_is_refused_with_those_that_do(script: ModuleType) -> None:
    script.require_browser("onnx_fp32")
    with pytest.raises(UsageError, match=r"--formats: .*onnx_fp32, onnx_int8; found eager"):
        script.require_browser("eager")


def turns(seconds: float, processes: int) -> dict[int, Turn]:
    return {
        number: Turn(
            seconds=[seconds] * 9, elapsed_seconds=9 * seconds, cpu_seconds=0, process=number
        )
        for number in range(processes)
    }


def test_the_table_has_the_ratio_to_the_native_time_and_the_changed_answers(
    script: ModuleType,
) -> None:
    file = script.FileFigures("resnet34", "onnx_int8", images=3)
    file.native.rounds, file.browser.rounds = turns(0.002, 3), turns(0.006, 3)
    native = np.array([[0.0, 5.0], [5.0, 0.0], [0.0, 1.0]])
    script.compare(file, native, native * np.array([[1], [1], [-1]]))
    row = script.table([file])[-1]
    assert row.startswith("| resnet34 | `onnx_int8` | 2.00 | 6.00 | - | 6.00 [6.00, 6.00] | ")
    assert "| 3.00 [3.00, 3.00] | 1 of 3 | 0.46 |" in row
    with pytest.raises(LightshipError, match="finite logits"):
        script.compare(file, native, native * np.nan)
