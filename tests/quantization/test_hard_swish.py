"""Hard swishes for SiLU and GELU: the fit, the choice of activations, and the logits."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from src.backends.openvino.runtime import OpenVinoRuntime
from src.quantization.openvino import hard_swish as activations

openvino = pytest.importorskip("openvino")

GENERATOR = torch.Generator().manual_seed(0)
IMAGES = [torch.randn(1, 3, 16, 16, generator=GENERATOR).numpy() for _ in range(8)]


class Network(nn.Module):
    """A network with a SiLU on a large feature map and a GELU on a small one."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.SiLU(),
            nn.Conv2d(8, 8, 3, stride=4, padding=1), nn.GELU(),
            nn.Flatten(), nn.Linear(128, 5), nn.ReLU(),
        )  # fmt: skip

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images * 4)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network as an ONNX file, from which OpenVINO's graphs are made."""
    return converted(Network(), tmp_path_factory.mktemp("network"))


def converted(network: nn.Module, folder: Path) -> Path:
    torch.onnx.export(
        network.eval(),
        (torch.from_numpy(IMAGES[0]),),
        folder / "model.onnx",
        dynamo=True,
        verbose=False,
        opset_version=20,
        dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
    )
    return folder / "model.onnx"


def kinds_in(model: Any) -> Counter[str]:
    return Counter(node.get_type_name() for node in model.get_ops())


def logits(model: Any) -> np.ndarray:
    runtime = OpenVinoRuntime(model, "cpu", 1, "f32")
    return np.concatenate([runtime(image) for image in IMAGES])


def hard_swish(values: np.ndarray, factor: float, shift: float) -> np.ndarray:
    return values * np.clip(factor * values / 6 + 0.5, 0, 1) + shift


def test_a_hard_swish_is_found_again() -> None:
    values = np.linspace(-6, 6, 2001, dtype=np.float32)
    factor = float(activations._FACTORS[30])
    fit = activations.fit(values, hard_swish(values, factor, 0.125))
    assert fit.factor == pytest.approx(factor)
    assert fit.shift == pytest.approx(0.125, abs=1e-6)
    assert fit.error == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("spread", [0.5, 2.0, 8.0])
@pytest.mark.parametrize("kind", [nn.SiLU(), nn.GELU()])
def test_the_fit_is_better_than_a_hard_swish_as_it_is(kind: nn.Module, spread: float) -> None:
    values = torch.randn(20_000, generator=torch.Generator().manual_seed(1)) * spread
    inputs, expected = values.numpy(), kind(values).numpy()
    fit = activations.fit(inputs, expected)
    error = np.sqrt(np.mean((hard_swish(inputs, fit.factor, fit.shift) - expected) ** 2))
    plain = np.sqrt(np.mean((hard_swish(inputs, 1.0, 0.0) - expected) ** 2))
    assert fit.error == pytest.approx(error / np.sqrt(np.mean(expected**2)), rel=1e-3)
    assert fit.error < 0.06
    assert error < plain
    # What is large passes, but for the shift.
    far = np.array([-100.0, 100.0])
    assert hard_swish(far, fit.factor, fit.shift) == pytest.approx([fit.shift, 100 + fit.shift])


def test_an_activation_that_gives_nothing_is_no_error() -> None:
    nothing = np.zeros(10, np.float32)
    assert activations.fit(nothing, nothing).error == 0


def test_the_largest_are_replaced_first(file: Path) -> None:
    model = openvino.convert_model(file)
    assert activations.kinds(model) == ["GELU", "SiLU"]
    assert activations.harden(model, IMAGES, share=0.7) == 1
    assert activations.kinds(model) == ["GELU"]  # SiLU has 16 times the values
    model = openvino.convert_model(file)
    assert activations.harden(model, IMAGES, share=1.0) == 2
    assert activations.kinds(model) == []
    assert kinds_in(model)["HSwish"] == 2


def test_hard_swishes_keep_the_logits_close(file: Path) -> None:
    model = openvino.convert_model(file)
    expected = logits(model)
    activations.harden(model, IMAGES, share=1.0)
    error = np.sqrt(np.mean((logits(model) - expected) ** 2) / np.mean(expected**2))
    assert 0 < error < 0.1


def test_the_graph_keeps_its_results_and_its_batch_size(file: Path) -> None:
    model = openvino.convert_model(file)
    before = [str(result.get_partial_shape()) for result in model.outputs]
    activations.harden(model, IMAGES, share=1.0)
    assert [str(result.get_partial_shape()) for result in model.outputs] == before
    assert model.input(0).partial_shape[0].is_dynamic


def test_a_network_without_silu_and_gelu_has_no_replaceable_activations(tmp_path: Path) -> None:
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Hardswish())
    model = openvino.convert_model(converted(layers, tmp_path))
    assert activations.kinds(model) == []
