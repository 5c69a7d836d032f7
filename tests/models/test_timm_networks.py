"""Networks of timm by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from src.errors import UsageError
from src.formats import eager
from src.models import builders
from src.models.any_network import AnyNetwork
from src.models.network import NetworkSpec, published_preprocessing

CLASSES = ["a", "b", "c"]
pytest.importorskip("timm")
TIMM = {
    "lcnet_050": 32,
    "efficientnet_lite0": 32,
    "convnext_atto": 32,
    "vit_tiny_patch16_224": 48,
    "regnetx_002": 32,
    "ghostnet_050": 32,
    "mobilenetv4_conv_small": 32,
    "resnet18d": 32,
    "mixer_s32_224": 64,
}
HOSTILE = {
    "a name with a hub": ("timm/hf-hub:someone/model", {}),
    "a name with a folder": ("timm/local-dir:/tmp", {}),
    "a name with weights": ("timm/lcnet_050.ra2_in1k", {}),
    "features": ("timm/lcnet_050", {"features_only": True}),
    "weights to download": ("timm/lcnet_050", {"pretrained": True}),
    "a file": ("timm/lcnet_050", {"checkpoint_path": "/etc/passwd"}),
    "a cache folder": ("timm/lcnet_050", {"cache_dir": "cache"}),
    "a source of weights": ("timm/lcnet_050", {"pretrained_cfg": None}),
    "a huge image": ("timm/vit_tiny_patch16_224", {"img_size": 65_536, "embed_dim": 65_536}),
    "a wide network": ("timm/vit_tiny_patch16_224", {"embed_dim": 65_536}),
    "a library within a library": ("torchvision/resnet18", {}),
    "an unknown library": ("os/system", {}),
}


@pytest.mark.parametrize("name", TIMM)
def test_a_network_of_timm_gives_one_tensor_of_logits_in_both_modes(name: str) -> None:
    side = TIMM[name]
    model = AnyNetwork(CLASSES, f"timm/{name}", image_size=side)
    images = torch.zeros(2, 3, side, side)
    with torch.no_grad():
        for training in (False, True):
            assert model.train(training)(images).shape == (2, 3)
    assert model.name == f"timm_{name}"
    assert NetworkSpec.from_dict(model.spec.to_dict(), 3) == model.spec


@pytest.mark.parametrize("name", HOSTILE)
def test_a_harmful_network_of_timm_is_refused(name: str) -> None:
    builder, options = HOSTILE[name]
    with pytest.raises(ValueError, match=r"."):
        builders.outline(builder, {"num_classes": 3, **options})


def test_a_file_of_a_timm_network_restores_the_same_network(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    spec = NetworkSpec.of("timm/lcnet_050", 3, 32, {})
    network = spec.build().eval()
    save_file(dict(network.state_dict()), tmp_path / "model.safetensors")
    (tmp_path / "network.json").write_text(
        '{"builder": "timm/lcnet_050", "options": {"num_classes": 3}}'
    )
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        restored = eager.open_network(tmp_path)
        torch.testing.assert_close(restored(images), network(images))


def test_weights_of_timm_bring_their_own_preprocessing() -> None:
    values = published_preprocessing("timm/convnext_nano", "in12k_ft_in1k")
    assert values["interpolation"] == "bicubic"
    assert values["image_size"] == 224
    assert "in12k_ft_in1k" in builders.LIBRARIES["timm"].tags("convnext_nano")


def test_weights_that_cannot_be_downloaded_name_the_way_around(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UsageError, match=r"model\.weights=FILE with model=timm/lcnet_050"):
        NetworkSpec("timm/lcnet_050", 3).build_pretrained("ra2_in1k")
