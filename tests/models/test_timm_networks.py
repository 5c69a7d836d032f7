"""Networks of timm by name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from src.data.preprocessing import Preprocessing
from src.errors import UsageError
from src.export.one_format import export_one
from src.export.source import make_source
from src.formats import eager
from src.models import builders, timm_networks
from src.models.any_network import AnyNetwork
from src.models.network import NetworkSpec, published_preprocessing, without_published_weights
from src.models.optimization import parameter_groups
from src.models.stages import stages

CLASSES = ["a", "b", "c"]
timm = pytest.importorskip("timm")
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
    "buffers of terabytes": (
        "timm/swin_tiny_patch4_window7_224",
        {"img_size": 4096, "window_size": 1024},
    ),
    "buffers of gigabytes": ("timm/levit_128s", {"img_size": 2048}),
    "a depth": ("timm/vit_tiny_patch16_224", {"depth": 65_536, "embed_dim": 3, "num_heads": 1}),
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


# The last ones have buffers that a file does not store.
@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("lcnet_050", 32),
        ("efficientvit_m0", 64),
        ("levit_128s", 64),
        ("eva02_tiny_patch14_224", 56),
    ],
)
def test_a_file_of_a_timm_network_restores_the_same_network(
    tmp_path: Path, name: str, side: int
) -> None:
    from safetensors.torch import save_file

    spec = NetworkSpec.of(f"timm/{name}", 3, side, {})
    network = spec.build().eval()
    save_file(
        {key: value.contiguous() for key, value in network.state_dict().items()},
        tmp_path / "model.safetensors",
    )
    recipe = {"builder": spec.builder, "options": {"num_classes": 3, **spec.options}}
    (tmp_path / "network.json").write_text(json.dumps(recipe))
    images = torch.rand(2, 3, side, side)
    with torch.no_grad():
        restored = eager.open_network(tmp_path)
        torch.testing.assert_close(restored(images), network(images))


@pytest.mark.parametrize(
    "name",
    [
        "vit_tiny_patch16_224",
        "deit_tiny_distilled_patch16_224",
        "levit_128s",
        "pit_ti_distilled_224",
        "xcit_nano_12_p16_224",
        "convnext_atto",
        "lcnet_050",
    ],
)
def test_every_parameter_is_in_a_stage_and_the_heads_in_the_last_one(name: str) -> None:
    classes = 7
    network = NetworkSpec.of(f"timm/{name}", classes, 224, {}).build()
    parts = stages(network)
    ids = [id(parameter) for part in parts for parameter in part.parameters()]
    assert sorted(ids) == sorted(id(parameter) for parameter in network.parameters())
    groups = parameter_groups(network, 1e-3, 0.75)
    assert sorted(id(value) for group in groups for value in group["params"]) == sorted(ids)
    heads = {
        id(layer.weight)
        for layer in network.modules()
        if isinstance(layer, torch.nn.Linear) and layer.out_features == classes
    }
    assert heads <= {id(parameter) for parameter in parts[-1].parameters()}
    assert len(parts) >= 3


@pytest.mark.slow
def test_a_file_of_a_timm_network_says_that_it_needs_timm_and_its_program_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = NetworkSpec.of("timm/lcnet_050", 3, 32, {})
    images = torch.zeros(2, 3, 32, 32)
    facts = Preprocessing(32).facts()
    network = spec.build().eval()
    source = make_source(network, spec, CLASSES, images, facts, tmp_path)
    export = export_one("eager", source, tmp_path / "eager")
    assert "timm" in export.runs_with
    program = (export.usage or "").replace("{folder}", str(tmp_path / "eager"))
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (40, 40)).save("picture.png")
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert shown.stdout.strip() in CLASSES, shown.stderr
    assert "timm" not in export_one("onnx_fp32", source, tmp_path / "onnx_fp32").runs_with


def test_a_checkpoint_takes_the_place_of_published_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: object) -> None:
        raise AssertionError("it asked for published weights")

    monkeypatch.setattr(timm_networks, "pretrained_weights", asked)
    with without_published_weights(True):
        model = AnyNetwork(CLASSES, "timm/lcnet_050.ra2_in1k", image_size=32)
    assert model.pretrained  # the record of the checkpoint stays true
    with pytest.raises(AssertionError, match="asked"):
        AnyNetwork(CLASSES, "timm/lcnet_050.ra2_in1k", image_size=32)


@pytest.mark.parametrize(
    "name",
    [
        "resnet50.a1_in1k",
        "resnet18.tv_in1k",
        "convnext_nano.in12k_ft_in1k",
        "vit_tiny_patch16_224.augreg_in21k_ft_in1k",
        "mobilenetv3_small_050.lamb_in1k",
        "efficientnet_lite0.ra_in1k",
        "vit_base_patch16_clip_224.openai_ft_in1k",
    ],
)
def test_published_preprocessing_equals_that_of_timm(name: str) -> None:
    picture = Image.effect_noise((300, 260), 80).convert("RGB")
    builder, _, tag = name.partition(".")
    preprocessing = Preprocessing(**published_preprocessing(f"timm/{builder}", tag))  # type: ignore[arg-type]
    config = timm.get_pretrained_cfg(name).to_dict()
    reference = timm.data.create_transform(**timm.data.resolve_data_config(pretrained_cfg=config))
    torch.testing.assert_close(preprocessing(picture), reference(picture), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "name",
    [
        "tf_efficientnetv2_b3.in21k_ft_in1k",  # resized whole, then cut
        "volo_d4_448.sail_in1k",  # padded
        "dm_nfnet_f0.dm_in1k",
    ],
)
def test_weights_whose_preprocessing_this_project_does_not_have_are_refused(name: str) -> None:
    builder, _, tag = name.partition(".")
    with pytest.raises(UsageError, match=r"model: expected weights of square images.*crop_pct"):
        published_preprocessing(f"timm/{builder}", tag)


def test_a_network_without_published_weights_says_so_before_a_download() -> None:
    with pytest.raises(UsageError, match=r"model.pretrained: .*coatnet_0_224, of which timm has"):
        timm_networks.pretrained_weights("coatnet_0_224", "", {})


def test_a_parameter_of_two_stages_has_the_rate_of_the_one_nearest_the_head() -> None:
    network = NetworkSpec.of("timm/coat_lite_tiny", 3, 32, {}).build()
    groups = parameter_groups(network, 1e-3, 0.5)
    torch.optim.AdamW(groups)  # refuses a parameter in two groups
    ids = [id(value) for group in groups for value in group["params"]]
    assert sorted(ids) == sorted(id(value) for value in network.parameters())


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
