"""Networks that a file may specify: torchvision's classifiers of bounded size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from src.errors import UsageError
from src.export.source import Checkpoint
from src.formats import eager
from src.models import builders
from src.models.network import NetworkSpec
from tests.support.checkpoints import checkpoint_bytes, checkpoint_content

HOSTILE: dict[str, tuple[Any, Any]] = {
    "a detector": ("fasterrcnn_resnet50_fpn", {}),
    "a quantized network": ("quantized_resnet18", {}),
    "a network of another library": ("os.system", {}),
    "a list as name": (["resnet18"], {}),
    "a list as options": ("resnet18", [1]),
    "a width of trillions of weights": ("resnet50", {"width_per_group": 65_536}),
    "a width of 10**12": ("resnet50", {"width_per_group": 10**12}),
    "ten million classes": ("resnet50", {"num_classes": 10**7}),
    "a huge image": ("vit_b_16", {"image_size": 65_536}),
    "a depth": ("resnet18", {"layers": [10**9] * 4}),
    "a list within a list": ("mobilenet_v2", {"inverted_residual_setting": [[1, 16, 10**9, 1]]}),
    "a long list": ("resnet18", {"replace_stride_with_dilation": [False] * 1000}),
    "a layer class": ("resnet18", {"norm_layer": "torch.nn.Identity"}),
    "weights to download": ("resnet18", {"weights": "DEFAULT"}),
    "not a number": ("resnet18", {"width_per_group": float("nan")}),
    "a negative width": ("resnet18", {"groups": -1}),
    "an unknown option": ("resnet18", {"x": 1}),
    "an invalid option name": ("resnet18", {"__class__": {}}),
}


@pytest.fixture
def _no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail when a parameter gets memory."""
    register = nn.Module.register_parameter

    def register_meta_only(module: nn.Module, name: str, value: nn.Parameter | None) -> None:
        assert value is None or value.is_meta
        register(module, name, value)

    monkeypatch.setattr(nn.Module, "register_parameter", register_meta_only)


@pytest.mark.usefixtures("_no_memory")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_harmful_network_specification_is_refused_before_it_takes_memory(
    tmp_path: Path, name: str
) -> None:
    builder, options = HOSTILE[name]
    with pytest.raises(ValueError, match=r".") as caught:
        builders.outline(builder, options)
    assert len(str(caught.value)) < 500
    (tmp_path / "network.json").write_text(json.dumps({"builder": builder, "options": options}))
    with pytest.raises(UsageError, match=r"network.json: expected a network of torchvision"):
        eager.open_network(tmp_path)


@pytest.mark.usefixtures("_no_memory")
def test_a_checkpoint_of_a_harmful_network_is_refused_before_it_takes_memory(
    tmp_path: Path,
) -> None:
    content = checkpoint_content()
    content["lightship"]["network"] = NetworkSpec(
        "resnet50", 2, {"width_per_group": 65_536}
    ).to_dict()
    (tmp_path / "x.ckpt").write_bytes(checkpoint_bytes(content))
    with pytest.raises(UsageError, match=r"a network of 1.* parameters, of at most"):
        Checkpoint.read(tmp_path / "x.ckpt")


@pytest.mark.usefixtures("_no_memory")
def test_a_network_much_larger_than_its_weights_is_refused_before_it_takes_memory(
    tmp_path: Path,
) -> None:
    content = checkpoint_content()
    content["lightship"]["network"] = NetworkSpec("vit_h_14", 2).to_dict()
    (tmp_path / "x.ckpt").write_bytes(checkpoint_bytes(content))
    with pytest.raises(UsageError, match=r"expected the weights of vit_h_14 with 2 classes"):
        Checkpoint.read(tmp_path / "x.ckpt").network()


@pytest.mark.slow
@pytest.mark.usefixtures("_no_memory")
def test_every_torchvision_classifier_can_be_built_without_memory() -> None:
    for name in builders.names():
        network = builders.outline(name, {"num_classes": 3})
        assert sum(value.numel() for value in network.parameters()) < builders.MAX_PARAMETERS


def test_network_options_of_a_training_are_checked_like_those_of_a_file() -> None:
    with pytest.raises(UsageError, match=r"model.network_options: expected .*parameters, of at"):
        NetworkSpec("resnet50", 2, {"width_per_group": 65_536}).build()
    with pytest.raises(UsageError, match=r"num_classes among the options"):
        NetworkSpec("resnet50", 2, {"num_classes": 3}).build()
    assert NetworkSpec("densenet121", 2, {"drop_rate": 0.1, "bn_size": 2}).outline()


def test_a_network_file_restores_the_same_network(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    network = torchvision.models.get_model("regnet_y_400mf", num_classes=3).eval()
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    description = {"builder": "regnet_y_400mf", "options": {"num_classes": 3}}
    (tmp_path / "network.json").write_text(json.dumps(description))
    images = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(eager.open_network(tmp_path)(images), network(images))
