"""Large traces that scripts/benchmark_traces.py makes of small ones."""

from __future__ import annotations

import sys
from pathlib import Path

from src.profiling.operator_table import operator_table
from tests.conftest import ROOT
from tests.profiling.traces import allocation, span, step, write

sys.path.insert(0, str(ROOT / "scripts"))

import benchmark_traces


def test_a_large_trace_repeats_the_steps_of_a_small_one_one_after_the_other(tmp_path: Path) -> None:
    events = [step(3, 0, 9), span("a", 1, 4, **{"External id": 5}), allocation(2, 10)]
    small, large = write(tmp_path / "s.json.gz", *events), tmp_path / "l.json.gz"
    benchmark_traces.write(small, large, 2000)
    whole, part = operator_table(large, "name"), operator_table(small, "name")
    assert whole.steps > 3
    for row, row_of_part in zip(whole.operators, part.operators, strict=True):
        assert row.name == row_of_part.name
        assert row.calls == row_of_part.calls * whole.steps
        assert row.memory_bytes == row_of_part.memory_bytes * whole.steps
