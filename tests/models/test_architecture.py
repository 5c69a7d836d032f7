"""Networks by name: torchvision's and timm's classifiers, with bounded options."""

from __future__ import annotations

import sys

import pytest
import torch

from src.errors import UsageError
from src.models import builders, timm_networks
from src.models.any_network import AnyNetwork
from src.models.architecture import Architecture
from src.models.network import NetworkSpec, published_preprocessing

CLASSES = ["a", "b", "c"]
# One of each family, the smallest, and an image size that it takes.
TORCHVISION = {
    "resnet18": 32,
    "regnet_y_400mf": 32,
    "mobilenet_v2": 32,
    "mobilenet_v3_small": 32,
    "shufflenet_v2_x0_5": 32,
    "squeezenet1_1": 32,
    "mnasnet0_5": 32,
    "googlenet": 32,
    "inception_v3": 96,
    "vit_b_16": 32,
    "swin_t": 32,
}


def test_a_name_without_a_library_names_the_libraries() -> None:
    for text in ("resnet18", "", "configs/x.yaml", "torch/resnet18", "/resnet18"):
        with pytest.raises(UsageError, match=r"model: expected torchvision/NAME or timm/NAME"):
            Architecture.parse(text)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("torchvision/mobilenet", "did you mean torchvision/mobilenet_v2"),
        ("torchvision/resnet19", "torchvision/resnet18"),
        ("torchvision/fasterrcnn_resnet50_fpn", "did you mean"),
        ("torchvision/os.system", "see the documentation of torchvision"),
        ("torchvision/", "see the documentation of torchvision"),
        ("torchvision/quantized_resnet18", "did you mean"),
    ],
)
def test_an_unknown_network_names_similar_ones(text: str, remedy: str) -> None:
    with pytest.raises(UsageError, match=r"one of the \d+ classifiers of torchvision") as caught:
        Architecture.parse(text)
    assert remedy in str(caught.value)


def test_unknown_weights_name_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"weights of torchvision/resnet50: IMAGENET1K_V1, IMAGEN"):
        Architecture.parse("torchvision/resnet50.imagenet")
    assert Architecture.parse("torchvision/resnet50.IMAGENET1K_V1").published == "IMAGENET1K_V1"


def test_a_missing_library_names_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    timm_networks.names.cache_clear()
    try:
        with pytest.raises(UsageError, match=r"the package timm.*--install timm"):
            Architecture.parse("timm/lcnet_050")
        with pytest.raises(ModuleNotFoundError):
            builders.outline("timm/lcnet_050", {"num_classes": 3})
    finally:
        timm_networks.names.cache_clear()


@pytest.mark.parametrize("name", TORCHVISION)
def test_a_network_of_torchvision_gives_one_tensor_of_logits_in_both_modes(name: str) -> None:
    side = TORCHVISION[name]
    model = AnyNetwork(CLASSES, f"torchvision/{name}", image_size=side)
    images = torch.zeros(2, 3, side, side)
    with torch.no_grad():
        for training in (False, True):
            assert model.train(training)(images).shape == (2, 3)
    assert model.name == name
    assert NetworkSpec.from_dict(model.spec.to_dict(), 3) == model.spec


def test_a_network_of_a_fixed_image_size_is_built_for_the_data() -> None:
    for name, side in (("vit_b_16", 48), ("maxvit_t", 224)):
        spec = NetworkSpec.of(name, 3, side, {})
        assert spec.outline() is not None
        assert side in spec.options.values() or [side, side] in spec.options.values()
    assert NetworkSpec.of("resnet18", 3, 48, {}).options == {}
    assert NetworkSpec.of("vit_b_16", 3, 48, {"image_size": 64}).options == {"image_size": 64}


def test_depthwise_networks_with_batch_norm_train_in_fp32_on_a_cpu() -> None:
    fast = {
        name: AnyNetwork(CLASSES, f"torchvision/{name}").faster_in_bfloat16
        for name in ("resnet18", "mobilenet_v3_small", "regnet_y_400mf", "convnext_tiny")
    }
    assert fast == {
        "resnet18": True,
        "mobilenet_v3_small": False,
        "regnet_y_400mf": True,
        "convnext_tiny": True,
    }


def test_published_weights_bring_their_own_preprocessing() -> None:
    first = published_preprocessing("resnet50", "IMAGENET1K_V1")
    second = published_preprocessing("resnet50", "IMAGENET1K_V2")
    assert (first["crop_share"], second["crop_share"]) == (224 / 256, 224 / 232)
