"""Networks that use a layer or its weights under several names have an eager file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from src.data.preprocessing import Preprocessing
from src.export.one_format import export_one
from src.export.source import make_source
from src.formats import eager
from src.models.network import NetworkSpec
from tests.support.small_network import BUILDER

CLASSES = ["ant", "bee", "cat"]


def the_same_parameter(first: Any, second: Any) -> None:
    second.weight = first.weight


def the_same_layer(first: Any, second: Any) -> None:
    second.weight, second.bias = first.weight, first.bias
    second.running_mean, second.running_var = first.running_mean, first.running_var


def a_part_of_one_tensor(first: Any, second: Any) -> None:
    both = torch.rand(2, len(first.weight))
    first.weight, second.weight = nn.Parameter(both[0]), nn.Parameter(both[1])


def a_strided_part_of_one_tensor(first: Any, second: Any) -> None:
    both = torch.rand(len(first.weight), 2)
    first.weight, second.weight = nn.Parameter(both[:, 0]), nn.Parameter(both[:, 1])


@pytest.mark.parametrize(
    "share",
    [the_same_parameter, the_same_layer, a_part_of_one_tensor, a_strided_part_of_one_tensor],
)
def test_weights_that_share_memory_are_written_under_each_name(share: Any, tmp_path: Path) -> None:
    spec = NetworkSpec(BUILDER, len(CLASSES))
    network: Any = spec.build().eval()
    norms = [each for each in network.stage2.modules() if isinstance(each, nn.BatchNorm2d)]
    first, second = [each for each in norms if each.num_features == norms[-1].num_features][-2:]
    nn.init.uniform_(first.weight)
    share(first, second)
    check(spec, network, 64, tmp_path)


def test_a_network_of_a_library_that_shares_layers_has_an_eager_file(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    spec = NetworkSpec.of("timm/coat_tiny", len(CLASSES), 32, {})
    check(spec, spec.build().eval(), 32, tmp_path)


def check(spec: NetworkSpec, network: nn.Module, side: int, folder: Path) -> None:
    images = torch.randn(4, 3, side, side)
    (folder / "scratch").mkdir()
    facts = Preprocessing(side).facts()
    source = make_source(network, spec, CLASSES, images, facts, folder / "scratch")
    entry = export_one("eager", source, folder / "eager")
    assert entry.status == "ok", entry.reason
    assert set(load_file(folder / "eager" / "model.safetensors")) == set(network.state_dict())
    opened = eager.open_network(folder / "eager")
    with torch.inference_mode():
        torch.testing.assert_close(opened(images), network(images))
