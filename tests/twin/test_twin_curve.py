"""The epochs that the curve of a training suggests."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from src.backends.onnx.twin import missed_budget as words
from src.run.twin import Epoch, Phase, Validated
from src.twin.curve import fall, missed_budget, more_epochs
from tests.twin.planted import record


def validated(top1: float) -> Validated:
    return Validated(images=180, top1=top1, agreement=top1)


def epochs(losses: Sequence[float], phase: Phase = "quantization") -> list[Epoch]:
    return [
        Epoch(phase=phase, epoch=number, loss=loss, agreement=0.9, top1=0.9)
        for number, loss in enumerate(losses, 1)
    ]


def law(exponent: float, count: int) -> list[float]:
    return [2.0 * number**-exponent for number in range(1, count + 1)]


def test_the_exponent_of_a_power_law_is_found() -> None:
    assert fall(law(0.5, 6)) == pytest.approx(0.5)


@pytest.mark.parametrize(
    "losses",
    [[1.0, 1.0, 1.0, 1.0], [1.0, 1.2, 0.9, 1.1, 1.0], [0.5, 0.6, 0.7], [1.0, 0.5]],
    ids=["constant", "noise", "rising", "too few"],
)
def test_a_curve_that_is_not_shown_to_fall_has_no_exponent(losses: list[float]) -> None:
    assert fall(losses) is None


def test_half_the_loss_at_a_square_root_takes_four_times_the_epochs() -> None:
    assert more_epochs(4, 0.5, 2.0) == 12
    assert more_epochs(4, 1.0, 1.01) == 1
    assert more_epochs(4, 0.1, 2.0) is None  # 1,024 times
    assert more_epochs(4, 0.5, float("inf")) is None


def test_a_budget_that_is_kept_is_not_missed() -> None:
    kept = missed_budget(validated(0.99), None, validated(0.98), epochs(law(1, 4)), 0.01)
    assert kept is None


def test_the_training_that_misses_the_budget_first_is_to_be_longer() -> None:
    curve = [*epochs(law(1, 4), "distillation"), *epochs(law(0.5, 3))]
    teacher, twin = validated(0.99), validated(0.95)
    float_is_worse = missed_budget(teacher, validated(0.96), twin, curve, 0.02)
    assert float_is_worse is not None
    assert (float_is_worse.phase, float_is_worse.trained) == ("distillation", 4)
    assert float_is_worse.more_epochs == 4  # twice as small a loss at 1 / epoch
    rounding_is_worse = missed_budget(teacher, validated(0.98), twin, curve, 0.02)
    assert rounding_is_worse is not None
    assert (rounding_is_worse.phase, rounding_is_worse.more_epochs) == ("quantization", 9)


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        (law(0.5, 3), "suggests about 45 more epochs (quantized_epochs=48)"),
        (law(0.05, 5), "ten times its 5 epochs would not do"),
        ([1.0, 1.0, 1.0], "is flat after 3 epochs, so more of them promise nothing"),
        ([1.0, 0.5], "2 epochs of the training under fake quantization are too few for a curve"),
    ],
    ids=["falling", "slowly", "flat", "few"],
)
def test_the_advice_says_what_the_curve_shows(losses: list[float], expected: str) -> None:
    missed = missed_budget(validated(0.99), None, validated(0.95), epochs(losses), 0.01)
    if "45" in expected:
        assert missed is not None  # 3 epochs times 16
        assert missed.more_epochs is None  # beyond ten times
        missed = missed_budget(validated(0.99), None, validated(0.96), epochs(losses), 0.01)
        expected = "suggests about 24 more epochs (quantized_epochs=27)"
    [told] = words(record(missed=None if missed is None else _plain(missed)))
    assert expected in told
    assert "the budget is 1.00" in told


def _plain(missed: object) -> object:
    import msgspec

    return msgspec.to_builtins(missed)
