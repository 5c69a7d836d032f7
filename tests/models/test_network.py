from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torchvision
from torch import nn

from src.errors import UsageError
from src.models import torchvision_networks
from src.models.network import NetworkSpec, count

# Parameters and GMACs at 224x224 from torchvision's documentation.
# https://docs.pytorch.org/vision/stable/models.html
PUBLISHED = {
    "resnet34": (21_797_672, 3.66),
    "densenet121": (7_978_856, 2.83),
    "efficientnet_b0": (5_288_548, 0.39),
    "convnext_tiny": (28_589_128, 4.46),
    "vit_b_32": (88_224_232, 4.41),
}


@pytest.mark.parametrize("builder", PUBLISHED)
def test_parameter_and_mac_counts_equal_the_published_ones(builder: str) -> None:
    complexity = count(NetworkSpec(builder, 1000).build(), (3, 224, 224))
    parameters, giga_macs = PUBLISHED[builder]
    assert complexity.parameters == parameters
    assert complexity.macs / 1e9 == pytest.approx(giga_macs, abs=0.011)


def one_of_each_family() -> list[str]:
    """Return one builder in each of torchvision's modules, which have other kinds of layers."""
    builders = sorted(torchvision_networks.names(), reverse=True)
    families = {torchvision.models.get_model_builder(name).__module__: name for name in builders}
    return sorted(families.values())


@pytest.mark.parametrize("builder", one_of_each_family())
def test_every_kind_of_layer_is_counted_as_torchvision_does(builder: str) -> None:
    weights = torchvision.models.get_model_weights(builder)["DEFAULT"]
    side = weights.transforms().crop_size[0]
    network = NetworkSpec.of(builder, 1000, side, {}).outline()
    macs = count(network, (3, side, side)).macs
    assert macs / 1e9 == pytest.approx(weights.meta["_ops"], abs=0.001)


class Attention(nn.Module):
    """Attention between the rows of an image."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        rows = images.mean(1)
        if isinstance(self.layer, nn.MultiheadAttention):
            return self.layer(rows, rows, rows, need_weights=False)[0]
        return self.layer(rows)


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.MultiheadAttention(16, 2, batch_first=True),
        lambda: nn.TransformerEncoderLayer(16, 2, 8, batch_first=True),
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 8, batch_first=True), 1),
    ],
)
def test_attention_is_counted_where_torch_would_fuse_it(make: Callable[[], nn.Module]) -> None:
    # Rows of 16 values: three projections and an output, then scores and their sums.
    attention = 4 * 16 * 16 * 16 + 2 * 16 * 16 * 16
    layer = make()
    behind = 0 if isinstance(layer, nn.MultiheadAttention) else 2 * 16 * 16 * 8
    assert count(Attention(layer), (3, 16, 16)).macs == attention + behind


@pytest.mark.parametrize("is_fused", [True, False])
def test_counting_does_not_change_the_network(is_fused: bool) -> None:
    network = NetworkSpec("resnet34", 3).build().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    was_fused = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(is_fused)
        count(network, (3, 32, 32))
        assert torch.backends.mha.get_fastpath_enabled() is is_fused
    finally:
        torch.backends.mha.set_fastpath_enabled(was_fused)
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_options_that_the_builder_rejects_are_named() -> None:
    with pytest.raises(UsageError, match=r"model.network_options: .*resnet34.*'depth'"):
        NetworkSpec("resnet34", 3, {"depth": 3}).build()


def test_pretrained_weights_fill_all_but_the_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A weights file as in torchvision's cache: a state dict with 1,000 classes.
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    weights = torchvision.models.get_model_weights("efficientnet_b0")["DEFAULT"]
    source = torchvision.models.efficientnet_b0()
    nn.init.constant_(source.features[0][0].weight, 0.25)
    (tmp_path / "checkpoints").mkdir()
    torch.save(source.state_dict(), tmp_path / "checkpoints" / Path(weights.url).name)

    network = NetworkSpec("efficientnet_b0", 7).build_pretrained()

    state, head = network.state_dict(), ("classifier.1.weight", "classifier.1.bias")
    assert (state["features.0.0.weight"] == 0.25).all()
    assert all(
        torch.equal(value, source.state_dict()[name])
        for name, value in state.items()
        if name not in head
    )
    assert state["classifier.1.weight"].shape == (7, 1280)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_published_weights_with_auxiliary_heads_fill_a_network_without(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    weights = torchvision.models.get_model_weights(name)["DEFAULT"]
    source = torchvision.models.get_model(name, init_weights=False)  # with auxiliary heads
    (tmp_path / "checkpoints").mkdir()
    torch.save(source.state_dict(), tmp_path / "checkpoints" / Path(weights.url).name)

    network = NetworkSpec.of(name, 7, 96, {}).build_pretrained()

    published = source.state_dict()
    assert not network.aux_logits
    assert not any("aux" in key.lower() for key in network.state_dict())
    same = [key for key, value in network.state_dict().items() if value.equal(published[key])]
    assert set(network.state_dict()) - set(same) <= {"fc.weight", "fc.bias"}
    assert network.fc.out_features == 7


def test_a_failed_download_of_weights_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    with pytest.raises(UsageError, match=r"model.pretrained: .*no network.*resnet34-.*pth"):
        NetworkSpec("resnet34", 3).build_pretrained()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_folder_of_weights_that_cannot_be_written_names_the_variable(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "/.cache")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    with pytest.raises(UsageError, match=r"TORCH_HOME to a folder that can be written, or put the"):
        NetworkSpec("resnet34", 3).build_pretrained()


def test_a_parameter_that_is_given_to_a_layer_is_counted_and_goes_on_to_learn() -> None:
    class WithToken(torch.nn.Module):  # as the class token of some transformers
        def __init__(self) -> None:
            super().__init__()
            self.token = torch.nn.Parameter(torch.zeros(1, 3))
            self.fixed = torch.nn.Parameter(torch.zeros(1), requires_grad=False)
            self.inner = torch.nn.Linear(3, 5)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.inner(self.token) + images.mean() * self.fixed

    network = WithToken()
    assert count(network, (3, 8, 8)).macs == 3 * 5
    assert [each.requires_grad for each in network.parameters()] == [True, False, True, True]
