"""Summaries of hand-written traces, whose figures are known."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from src.profiling.summary import summarize
from src.profiling.trace import Trace
from src.run.training_profile import Figures
from tests.profiling.traces import allocation, spans_of
from tests.profiling.traces import span as any_span


def span(name: str, start: float, end: float, kind: str = "user_annotation", **args: Any) -> Any:
    return any_span(name, start, end, kind, **args)


# A step as Lightning runs it: forward and backward lie within the optimizer's region.
STEP = [
    span("ProfilerStep#7", 0, 100),
    span("data loading", 0, 20),
    span("Optimizer.step#AdamW.step", 25, 95),
    span("forward", 30, 50),
    span("backward", 50, 80),
    span("aten::conv2d", 30, 49, "cpu_op"),
    span("aten::mkldnn_convolution", 31, 48, "cpu_op"),
    span("aten::add", 82, 90, "cpu_op"),
]


def figures(*events: Any, stage: str = "train", steps_per_update: int = 1) -> Figures:
    trace = Trace.from_spans(spans_of(*events))
    return summarize(trace, stage, steps_per_update=steps_per_update)


def test_each_moment_of_a_step_counts_in_one_region() -> None:
    summary = figures(*STEP)
    assert summary.step_seconds == pytest.approx([0.1])
    assert summary.regions == pytest.approx(
        {"data loading": 0.02, "forward": 0.02, "backward": 0.03, "optimizer": 0.02, "other": 0.01}
    )
    assert summary.problems == []


def test_figures_are_per_step() -> None:
    second = [{**event, "ts": event["ts"] + 1e5} for event in STEP]
    summary = figures(*STEP, *second)
    assert len(summary.step_seconds) == 2
    assert sum(summary.regions.values()) == pytest.approx(0.1)
    assert summary.operators[0].calls == 1


def test_the_self_time_of_an_operator_excludes_nested_operators() -> None:
    by_name = {operator.name: operator for operator in figures(*STEP).operators}
    assert by_name["aten::mkldnn_convolution"].self_seconds == pytest.approx(0.017)
    assert by_name["aten::conv2d"].self_seconds == pytest.approx(0.002)
    assert next(iter(by_name)) == "aten::mkldnn_convolution"


def test_spans_of_another_thread_do_not_reduce_the_self_time() -> None:
    summary = figures(*STEP, span("aten::other", 32, 47, "cpu_op", tid=2))
    times = {operator.name: operator.self_seconds for operator in summary.operators}
    assert times["aten::mkldnn_convolution"] == pytest.approx(0.017)
    assert times["aten::other"] == pytest.approx(0.015)


def test_memory_that_was_not_freed_counts_for_the_innermost_operator() -> None:
    summary = figures(*STEP, allocation(32, 1000), allocation(40, -400), allocation(85, 50))
    allocated = {op.name: op.allocated_bytes for op in summary.operators}
    assert allocated["aten::mkldnn_convolution"] == 600
    assert allocated["aten::add"] == 50
    assert [size for _, size in summary.memory["cpu"]] == [1000, 600, 650]
    assert "device" not in summary.memory


def test_device_work_belongs_to_the_region_that_launched_it() -> None:
    summary = figures(
        *STEP,
        span("cudaLaunchKernel", 35, 36, "cuda_runtime", correlation=4),
        span("cudaLaunchKernel", 84, 85, "cuda_runtime", correlation=5),
        # Both kernels run after forward has ended on the host.
        span("conv_kernel", 60, 90, "kernel", correlation=4, tid=99),
        span("adam_kernel", 90, 99, "kernel", correlation=5, tid=99),
    )
    assert summary.device == pytest.approx({"forward": 0.03, "optimizer": 0.009})


def test_a_thinned_memory_curve_keeps_its_peak() -> None:
    events = [allocation(moment / 100, 10) for moment in range(5000)]
    events.insert(2500, allocation(25.001, 10**9))
    events.insert(2501, allocation(25.002, -(10**9)))
    curve = figures(*STEP, *events).memory["cpu"]
    assert len(curve) < 400
    assert max(size for _, size in curve) > 10**9


@pytest.mark.parametrize("missing", ["data loading", "forward", "backward", "Optimizer"])
def test_a_missing_region_is_a_problem(missing: str) -> None:
    events = [event for event in STEP if not event["name"].startswith(missing)]
    [problem] = figures(*events).problems
    assert missing.lower() in problem


@pytest.mark.parametrize(
    ("steps", "steps_per_update", "problems"),
    [(1, 1, 1), (1, 2, 0), (2, 2, 1), (2, 3, 0), (3, 3, 1), (3, 8, 0)],
)
def test_a_window_shorter_than_the_accumulated_batches_may_lack_the_optimizer(
    steps: int, steps_per_update: int, problems: int
) -> None:
    events = [event for event in STEP if not event["name"].startswith("Optimizer")]
    window = [{**event, "ts": event["ts"] + k * 1e5} for k in range(steps) for event in events]
    assert len(figures(*window, steps_per_update=steps_per_update).problems) == problems


def test_missing_steps_and_operators_are_problems() -> None:
    problems = figures(span("forward", 0, 1), stage="val").problems
    assert any("no step is marked" in problem for problem in problems)
    assert any("no operators" in problem for problem in problems)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


WHOLE = gzip.compress(json.dumps({"traceEvents": STEP}).encode(), mtime=0)


def test_a_complete_trace_file_is_read(tmp_path: Path) -> None:
    assert len(Trace.read(write(tmp_path / "t.json.gz", WHOLE)).steps) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no gzip at all",
        WHOLE[: len(WHOLE) // 2],
        WHOLE[:-12] + b"\0" * 12,
        gzip.compress(b"no json", mtime=0),
        gzip.compress(b"[]", mtime=0),
        gzip.compress(b'{"traceEvents": []}', mtime=0),
        gzip.compress(b'{"traceEvents": [{"ph": "X"}]}', mtime=0),
        gzip.compress(b'{"traceEvents": 3}', mtime=0),
    ],
    ids=range(9),
)
def test_a_damaged_trace_file_raises_value_error(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ValueError, match=r"gzip|trace|events|Expecting"):
        Trace.read(write(tmp_path / "t.json.gz", content))
