"""Activations that are called as functions become modules, and the network stays the same."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from src.export.source import make_source
from src.models.network import NetworkSpec
from src.twin.functional_calls import as_modules
from src.twin.replacements import Replacement, find, replaced
from tests.twin.conftest import CLASSES, preprocessing, quantize


class Called(nn.Module):
    """A network whose body calls a function between two convolutions.

    Args:
        body: called with the module and the value, (N, 8, H, W).
    """

    def __init__(self, body: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3)
        self.scale = nn.Parameter(torch.rand(8, 1, 1))
        self.head = nn.Linear(8, len(CLASSES))
        self.body = body

    def forward(self, images: Tensor) -> Tensor:
        value = self.second(self.body(self, self.first(images)))
        logits: Tensor = self.head(value.mean((2, 3)))
        return logits


class Gated(nn.Module):
    """A module of its own that calls a function, within another one."""

    def __init__(self) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(8, 8, 1)

    def forward(
        self, value: Tensor, *, is_hard: bool = False, mask: Tensor | None = None
    ) -> Tensor:
        gate = self.reduce(value.mean((2, 3), keepdim=True))
        if mask is not None:
            gate = gate + mask
        return value * (functional.hardsigmoid(gate) if is_hard else torch.sigmoid(gate))


class Nested(nn.Module):
    """Two owners, one within the other, and an activation that is a module already."""

    def __init__(self) -> None:
        super().__init__()
        self.gated, self.act = Gated(), nn.SiLU()

    def forward(self, value: Tensor) -> Tensor:
        return functional.gelu(self.gated(self.act(value)), approximate="tanh")


class WithNested(Called):
    def __init__(self) -> None:
        super().__init__(lambda network, value: network.nested(value))
        self.nested = Nested()


def statement(_: Called, value: Tensor) -> Tensor:
    functional.silu(value, inplace=True)
    return value


def times_its_sigmoid_in_place(_: Called, value: Tensor) -> Tensor:
    value *= value.sigmoid()
    return value


BODIES: dict[str, tuple[Callable[[Called, Tensor], Tensor], dict[str, int]]] = {
    "silu": (lambda _, value: functional.silu(value), {"SiLU": 1}),
    "two": (lambda _, value: functional.gelu(functional.silu(value)), {"SiLU": 1, "GELU": 1}),
    "twice": (lambda _, value: functional.silu(functional.silu(input=value)), {"SiLU": 2}),
    "gelu": (lambda _, value: functional.gelu(value, approximate="tanh"), {"GELU": 1}),
    "hard swish": (lambda _, value: functional.hardswish(value, inplace=True), {"hard swish": 1}),
    "swish": (lambda _, value: value * torch.sigmoid(value), {"SiLU": 1}),
    "swish, a method": (lambda _, value: value.sigmoid().mul(value), {"SiLU": 1}),
    "swish in place": (times_its_sigmoid_in_place, {"SiLU": 1}),
    "a gate": (lambda net, value: torch.sigmoid(net.scale * value) * value, {"gate": 1}),
    "quick gelu": (lambda _, value: value * functional.sigmoid(1.702 * value), {"gate": 1}),
    "a statement in place": (statement, {"SiLU": 1}),
    "both read": (lambda _, value: functional.silu(value) + value, {"SiLU": 1}),
    "constants": (lambda _, value: functional.silu(value * torch.ones(8, 1, 1)), {"SiLU": 1}),
}


def images(count: int = 3) -> Tensor:
    return torch.randn(count, 3, 12, 12, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", BODIES)
def test_each_call_is_a_part_and_the_logits_stay(name: str) -> None:
    body, expected = BODIES[name]
    network = Called(body).eval()
    assert find(network) == {}
    made = as_modules(network, images(2))
    assert made.left_out == {}
    assert {kind: len(paths) for kind, paths in find(made.network).items()} == expected
    assert torch.allclose(made.network(images()), network(images()), atol=1e-6)
    assert made.network.state_dict().keys() == network.state_dict().keys()
    assert find(network) == {}  # it was not changed


@pytest.mark.filterwarnings("ignore::src.graph_passes.NotSimplifiedWarning")
@pytest.mark.parametrize("name", BODIES)
def test_a_call_is_replaced_in_the_graph_that_is_exported(name: str, tmp_path: Any) -> None:
    import onnx

    network = as_modules(Called(BODIES[name][0]).eval(), images(2)).network
    by = {"SiLU": "ReLU", "GELU": "ReLU", "hard swish": "ReLU", "gate": "hard sigmoid"}
    plan = [Replacement(kind, by[kind], tuple(paths)) for kind, paths in find(network).items()]
    student = replaced(network, plan, images(1))
    spec = NetworkSpec("resnet34", len(CLASSES))
    source = make_source(student, spec, CLASSES, images(4), preprocessing(), tmp_path)
    graph = onnx.load(source.fp32_graph.path)
    operators = {node.op_type for node in graph.graph.node}
    assert operators & {"Relu", "HardSigmoid"}
    assert not operators & {"Sigmoid", "Erf", "Gelu", "HardSwish", "Tanh"}
    logits = quantize(source).network().eval()(images())
    assert logits.shape == (3, len(CLASSES))


def test_calls_within_other_modules_are_found_by_their_paths() -> None:
    network = WithNested().eval()
    made = as_modules(network, images(2))
    assert find(made.network) == {
        "SiLU": ["nested.act"],
        "GELU": ["nested.gelu"],
        "gate": ["nested.gated.sigmoid"],
    }
    gelu = made.network.get_submodule("nested.gelu")
    assert isinstance(gelu, nn.GELU)
    assert gelu.approximate == "tanh"
    assert type(made.network.get_submodule("nested.gated")).__name__ == "Gated"
    assert torch.allclose(made.network(images()), network(images()), atol=1e-6)


def test_a_copy_of_the_result_has_its_own_parts() -> None:
    made = as_modules(Called(BODIES["silu"][0]).eval(), images(2)).network
    other = copy.deepcopy(made)
    other.set_submodule(find(other)["SiLU"][0], nn.Identity())
    assert not torch.allclose(other(images()), made(images()))


def test_constants_that_the_code_makes_move_with_the_network() -> None:
    made = as_modules(Called(BODIES["constants"][0]).eval(), images(2)).network
    assert len(list(made.buffers())) == 1
    assert made.to("meta")(images().to("meta")).is_meta


class Deciding(Called):
    """Its code depends on values."""

    def __init__(self) -> None:
        super().__init__(
            lambda _, value: functional.silu(value) if value.sum() > 0 else functional.gelu(value)
        )


class Changing(nn.Module):
    """A module that is called with different arguments."""

    def forward(self, value: Tensor, power: int) -> Tensor:
        return functional.silu(value) ** power


class WithChanging(Called):
    def __init__(self) -> None:
        super().__init__(
            lambda network, value: network.changing(network.changing(value, 1), power=2)
        )
        self.changing = Changing()


@pytest.mark.parametrize(
    ("network", "path", "reason"),
    [
        (Deciding(), "Deciding", "TraceError"),
        (WithChanging(), "changing", "it is called with different arguments"),
    ],
    ids=["values", "arguments"],
)
def test_code_that_cannot_be_recorded_is_left_as_it_is(
    network: nn.Module, path: str, reason: str
) -> None:
    network.eval()
    made = as_modules(network, images(2))
    assert made.network is network
    assert made.left_out.keys() == {path}
    assert reason in made.left_out[path]
    assert "\n" not in made.left_out[path]


def test_a_network_without_such_calls_is_itself() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU(), nn.Sigmoid()).eval()
    made = as_modules(network, images(2))
    assert made.network is network
    assert made.left_out == {}
    assert not any(module._forward_hooks for module in network.modules())


def test_a_network_that_counts_its_calls_is_left_as_it_is() -> None:
    class Counting(Called):
        def __init__(self) -> None:
            super().__init__(self.counted)
            self.calls = 0

        @staticmethod
        def counted(network: Any, value: Tensor) -> Tensor:
            network.calls += 1
            return functional.silu(value) * network.calls

    network = Counting().eval()
    made = as_modules(network, images(2))
    if made.network is not network:
        assert torch.allclose(
            copy.deepcopy(made.network)(images()), copy.deepcopy(network)(images())
        )


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("convnext_atto", {"GELU", "LayerNorm"}),
        ("efficientnet_lite0", set()),
        ("tf_efficientnetv2_b0", {"SiLU", "squeeze-excite", "gate"}),
        ("mobilenetv3_small_050", {"hard swish", "squeeze-excite"}),
        ("vit_tiny_patch16_224", {"GELU", "LayerNorm"}),
    ],
)
def test_timms_own_modules_of_activations_are_found(name: str, kinds: set[str]) -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    options = {"img_size": 32} if "vit" in name else {}
    network = timm.create_model(name, num_classes=4, **options).eval()
    inputs = torch.randn(2, 3, 32, 32)
    made = as_modules(network, inputs)
    assert made.left_out == {}
    assert set(find(made.network)) == kinds
    with torch.inference_mode():
        assert torch.allclose(made.network(inputs), network(inputs), atol=1e-5)
