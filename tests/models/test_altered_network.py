"""A classifier whose network is not the one that its checkpoint names is noticed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from src import models
from src.models import altered_network
from src.models.any_network import AnyNetwork
from src.models.classifier import Classifier

CLASSES = ["ant", "bee", "cat"]


class Named(Classifier):
    builder = "resnet18"


class WithLogits(Named):
    """Classifier with a forward of its own."""

    change: Callable[[Tensor], Any] = staticmethod(lambda logits: logits / 2)

    def forward(self, images: Tensor) -> Any:
        return self.change(super().forward(images))


def difference(model: Classifier, side: int = 32) -> str | None:
    """Compare a model; check that nothing of it has changed."""
    parts = list(model.modules())
    tensors = {
        name: (value, value.clone()) for name, value in model.state_dict(keep_vars=True).items()
    }
    before = [
        [module.training for module in parts],
        [value.requires_grad for value in model.parameters()],
        torch.get_rng_state().tolist(),
    ]
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    found = altered_network.difference(model, model.network, model.spec, images)
    state = model.state_dict(keep_vars=True)
    assert all(state[name] is value for name, (value, _) in tensors.items())
    assert all(torch.equal(state[name], copy) for name, (_, copy) in tensors.items())
    assert all(state[name].dtype == copy.dtype for name, (_, copy) in tensors.items())
    assert before == [
        [module.training for module in parts],
        [value.requires_grad for value in model.parameters()],
        torch.get_rng_state().tolist(),
    ]
    return found


@pytest.mark.parametrize("name", models.__all__)
def test_the_network_of_every_architecture_is_the_one_that_it_names(name: str) -> None:
    assert difference(getattr(models, name)(CLASSES)) is None


@pytest.mark.parametrize(
    ("builder", "side"),
    [
        ("torchvision/vit_b_32", 32),  # its head is zero
        ("torchvision/alexnet", 64),  # without normalisation, with dropout
        ("torchvision/googlenet", 32),  # has options of its own
        ("torchvision/mnasnet0_5", 32),  # asks for the version of weights
        ("torchvision/shufflenet_v2_x0_5", 32),
    ],
)
def test_a_network_of_a_library_is_the_one_that_it_names(builder: str, side: int) -> None:
    assert difference(AnyNetwork(CLASSES, builder, image_size=side), side) is None


def test_a_network_whose_layers_have_several_names_is_the_one_that_it_names() -> None:
    pytest.importorskip("timm")
    assert difference(AnyNetwork(CLASSES, "timm/coat_tiny", image_size=32)) is None


def frozen(model: Any) -> None:
    model.network.requires_grad_(False)
    model.network.layer1.eval()


def fine_tuned(model: Classifier) -> None:
    for value in model.network.state_dict().values():
        value.copy_(torch.rand(value.shape))


def compiled(model: Classifier) -> None:
    model.network.compile(backend=never)


def never(*_: object) -> Any:
    raise AssertionError("compiled for two images")


def tied(model: Any) -> None:
    first, second = model.network.layer1
    second.conv1.weight = first.conv1.weight


def other_dropout(model: Any) -> None:
    model.network.avgpool.register_forward_hook(
        lambda module, _, output: nn.functional.dropout(output, 0.5, module.training)
    )


@pytest.mark.parametrize(
    "change",
    [
        frozen,
        fine_tuned,
        compiled,
        tied,
        other_dropout,
        lambda model: model.half(),
        lambda model: model.double(),
        lambda model: model.eval(),
    ],
)
def test_weights_modes_types_and_regularisation_are_no_alteration(
    change: Callable[[Classifier], object],
) -> None:
    model = Named(CLASSES)
    change(model)
    assert difference(model) is None


def without_pooling(network: Any) -> None:
    network.maxpool = nn.Identity()


def with_silu(network: Any) -> None:
    network.layer2[0].relu = nn.SiLU()


def with_another_stride(network: Any) -> None:
    network.conv1.stride = (1, 1)


def with_another_stem(network: Any) -> None:
    network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)


def with_another_head(network: Any) -> None:
    network.fc = nn.Sequential(nn.Dropout(), nn.Linear(512, 3))


def with_a_method(network: Any) -> None:
    network.layer1[0].forward = lambda images: images


ALTERED = [
    (without_pooling, "maxpool is Identity and not MaxPool2d(kernel_size=3, stride=2"),
    (with_silu, "layer2.0.relu is SiLU and not ReLU(inplace=True)"),
    (with_another_stride, "conv1 is Conv2d(3, 64, kernel_size=(7, 7), stride=(1, 1)"),
    (with_another_stem, "conv1 is Conv2d(3, 64, kernel_size=(3, 3), stride=(1, 1)"),
    (with_another_head, "fc is Sequential and not Linear(in_features=512"),
    (with_a_method, "of the largest, so a forward() is another one"),
]


@pytest.mark.parametrize("is_compiled", [False, True])
@pytest.mark.parametrize(("change", "found"), ALTERED)
def test_a_changed_network_is_found(
    change: Callable[[nn.Module], None], found: str, is_compiled: bool
) -> None:
    model = Named(CLASSES)
    change(model.network)
    if is_compiled:
        compiled(model)
    assert found in (difference(model) or "")


def test_a_change_behind_a_gain_of_almost_zero_is_found() -> None:
    model: Any = models.ConvNeXtTiny(CLASSES)  # its layer scales begin at 1e-6
    model.network.features[1][0].block[4] = nn.ReLU()
    assert difference(model) == "features.1.0.block.4 is ReLU and not GELU(approximate='none')"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda logits: logits / 2, "its logits differ by 0.5 of the largest"),
        (lambda logits: logits.softmax(1), "a forward() is another one"),
        (lambda logits: (logits, logits), "it returns a tuple and not a tensor of shape (2, 3)"),
        (lambda logits: logits[:, :2], "a tensor of shape (2, 2) and not a tensor of shape (2, 3)"),
        (lambda logits: logits * float("nan"), "a forward() is another one"),
    ],
)
def test_a_forward_of_ones_own_is_found(
    change: Callable[[Tensor], Any], found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WithLogits, "change", staticmethod(change))
    assert found in (difference(WithLogits(CLASSES)) or "")


def test_a_forward_that_changes_nothing_is_none() -> None:
    model = WithLogits(CLASSES)
    model.change = lambda logits: logits.float()
    assert difference(model) is None
