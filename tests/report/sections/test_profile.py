"""Sentences and tables on a training's profile."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from src.report.charts.training_profile import figures
from src.report.document import Section
from src.report.sections import profile as sections
from src.report.writers.tensorboard import untitled
from src.run.training_profile import TrainingProfile


def window(stage: str = "train", **regions: float) -> dict[str, Any]:
    """Return a window of one step, which takes a second unless the regions take longer."""
    named = {name.replace("_", " "): value for name, value in regions.items()}
    named["other"] = max(0.0, 1.0 - sum(named.values()))
    return {
        "stage": stage,
        "epoch": 0,
        "global_step": 5,
        "first_step": 6,
        "file": f"{stage}-rank0.1.pt.trace.json.gz",
        "bytes": 2_000_000,
        "step_seconds": [1.0],
        "regions": named,
        "device": {},
        "operators": [
            {"name": "aten::a|b", "self_seconds": 0.4, "calls": 36.0, "allocated_bytes": 1e6}
        ],
        "memory": {"cpu": [[0.0, 0.0], [0.1, 5e6]]},
        "problems": [],
    }


def profile(
    *windows: dict[str, Any], notes: tuple[str, ...] = (), **context: Any
) -> TrainingProfile:
    settings = {
        "batch_size": 32,
        "num_workers": 0,
        "device": "cpu",
        "precision": "32-true",
        "log_every_n_steps": 5,
    }
    content = {
        "schema_version": 1,
        "rank": 0,
        "options": {"spread": "start", "active": 3},
        "context": settings | context,
        "notes": list(notes),
        "windows": list(windows),
    }
    return msgspec.convert(content, TrainingProfile)


def steps_text(measured: TrainingProfile) -> str:
    return untitled(sections.steps(measured))


def operators_text(shown: dict[str, Any]) -> str:
    [latest] = profile(shown).latest
    return untitled([Section("Operators", table=sections.operators(latest))])


@pytest.mark.parametrize(
    ("regions", "said"),
    [
        ({"data_loading": 0.63, "forward": 0.3}, "63% of a training step waits for data: raise"),
        ({"optimizer": 0.4, "forward": 0.5}, r"40% .* raise data.batch_size \(now 32\)"),
        ({"forward": 0.5}, "50% of a training step is neither .* trainer.log_every_n_steps"),
        ({"data_to_device": 0.2, "forward": 0.7}, "20% .* copies images"),
        ({"forward": 0.4, "backward": 0.5}, r"90% .* computes .* most in aten::a\|b \(40%\)"),
        # The larger of two is what to begin with.
        ({"data_loading": 0.3, "optimizer": 0.45, "forward": 0.2}, "45% .* updates weights"),
    ],
)
def test_the_advice_follows_from_the_costliest_part_of_a_step(
    regions: dict[str, float], said: str
) -> None:
    first = sections.sentences(profile(window(**regions)))[0]
    assert re.search(said, first), first


def test_the_advice_is_about_the_last_window() -> None:
    lines = sections.sentences(
        profile(window(data_loading=0.9), window("val"), window(data_loading=0.01, forward=0.98))
    )
    assert "waits for data" not in lines[0]
    assert lines[-1].startswith("3 traces (6.0 MB) in profile/")


def test_bf16_is_advised_only_for_a_training_in_fp32() -> None:
    computing = window(forward=0.98)
    assert "bf16-mixed" in sections.sentences(profile(computing))[0]
    assert "bf16-mixed" not in sections.sentences(profile(computing, precision="bf16-mixed"))[0]


@pytest.mark.parametrize(("device", "advised"), [("cpu", False), ("cuda", True)])
def test_bf16_is_not_advised_for_a_network_that_is_slower_in_it_on_a_cpu(
    device: str, advised: bool
) -> None:
    settings = profile(window(forward=0.98), device=device, faster_in_bfloat16=False)
    assert ("bf16-mixed" in sections.sentences(settings)[0]) is advised


def test_problems_of_the_recording_and_a_missing_profile_are_reported() -> None:
    assert "Profile: a trace is broken." in sections.sentences(
        profile(notes=("a trace is broken",))
    )
    [line] = sections.sentences(profile())
    assert "before a window of steps was reached" in line


def test_the_shares_of_a_step_add_up_to_100_percent() -> None:
    table = steps_text(profile(window(data_loading=0.25, forward=0.5)))
    head, _, *figures = [line.split("|")[2].strip() for line in table.splitlines()]
    assert [head, *figures] == ["training,<br>epoch 0", "1", "1000.0", "25.0", "50.0", "25.0"]


def test_work_on_a_device_has_a_table_of_its_own() -> None:
    on_gpu = window(forward=0.1) | {"device": {"forward": 0.02}}
    assert "Work on the device" in steps_text(profile(on_gpu))
    assert "Work on the device" not in steps_text(profile(window(forward=0.1)))


def test_an_operator_with_any_name_is_one_line_of_the_table() -> None:
    line = operators_text(window(forward=0.9)).splitlines()[2]
    assert "400.00" in line
    assert "40.0" in line
    assert line.replace(r"\|", "").count("|") == 6


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("aten::" + "a" * 30, "aten::" + "a" * 30),
        ("aten::" + "a" * 31, "aten::" + "a" * 12 + "…" + "a" * 17),
        (
            "autograd::engine::evaluate_function: GeluBackward0",
            "autograd::engine::…on: GeluBackward0",
        ),
        ("x" * 5000, "x" * 18 + "…" + "x" * 17),
    ],
)
def test_an_operator_with_a_long_name_does_not_widen_the_table(name: str, shown: str) -> None:
    measured = window(forward=0.9)
    measured["operators"][0]["name"] = name
    text = operators_text(measured)
    assert f"| `{shown}` | 400.00 | 40.0 | 36 | 1.00 |" in text
    assert len(text.splitlines()) == 3


def test_charts_are_drawn_only_of_recorded_figures() -> None:
    without = window(forward=0.9) | {"memory": {}}
    assert [name for name, _ in figures(profile(without))] == ["steps"]
    both = figures(profile(window(forward=0.9), window("val", forward=0.9)))
    assert [name for name, _ in both] == ["steps", "memory"]
    assert list(figures(profile())) == []


def test_windows_of_one_epoch_have_heads_of_their_own() -> None:
    windows = [
        window(forward=0.5) | {"first_step": first, "device": {"forward": 0.1}} for first in (6, 90)
    ]
    text = steps_text(profile(*windows, window("val", forward=0.9)))
    heads = [line for line in text.splitlines() if "training" in line]
    assert len(heads) == 2
    for head in heads:
        cells = [cell.replace("<br>", " ").strip() for cell in head.strip("|").split("|")]
        labels = [f"training, epoch 0, step {first}" for first in (6, 90)]
        assert cells[1:] == [*labels, "validation, epoch 0"]
