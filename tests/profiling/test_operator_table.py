"""Operator tables: the same figures as torch's key_averages, and known ones of written traces."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile, record_function, schedule

from src.profiling.operator_table import (
    MAX_ROWS,
    OperatorRow,
    OperatorTable,
    operator_table,
    table_of,
)
from src.profiling.stacks import MAX_FRAMES
from src.profiling.summary import MAX_OPERATORS, summarize
from src.profiling.trace import Trace
from tests.conftest import ROOT
from tests.profiling.traces import allocation, span, spans_of, step, write

STEPS = 3
Recording = tuple[Path, Any]


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU())
        self.head = nn.Linear(16, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.features(images)
        pooled = torch.cat([features.mean((2, 3)), features.amax((2, 3))]).chunk(2)[0]
        return self.head(pooled)


def record(path: Path, *, with_stack: bool) -> Recording:
    """Record some steps of a training and return their trace and torch's profiler."""
    network = Network()
    optimizer = torch.optim.AdamW(network.parameters())

    def write_trace(profiler: Any) -> None:
        profiler.export_chrome_trace(str(path))

    with profile(
        activities=[ProfilerActivity.CPU],
        schedule=schedule(wait=0, warmup=1, active=STEPS, repeat=1),
        on_trace_ready=write_trace,
        record_shapes=True,
        profile_memory=True,
        with_stack=with_stack,
    ) as profiler:
        for number in range(1 + STEPS):
            images = torch.rand(4 if number % 2 else 8, 3, 32, 32)
            with record_function("forward"), record_function("forward"):
                loss = network(images).square().mean()
            with record_function("backward"):
                loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            profiler.step()
    return path, profiler


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "stacks"])
def recording(request: Any, tmp_path_factory: Any) -> Recording:
    folder = tmp_path_factory.mktemp("recording")
    return record(folder / "t.pt.trace.json.gz", with_stack=request.param)


def by_key(table: OperatorTable) -> dict[tuple[str, str, str], OperatorRow]:
    rows = {(row.name, row.kind, row.shapes or "[]"): row for row in table.operators}
    assert len(rows) == len(table.operators)
    return rows


@pytest.mark.parametrize("by", ["name", "shapes"])
def test_the_figures_equal_those_of_key_averages(recording: Recording, by: str) -> None:
    path, profiler = recording
    rows = by_key(operator_table(path, by))
    averages = profiler.key_averages(group_by_input_shape=by == "shapes")
    compared = 0
    for average in averages:
        kind = "region" if average.is_user_annotation else "operator"
        kind = "memory" if average.key == "[memory]" else kind
        shapes = str(average.input_shapes) if by == "shapes" else "[]"
        row = rows.pop((average.key, kind, shapes or "[]"))
        assert row.calls == average.count, row
        assert row.memory_bytes == pytest.approx(average.cpu_memory_usage, rel=0.01), row
        assert row.self_memory_bytes == pytest.approx(average.self_cpu_memory_usage, rel=0.01), row
        if average.self_cpu_time_total > 1:
            compared += 1
            for seconds, microseconds in (
                (row.self_seconds, average.self_cpu_time_total),
                (row.total_seconds, average.cpu_time_total),
            ):
                assert seconds * 1e6 == pytest.approx(microseconds, rel=0.01), row
    assert compared > 30
    assert not rows


def test_the_table_says_what_was_recorded(recording: Recording) -> None:
    path, profiler = recording
    table = operator_table(path, "name")
    assert table.steps == STEPS
    assert (table.has_memory, table.has_shapes, table.has_device) == (True, True, False)
    assert table.has_stacks is profiler.with_stack
    assert table.omitted == 0
    times = [row.self_seconds for row in table.operators]
    assert times == sorted(times, reverse=True)


def test_rows_by_shapes_and_by_stack_add_up_to_those_by_name(recording: Recording) -> None:
    path, _ = recording
    names = by_key(operator_table(path, "name"))
    for by in ("shapes", "stack"):
        rows = operator_table(path, by).operators
        for (name, kind, _), whole in names.items():
            parts = [row for row in rows if (row.name, row.kind) == (name, kind)]
            assert sum(row.calls for row in parts) == whole.calls
            assert sum(row.self_seconds for row in parts) == pytest.approx(whole.self_seconds)
            assert sum(row.memory_bytes for row in parts) == whole.memory_bytes


def test_the_summary_of_a_window_has_the_same_operators(recording: Recording) -> None:
    path, _ = recording
    operators = summarize(Trace.read(path), "train").operators
    rows = [row for row in operator_table(path, "name").operators if row.kind == "operator"]
    assert len(operators) == MAX_OPERATORS
    for operator, row in zip(operators, rows, strict=False):
        assert operator.name == row.name
        assert operator.calls * STEPS == pytest.approx(row.calls)
        assert operator.self_seconds * STEPS == pytest.approx(row.self_seconds)
        assert operator.allocated_bytes * STEPS == pytest.approx(row.self_memory_bytes)


@pytest.fixture
def stacked(tmp_path: Path) -> Path:
    return record(tmp_path / "t.pt.trace.json.gz", with_stack=True)[0]


def test_an_operator_of_the_backward_pass_has_the_stack_of_the_forward_pass(stacked: Path) -> None:
    rows = operator_table(stacked, "stack").operators
    for name in ("aten::convolution", "aten::convolution_backward"):
        stacks = [row.stack for row in rows if row.name == name]
        assert stacks
        for stack in stacks:
            assert any("Conv2d" in frame for frame in stack or [])
            assert any("test_operator_table.py" in frame for frame in stack or [])
            assert not any("autograd" in frame for frame in stack or [])


def only(name: str, *events: Any, by: str = "name") -> OperatorRow:
    [row] = [row for row in table_of(spans_of(*events), by).operators if row.name == name]
    return row


def test_time_on_a_device_belongs_to_the_operator_that_launched_it() -> None:
    events = [
        span("aten::conv2d", 0, 20, **{"External id": 3}),
        span("aten::cudnn_convolution", 1, 19, **{"External id": 4}),
        span("cudaLaunchKernel", 2, 3, "cuda_runtime", correlation=70, **{"External id": 4}),
        span("kernel", 30, 40, "kernel", pid=0, tid=7, correlation=70, **{"External id": 4}),
        # This kernel names no operator.
        span("cudaLaunchKernel", 4, 5, "cuda_runtime", correlation=71),
        span("kernel", 40, 45, "kernel", pid=0, tid=7, correlation=71),
        # This one was launched before the window.
        span("kernel", 45, 46, "kernel", pid=0, tid=7, correlation=9, **{"External id": 1}),
    ]
    table = table_of(spans_of(*events), "name")
    assert table.has_device
    rows = {row.name: row for row in table.operators}
    times = {
        name: (row.device_self_seconds, row.device_total_seconds) for name, row in rows.items()
    }
    assert times["aten::cudnn_convolution"] == pytest.approx((0.015, 0.015))
    assert times["aten::conv2d"] == pytest.approx((0, 0.015))
    assert times["cudaLaunchKernel"] == (0, 0)
    assert times["kernel"] == pytest.approx((0.016, 0.016))
    assert (rows["kernel"].kind, rows["kernel"].calls) == ("kernel", 3)
    assert rows["kernel"].self_seconds == 0
    assert rows["aten::cudnn_convolution"].self_seconds == pytest.approx(0.016)


def test_memory_of_the_device_has_columns_of_its_own() -> None:
    events = [span("a", 0, 9), span("b", 1, 5), allocation(2, 10), allocation(3, 70, device=1)]
    inner, outer = only("b", *events), only("a", *events)
    assert (inner.memory_bytes, inner.device_memory_bytes) == (10, 70)
    assert (outer.memory_bytes, outer.self_memory_bytes) == (10, 0)
    assert (outer.device_memory_bytes, outer.self_device_memory_bytes) == (70, 0)


def test_memory_outside_all_operators_has_a_row() -> None:
    row = only("[memory]", span("a", 0, 1), allocation(5, 10), allocation(6, -4), allocation(0, 1))
    assert (row.calls, row.memory_bytes, row.kind) == (2, 6, "memory")


def test_a_call_within_one_of_the_same_name_counts_once_if_it_is_alone() -> None:
    assert only("a", span("a", 0, 9), span("a", 1, 8), span("a", 2, 7)).calls == 1
    row = only("a", span("a", 0, 9), span("a", 1, 3), span("a", 4, 8))
    assert (row.calls, row.self_seconds, row.total_seconds) == pytest.approx((3, 0.009, 0.015))


def test_a_call_that_is_rounded_beyond_its_parent_is_within_it() -> None:
    row = only("outer", span("outer", 0, 1), span("inner", 0.5, 1.000001))
    assert row.self_seconds == pytest.approx(0.0005, abs=1e-8)
    assert only("outer", span("outer", 0, 1), span("overlapping", 0.5, 1.1)).self_seconds == 0.001


def test_the_order_of_the_file_does_not_matter() -> None:
    events = [step(1, 0, 9), span("a", 1, 8), span("b", 2, 3), span("c", 2, 8, tid=2)]
    events += [allocation(2.5, 3), allocation(7, 5)]
    assert table_of(spans_of(*events), "name") == table_of(spans_of(*events[::-1]), "name")


def test_calls_nested_a_hundred_thousand_times_are_counted() -> None:
    depth = 100_000
    events = [
        span(f"f{number % 7}", number / 1e3, (2 * depth - number) / 1e3, "python_function")
        for number in range(depth)
    ]
    events.append(span("aten::add", depth / 1e3, (depth + 1) / 1e3))
    events.append(span("k", 1, 2, "kernel", correlation=5))
    row = only("aten::add", *events, by="stack")
    assert row.stack is not None
    assert len(row.stack) == MAX_FRAMES


def test_a_stack_that_the_trace_holds_as_text_is_split() -> None:
    event = span("a", 0, 1, **{"Call stack": "b.py(3): g;a.py(1): f"})
    assert only("a", event, by="stack").stack == ["b.py(3): g", "a.py(1): f"]
    assert table_of(spans_of(event), "name").has_stacks


@pytest.mark.parametrize(
    ("dims", "text"),
    [
        ([[8, 3], []], "[[8, 3], []]"),
        ([[[8, 3], [8, 4]], []], "[[], []]"),
        ([], None),
        ("<b>", '"<b>"'),
        ([["<b>"]], '[["<b>"]]'),
        ({"a": 1}, '{"a":1}'),
        (None, "null"),
    ],
)
def test_shapes_are_text_as_torch_shows_them(dims: Any, text: str | None) -> None:
    assert only("a", span("a", 0, 1, **{"Input Dims": dims}), by="shapes").shapes == text


def test_rows_beyond_the_limit_are_counted() -> None:
    table = table_of(spans_of(*(span(f"op{n}", n, n + 1) for n in range(MAX_ROWS + 7))), "name")
    assert (len(table.operators), table.omitted) == (MAX_ROWS, 7)


def test_a_trace_without_spans_has_no_rows() -> None:
    table = table_of(spans_of(allocation(1, 5)), "stack")
    assert [row.name for row in table.operators] == ["[memory]"]
    assert table.steps == 1


def test_an_unknown_grouping_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"by='color' is none of name, shapes, stack"):
        operator_table(write(tmp_path / "t.json.gz", span("a", 0, 1)), "color")


@pytest.mark.parametrize("module", ["operator_table", "timeline"])
def test_reading_a_trace_does_not_import_torch(module: str) -> None:
    code = f"import sys, src.profiling.{module}; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert done.returncode == 0


def test_stacks_of_different_objects_are_one_stack() -> None:
    events = []
    for start, address in ((0, "0x7fafbb41cc80"), (5, "0x7fafbb41cd00")):
        name = f"<built-in method amax of Tensor object at {address}>"
        events += [
            span(name, start, start + 4, "python_function"),
            span("aten::amax", start + 1, start + 3),
        ]
    row = only("aten::amax", *events, by="stack")
    assert (row.calls, row.stack) == (2, ["<built-in method amax of Tensor object>"])


@pytest.mark.parametrize("by", ["name", "shapes", "stack"])
def test_no_two_rows_have_the_same_name_kind_shapes_and_stack(by: str) -> None:
    on_device = {"pid": 0, "tid": 7}
    events = [
        step(1, 0, 20),
        span("forward", 1, 9, "user_annotation"),
        span("aten::mm", 2, 8, **{"External id": 3, "Input Dims": [[1, 2]]}),
        span("cudaLaunchKernel", 3, 4, "cuda_runtime", correlation=7, **{"External id": 3}),
        span("ProfilerStep#1", 10, 19, "gpu_user_annotation", **on_device),
        span("forward", 11, 18, "gpu_user_annotation", **on_device),
        span("gemm", 11, 18, "kernel", correlation=7, **{"External id": 3}, **on_device),
        allocation(25, 5),
    ]
    rows = table_of(spans_of(*events), by).operators
    keys = [(row.name, row.kind, row.shapes, tuple(row.stack or ())) for row in rows]
    assert len(keys) == len(set(keys)) == 8
    kinds = {row.kind: row for row in rows if row.name == "forward"}
    assert set(kinds) == {"region", "device region"}
    assert kinds["region"].total_seconds == pytest.approx(0.008)
