"""The rounding test: the same sums in another order pass, half-precision numbers do not."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from src.benchmark.statistics.fidelity import Logits
from src.benchmark.statistics.rounding import LIMIT, Rounding, RoundingFigures
from src.benchmark.statistics.scorecard import Score, Scorecard
from src.benchmark.statistics.verdict import keeps_budget, with_same
from src.run.accuracy import Accuracy
from src.run.layout import as_dict
from src.run.reading import convert
from src.run.rounds import RoundingSums
from src.run.row import Row
from tests.report.planted import row as table_row

CLASSES = 10
IMAGES = torch.randn(96, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def network() -> nn.Sequential:
    """A small one, of convolutions with BatchNorm that has seen images, and a linear head."""
    return copy.deepcopy(_built())


@functools.cache
def _built() -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for inner, outer in ((3, 16), (16, 16), (16, 16), (16, 16), (16, 32)):
        layers += [nn.Conv2d(inner, outer, 3, padding=1), nn.BatchNorm2d(outer), nn.ReLU()]
    module = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, CLASSES))
    module.train()
    with torch.no_grad():
        for _ in range(5):
            module(IMAGES)
    return module.eval()


def logits_of(module: Callable[[Tensor], Tensor], batch: int = 96) -> Logits:
    with torch.inference_mode():
        parts = [module(part).float() for part in IMAGES.split(batch)]
    return torch.cat(parts).numpy()


@pytest.fixture(scope="module")
def reference() -> Logits:
    return logits_of(network())


def figures(logits: Logits, baseline: Logits, batch: int = 32) -> RoundingFigures:
    rounding = Rounding()
    for start in range(0, len(logits), batch):
        rounding.add(logits[start : start + batch], baseline[start : start + batch])
    return rounding.result()


def verdict(logits: Logits, baseline: Logits, *, may_be_same: bool = True) -> str | None:
    card = Scorecard([str(index) for index in range(logits.shape[1])])
    card.add(logits, baseline.argmax(axis=1), baseline)
    return with_same(card.result(0.01), may_be_same=may_be_same).verdict


def in_double(module: nn.Module) -> Callable[[Tensor], Tensor]:
    double = copy.deepcopy(module).double()
    return lambda images: double(images.double())


def with_batch_norm_folded(module: nn.Module) -> Callable[[Tensor], Tensor]:
    scripted: Callable[[Tensor], Tensor] = torch.jit.freeze(torch.jit.script(module))
    return scripted


def in_channels_last(module: nn.Module) -> Callable[[Tensor], Tensor]:
    changed = copy.deepcopy(module).to(memory_format=torch.channels_last)
    return lambda images: changed(images.contiguous(memory_format=torch.channels_last))


def without_onednn(module: nn.Module) -> Callable[[Tensor], Tensor]:
    def call(images: Tensor) -> Tensor:
        torch.backends.mkldnn.enabled = False
        try:
            return module(images)
        finally:
            torch.backends.mkldnn.enabled = True

    return call


SUMS = [in_double, with_batch_norm_folded, in_channels_last, without_onednn]


@pytest.mark.parametrize("other", SUMS)
@pytest.mark.filterwarnings("ignore:.*torch.jit.*")
def test_the_same_sums_in_another_order_are_the_same_network(other: Any, reference: Logits) -> None:
    logits = logits_of(other(network()))
    assert verdict(logits, reference) == "same"
    assert verdict(logits[:8], reference[:8]) == "same"
    assert verdict(logits_of(network(), batch=1), reference) == "same"


def rounded(values: Tensor, bits: int) -> Tensor:
    """To so many bits of the mantissa, the leading one among them: fp16 has 11, bf16 8."""
    mantissa, exponent = torch.frexp(values)
    scale = 2.0**bits
    return torch.ldexp(torch.round(mantissa * scale) / scale, exponent)


def weights_of(bits: int) -> Callable[[nn.Module], nn.Module]:
    def change(module: nn.Module) -> nn.Module:
        for value in module.parameters():
            value.data = rounded(value.data, bits)
        return module

    return change


def products_of(bits: int) -> Callable[[nn.Module], nn.Module]:
    def change(module: nn.Module) -> nn.Module:
        for part in weights_of(bits)(module).modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                part.register_forward_pre_hook(lambda _, inputs: (rounded(inputs[0], bits),))
        return module

    return change


def head_of(bits: int) -> Callable[[nn.Sequential], nn.Module]:
    """Only the last layer's input is narrow."""

    def change(module: nn.Sequential) -> nn.Module:
        module[-1].register_forward_pre_hook(lambda _, inputs: (rounded(inputs[0], bits),))
        return module

    return change


NARROW = {
    "fp16 weights": weights_of(11),
    "fp16 products, as of TF32": products_of(11),
    "bf16 products": products_of(8),
    "fp16 in the last layer": head_of(11),
}


@pytest.mark.parametrize("name", NARROW)
def test_numbers_of_half_the_bits_are_another_network(name: str, reference: Logits) -> None:
    logits = logits_of(NARROW[name](network()))
    assert verdict(logits, reference) != "same"
    # The accuracy is tested then, which is no failure: nothing flips.
    assert verdict(logits[:8], reference[:8]) == "inconclusive"
    assert 3 * LIMIT < (figures(logits, reference).rounding_error or 0) < 0.1


def test_logits_that_are_stored_in_fp16_are_not_the_same() -> None:
    logits = logits_of(network())
    assert verdict(logits.astype(np.float16).astype(np.float32), logits) == "inconclusive"


def noisy(baseline: Logits, image: int, share: float) -> Logits:
    """With an error at one image, as a share of the spread of its logits."""
    logits = baseline.copy()
    logits[image, 3] += np.float32(share * np.ptp(baseline[image]))
    return logits


def test_an_image_with_huge_logits_hides_no_error_in_another(reference: Logits) -> None:
    baseline = reference.copy()
    baseline[0] *= 1e6
    logits = noisy(baseline, 7, 1e-2)
    assert figures(logits, baseline).beyond_rounding == 1
    # Its own rounding is allowed to it.
    assert figures(noisy(baseline, 0, LIMIT / 2), baseline).beyond_rounding == 0
    assert figures(noisy(baseline, 0, LIMIT * 2), baseline).beyond_rounding == 1


def test_an_image_between_two_classes_may_round_as_any_other(reference: Logits) -> None:
    pair = reference[:, :2] - reference[:, :2].mean(axis=1, keepdims=True)
    pair[5] = [1e-5, -1e-5]
    logits = pair.copy()
    logits[5] += np.float32(LIMIT / 4) * np.ptp(pair, axis=1).max()
    assert verdict(logits, pair) == "same"


def test_constant_logits_are_the_same_only_where_they_are_the_same() -> None:
    constant = np.full((20, CLASSES), 3.0, np.float32)
    assert verdict(constant.copy(), constant) == "same"
    assert verdict(np.zeros_like(constant), np.zeros_like(constant)) == "same"
    # One step of float32 is rounding; a tenth is not, and there is no spread to set it against.
    assert verdict(np.nextafter(constant, np.float32(4)), constant) == "same"
    another = constant.copy()
    another[3, 1] += 0.1
    assert figures(another, constant) == (None, 1)
    assert verdict(another, constant) != "same"


def test_a_large_part_in_common_is_as_fine_as_float32_is(reference: Logits) -> None:
    shifted = reference + np.float32(10_000)
    assert verdict(np.nextafter(shifted, np.float32(np.inf)), shifted) == "same"
    assert verdict((shifted * np.float32(1 + 2.0**-11)), shifted) != "same"


def test_a_flip_is_never_the_same_network_however_near_the_tie() -> None:
    baseline = np.array([[1.0, 1.0 + 1e-6, -5.0], [5.0, 0.0, 0.0]], np.float32)
    logits = baseline.copy()
    logits[0, 0] += np.float32(2e-6)
    assert figures(logits, baseline).beyond_rounding == 0
    assert verdict(logits, baseline) == "inconclusive"


def test_only_an_fp32_file_beside_its_baseline_is_the_same_network(reference: Logits) -> None:
    assert verdict(reference.copy(), reference, may_be_same=False) == "inconclusive"
    alone = Score(Accuracy(images=1, top1=1.0, top5=1.0, ece=0.0), None)
    assert with_same(alone, may_be_same=True).verdict is None


def test_restored_sums_give_the_same_figures(reference: Logits) -> None:
    rounding, again = Rounding(), Rounding()
    rounding.add(noisy(reference, 2, 1e-4), reference)
    stored = json.loads(json.dumps(as_dict(rounding.raw()), allow_nan=False))
    again.restore(convert(stored, RoundingSums))
    assert again.result() == rounding.result()
    assert rounding.result().beyond_rounding == 1


def test_the_baseline_and_the_verdicts_same_and_pass_keep_the_budget() -> None:
    verdicts = {name: name for name in ("same", "pass", "fail", "inconclusive")} | {"x": None}
    rows = [convert(table_row(name, verdict=verdict), Row) for name, verdict in verdicts.items()]
    kept = [row.format for row in rows if keeps_budget(row, "fail")]
    assert kept == ["same", "pass", "fail"]
