from __future__ import annotations

import json
import tracemalloc
from typing import Any

import numpy as np
import pytest

from src.benchmark.statistics.fidelity import Labels, Logits
from src.benchmark.statistics.scorecard import Score, Scorecard
from src.run.accuracy import Accuracy
from src.run.layout import as_dict
from src.run.reading import convert

NAMES = ["a", "b", "c"]
BEFORE = np.array([[10, 0, -10], [0, 10, 5], [4.9, 5, 0], [0, 1, 9]], dtype=np.float32)
TARGETS = np.array([0, 1, 1, 0])
# Right, right, right, wrong; then wrong, right, wrong, right.
AFTER = np.array([[0, 1, 0], [0, 1, 0], [1, 0, 0], [1, 0, 0]], dtype=np.float32)


def scored(
    logits: Logits, targets: Labels, baseline: Logits | None, batch: int = 3
) -> dict[str, Any]:
    names = [str(index) for index in range(logits.shape[1])]
    card = Scorecard(names)
    for start in range(0, len(logits), batch):
        part = slice(start, start + batch)
        card.add(logits[part], targets[part], None if baseline is None else baseline[part])
    return figures_of(card.result(max_drop=0.01))


def figures_of(score: Score) -> dict[str, Any]:
    """The figures as a file has them, with the verdict beside them."""
    verdict = {} if score.verdict is None else {"verdict": score.verdict}
    return {**as_dict(score.accuracy), **verdict}


def test_accuracy_is_counted_by_hand() -> None:
    result = scored(AFTER, TARGETS, BEFORE)
    assert result["images"] == 4
    assert result["top1"] == 0.5
    assert result["top5"] == 1.0
    assert result["delta_top1"] == -0.25
    assert (result["lost"], result["gained"]) == (2, 1)
    assert result["agreement"] == 0.25
    assert result["max_abs_logit_diff"] == 10.0
    assert result["mcnemar_p"] == 1.0
    assert result["delta_low"] < -0.25 < result["delta_high"]
    assert result["verdict"] == "inconclusive"
    assert result["flips"] == [
        {"position": 0, "true": 0, "before": 0, "after": 1},
        {"position": 2, "true": 1, "before": 1, "after": 0},
        {"position": 3, "true": 0, "before": 2, "after": 0},
    ]


def test_batches_make_no_difference() -> None:
    generator = np.random.default_rng(0)
    before = generator.normal(size=(50, 6)).astype(np.float32)
    after = before + generator.normal(scale=0.3, size=(50, 6)).astype(np.float32)
    targets = generator.integers(0, 6, 50)
    whole, parts = (scored(after, targets, before, batch) for batch in (50, 7))
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        assert parts[name] == (pytest.approx(value) if isinstance(value, float) else value), name


def test_top5_is_among_the_five_largest() -> None:
    logits = np.arange(10, dtype=np.float32)[None].repeat(10, axis=0)
    assert scored(logits, np.arange(10), None)["top5"] == 0.5


def test_without_a_baseline_for_every_image_there_is_no_delta() -> None:
    assert "delta_top1" not in scored(AFTER, TARGETS, None)
    card = Scorecard(NAMES)
    card.add(AFTER, TARGETS, BEFORE)
    card.add(AFTER, TARGETS, None)
    assert card.result(0.01).verdict is None


@pytest.mark.parametrize(
    ("flipped", "verdict"), [(0, "pass"), (0.02, "fail"), (0.008, "inconclusive")]
)
def test_planted_noise_is_judged_by_what_it_flips(flipped: float, verdict: str) -> None:
    """Logits get noise until it flips that share of 2,000 images."""
    generator = np.random.default_rng(0)
    targets = generator.integers(0, 10, 2000)
    before = generator.normal(size=(2000, 10)).astype(np.float32)
    before[np.arange(2000), targets] += 10
    noise = generator.normal(size=before.shape).astype(np.float32)
    scale = 0.0
    while ((before + scale * noise).argmax(axis=1) != targets).mean() < flipped:
        scale += 0.02
    result = scored(before + np.float32(scale) * noise, targets, before, batch=64)
    assert result["lost"] == pytest.approx(flipped * 2000, abs=6)
    assert result["verdict"] == verdict


def test_what_is_kept_of_an_image_does_not_grow_with_the_classes() -> None:
    card = Scorecard([str(index) for index in range(1000)])
    logits = np.random.default_rng(0).normal(size=(64, 1000)).astype(np.float32)
    tracemalloc.start()
    for _ in range(30):
        card.add(logits, np.zeros(64, dtype=np.int64), logits)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 100 * 30 * 64  # bytes an image; its logits alone are 4,000


@pytest.mark.parametrize("largest", [1e19, 3e38])
def test_logits_as_large_as_float32_holds_give_figures_that_are_read_again(largest: float) -> None:
    logits = np.array([[largest, -largest], [-largest, largest]], np.float32)
    card = Scorecard(["a", "b"])
    card.add(logits, np.array([0, 1]), -logits)
    figures = figures_of(card.result(0.01))
    convert(json.loads(json.dumps(figures, allow_nan=False)), Accuracy)
    assert figures["max_abs_logit_diff"] == pytest.approx(2 * largest)
    assert figures["lost"] == 0
    assert figures["gained"] == 2


def test_an_int8_file_with_the_top1_but_not_the_function_of_the_network_departs() -> None:
    """Top-1 stays: the noise never exceeds the margin of the largest logit."""
    generator = np.random.default_rng(0)
    targets = generator.integers(0, 10, 500)
    before = np.full((500, 10), -1.0, dtype=np.float32)
    before[np.arange(500), targets] = 4.0
    near = before + generator.normal(scale=0.1, size=before.shape).astype(np.float32)
    kept = scored(near, targets, before)
    assert kept["departures"] == []
    flat = (before / 20).astype(np.float32)  # the same order, other probabilities
    lost = scored(flat, targets, before)
    assert lost["delta_top1"] == kept["delta_top1"] == 0
    assert lost["departures"] == ["logit_sqnr_db", "kl", "delta_ece"]
    convert(kept, Accuracy)
    convert(lost, Accuracy)
