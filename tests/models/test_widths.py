"""The width of a network: found by trying its constructor, and part of its plain options."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
import torchvision

from src.errors import UsageError
from src.models import builders, widths
from src.models.any_network import AnyNetwork
from src.models.network import NetworkSpec, without_published_weights
from src.models.resnet34 import ResNet34

CLASSES = ["a", "b", "c"]
TORCHVISION = {
    "mobilenet_v2": "width_mult",
    "mobilenet_v3_small": "width_mult",
    "resnet18": None,
    "mnasnet1_0": None,  # its builder passes the factor itself
    "efficientnet_b0": None,
    "shufflenet_v2_x1_0": None,
    "convnext_tiny": None,
}
TIMM = {
    "timm/rexnet_100": "width_mult",
    "timm/rexnet_130": None,
    "timm/repvgg_a0": "width_factor",
    "timm/nf_resnet26": "width_factor",
    "timm/lcnet_100": None,
    "timm/ghostnet_100": None,
    "timm/tresnet_l": None,  # its own factor is 1.2
    "timm/vit_tiny_patch16_224": None,
}


@pytest.fixture
def _forgotten() -> Iterator[None]:
    """Forget the options that are known before and after a test."""
    widths.option_of.cache_clear()
    yield
    widths.option_of.cache_clear()


@pytest.mark.parametrize("builder", TORCHVISION)
def test_the_option_of_a_width_is_found_by_building(builder: str) -> None:
    assert widths.option_of(builder) == TORCHVISION[builder]


@pytest.mark.parametrize("builder", TIMM)
def test_the_option_of_a_width_is_found_in_timm_as_well(builder: str) -> None:
    pytest.importorskip("timm")
    assert widths.option_of(builder) == TIMM[builder]


@pytest.mark.usefixtures("_forgotten")
def test_an_option_that_a_constructor_takes_and_ignores_is_no_width(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ignored = {"num_classes": 3, "alpha": 0.5}
    assert builders.outline("mobilenet_v3_small", ignored) is not None
    monkeypatch.setattr(widths, "OPTIONS", ("alpha", "dropout", "width_mult"))
    assert widths.option_of("mobilenet_v3_small") == "width_mult"


def test_a_narrow_network_is_rebuilt_from_plain_values_by_its_library_alone() -> None:
    model = AnyNetwork(CLASSES, "torchvision/mobilenet_v2", width=0.5, image_size=32)
    assert model.name == "mobilenet_v2_x0.5"
    assert model.spec.options == {"width_mult": 0.5}
    assert NetworkSpec.from_dict(model.spec.to_dict(), 3) == model.spec
    with torch.no_grad():
        assert model.eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 3)
    options = model.spec.to_dict()["options"]
    assert isinstance(options, dict)
    again = torchvision.models.get_model("mobilenet_v2", num_classes=3, **options)
    again.load_state_dict(model.network.state_dict())
    whole = AnyNetwork(CLASSES, "torchvision/mobilenet_v2", image_size=32)
    assert whole.name == "mobilenet_v2"
    counts = [
        sum(weight.numel() for weight in each.network.parameters()) for each in (model, whole)
    ]
    assert counts[0] < 0.5 * counts[1]


def test_the_own_width_changes_nothing() -> None:
    assert ResNet34(CLASSES, width=1.0).spec == ResNet34(CLASSES).spec
    assert ResNet34(CLASSES, width=1.0).name == "resnet34"
    assert widths.with_width("mobilenet_v2", 1.0, {"dropout": 0.1}) == {"dropout": 0.1}
    assert widths.with_width("mobilenet_v2", 2.0, {"dropout": 0.1}) == {
        "dropout": 0.1,
        "width_mult": 2.0,
    }


@pytest.mark.parametrize(
    ("builder", "width", "options", "message"),
    [
        ("mobilenet_v2", 0.01, {}, "a number from 0.1 to 4; found 0.01"),
        ("mobilenet_v2", 5.0, {}, "a number from 0.1 to 4; found 5"),
        ("mobilenet_v2", float("nan"), {}, "a number from 0.1 to 4; found nan"),
        ("resnet18", 0.5, {}, "1, because the constructor of torchvision's resnet18 has no width"),
        ("mobilenet_v2", 0.5, {"width_mult": 0.75}, "no width_mult in model.network_options"),
    ],
)
def test_a_width_that_a_network_cannot_have_is_one_line(
    builder: str, width: float, options: dict[str, float], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        widths.with_width(builder, width, options)
    assert str(caught.value).startswith(f"model.width: expected {message}")
    assert "\n" not in str(caught.value)


def test_published_weights_are_of_the_own_width() -> None:
    for options in ({"width": 0.5}, {"network_options": {"width_mult": 0.5}}):
        message = r"model.pretrained: expected the network's own width.* found width_mult=0.5"
        with pytest.raises(UsageError, match=message):
            AnyNetwork(CLASSES, "torchvision/mobilenet_v2", pretrained=True, **options)
    with without_published_weights(True):
        assert NetworkSpec("mobilenet_v2", 3, {"width_mult": 1.0}).build_pretrained() is not None


def test_a_width_that_a_constructor_refuses_has_its_reason() -> None:
    assert widths.problem_of("mobilenet_v2", 0.25) is None
    assert "width_mult=nan" in (widths.problem_of("mobilenet_v2", float("nan")) or "")
