"""Equalisation: channels get similar ranges, and the logits stay the same."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import numpy_helper

from src.backends.onnx import tensors
from src.quantization.onnx.equalization import equalise
from tests.quantization.onnx_models import chain, images, run


@pytest.mark.parametrize("groups", [1, 2, 8])
def test_equalising_leaves_the_logits_and_evens_the_ranges(groups: int) -> None:
    model, drawn = chain(groups=groups), images()
    before = run(model, drawn)

    def unevenness() -> float:
        ranges = np.abs(tensors.constants(model)["w1"]).max(axis=(1, 2, 3))
        return float(ranges.max() / ranges.min())

    uneven = unevenness()
    assert equalise(model) == 2
    assert unevenness() < 0.2 * uneven
    np.testing.assert_allclose(
        run(model, drawn), before, rtol=1e-4, atol=1e-4 * np.abs(before).max()
    )
    values = tensors.constants(model)
    for first, second, of in (("w1", "w2", groups), ("w2", "w3", 1)):
        outgoing = np.abs(values[first]).max(axis=(1, 2, 3))
        by_group = np.abs(values[second]).reshape(of, -1, *values[second].shape[1:])
        incoming = by_group.max(axis=(1, 3, 4)).reshape(8)
        np.testing.assert_allclose(outgoing, incoming, rtol=0.01)


@pytest.mark.parametrize("activation", ["HardSwish", "Sigmoid", "Tanh"])
def test_no_other_activation_is_equalised_across(activation: str) -> None:
    model = chain(activation)
    before = model.SerializeToString()
    assert equalise(model) == 0
    assert model.SerializeToString() == before


def test_a_tensor_with_another_reader_is_not_equalised() -> None:
    model, drawn = chain(branches=True), images()
    before = run(model, drawn)
    assert equalise(model) == 1  # two layers read what the first one gives
    np.testing.assert_allclose(run(model, drawn), before, rtol=1e-4, atol=1e-3)


def test_a_channel_without_weights_is_left_as_it_is() -> None:
    model = chain()
    for tensor in model.graph.initializer:
        if tensor.name in {"w1", "b1"}:
            value = numpy_helper.to_array(tensor).copy()
            value[3] = 0
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    drawn = images()
    before = run(model, drawn)
    equalise(model)
    after = run(model, drawn)
    assert np.isfinite(after).all()
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-3)
