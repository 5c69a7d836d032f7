"""Parts that are replaced: found by what they are, replaced by plain values."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from src.twin.replacements import ImageBatchNorm, Replacement, find, replaced


@pytest.fixture(scope="module")
def efficientnet() -> nn.Module:
    return torchvision.models.efficientnet_b0(num_classes=3).eval()


IMAGE = torch.zeros(1, 3, 32, 32)


def test_activations_of_gates_are_not_those_of_layers(efficientnet: nn.Module) -> None:
    found = find(efficientnet)
    assert {kind: len(paths) for kind, paths in found.items()} == {
        "SiLU": 33,  # of 49: the 16 others are within a squeeze-excite
        "squeeze-excite": 16,
        "gate": 16,
    }


def test_the_network_itself_is_not_changed(efficientnet: nn.Module) -> None:
    paths = find(efficientnet)["SiLU"]
    student = replaced(efficientnet, [Replacement("SiLU", "ReLU6", tuple(paths))], IMAGE)
    assert find(efficientnet)["SiLU"] == paths
    assert "SiLU" not in find(student)
    assert isinstance(student.get_submodule(paths[0]), nn.ReLU6)
    weights = dict(efficientnet.named_parameters())
    assert all(value.equal(weights[name]) for name, value in student.named_parameters())


def test_a_dropped_gate_leaves_the_image_as_it_is(efficientnet: nn.Module) -> None:
    paths = find(efficientnet)["squeeze-excite"]
    student = replaced(efficientnet, [Replacement("squeeze-excite", "drop", tuple(paths))], IMAGE)
    assert find(student).keys() == {"SiLU"}
    assert student(IMAGE).shape == (1, 3)


def test_both_layouts_of_a_layer_norm_become_a_batch_norm() -> None:
    network = torchvision.models.convnext_tiny(num_classes=3).eval()
    paths = find(network)["LayerNorm"]
    student = replaced(network, [Replacement("LayerNorm", "BatchNorm", tuple(paths))], IMAGE)
    layouts = {part.channels_last for part in student.modules() if isinstance(part, ImageBatchNorm)}
    assert layouts == {True, False}
    assert student(IMAGE).shape == (1, 3)


@pytest.mark.parametrize(
    ("replacement", "expected"),
    [
        (Replacement("SiLU", "os.system", ("features.0.2",)), "no substitute 'os.system'"),
        (Replacement("sigmoid", "ReLU", ("features.0.2",)), "for 'sigmoid'"),
        (Replacement("SiLU", "ReLU", ("features.0.0",)), "no SiLU at 'features.0.0'"),
        (Replacement("SiLU", "ReLU", ("../x",)), "no SiLU at '../x'"),
    ],
    ids=str,
)
def test_what_a_file_must_not_name_is_refused(
    efficientnet: nn.Module, replacement: Replacement, expected: str
) -> None:
    with pytest.raises(ValueError, match=expected.replace(".", r"\.")):
        replaced(efficientnet, [replacement], IMAGE)
