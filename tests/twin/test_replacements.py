"""Parts that are replaced: found by what they are, replaced by plain values."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import Tensor, nn

from src.twin.layer_norms import ImageBatchNorm
from src.twin.replacements import Replacement, find, replaced


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


class PlainLayerNorm(nn.LayerNorm):
    """A subclass for channels last, as timm's."""


class FirstLayerNorm(nn.LayerNorm):
    """A subclass for (N, C, H, W), as timm's and torchvision's LayerNorm2d."""

    def forward(self, images: Tensor) -> Tensor:
        normed: Tensor = super().forward(images.movedim(1, -1))
        return normed.movedim(-1, 1)


class Shifted(nn.LayerNorm):
    """Computes something else with the same parameters."""

    def forward(self, images: Tensor) -> Tensor:
        normed: Tensor = super().forward(images) + 1
        return normed


class Normed(nn.Module):
    """A LayerNorm that gets images (N, 3, H, W) in some shape.

    Args:
        norm: of the module.
        shape: of its input, for one image.
    """

    def __init__(self, norm: nn.LayerNorm, *shape: int) -> None:
        super().__init__()
        self.norm, self.shape = norm, shape

    def forward(self, images: Tensor) -> Tensor:
        normed: Tensor = self.norm(images.reshape(-1, *self.shape[1:]))
        return normed

    def replaced(self) -> nn.Module:
        image = torch.zeros(1, 3, 4, 4)
        with torch.no_grad():
            self.norm.weight.uniform_(0.5, 1.5)
        return replaced(self, [Replacement("LayerNorm", "BatchNorm", ("norm",))], image)


@pytest.mark.parametrize(
    ("norm", "shape", "is_last"),
    [
        (PlainLayerNorm(3), (1, 4, 4, 3), True),
        (PlainLayerNorm(4), (1, 4, 3, 4), True),  # both axes have as many channels
        (FirstLayerNorm(4), (1, 4, 3, 4), False),
        (FirstLayerNorm(3), (1, 3, 4, 4), False),
        (nn.LayerNorm(4), (1, 3, 4, 4), True),
        (PlainLayerNorm(4, bias=False), (1, 3, 4, 4), True),
    ],
    ids=str,
)
def test_the_layout_of_a_layer_norm_is_that_by_which_it_computes(
    norm: nn.LayerNorm, shape: tuple[int, ...], is_last: bool
) -> None:
    student = Normed(norm, *shape).replaced()
    part = student.get_submodule("norm")
    assert isinstance(part, ImageBatchNorm)
    assert part.channels_last == is_last
    assert part.norm.weight.equal(norm.weight)


@pytest.mark.parametrize(
    ("norm", "shape", "expected"),
    [
        (Shifted(3), (1, 4, 4, 3), "Shifted normalises neither the last nor the second axis"),
        (FirstLayerNorm(3), (1, 3, 16), "no BatchNorm for an input of 3 axes"),
        (nn.LayerNorm(3), (1, 2, 2, 4, 3), "no BatchNorm for an input of 5 axes"),
    ],
    ids=str,
)
def test_a_layer_norm_that_no_batch_norm_can_replace_is_refused(
    norm: nn.LayerNorm, shape: tuple[int, ...], expected: str
) -> None:
    with pytest.raises(ValueError, match=f"no BatchNorm for LayerNorm at 'norm': {expected}"):
        Normed(norm, *shape).replaced()


def test_timms_layer_norms_of_both_layouts_become_batch_norms() -> None:
    timm = pytest.importorskip("timm")
    network = timm.create_model("convnext_atto", num_classes=3, conv_mlp=False).eval()
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


@pytest.mark.parametrize("is_in_place", [True, False])
@pytest.mark.parametrize("by", ["ReLU6", "ReLU", "hard swish"])
def test_a_substitute_works_in_place_where_the_activation_did(by: str, is_in_place: bool) -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.SiLU(inplace=is_in_place), nn.GELU())
    plan = [Replacement("SiLU", by, ("1",)), Replacement("GELU", by, ("2",))]
    student = replaced(network, plan, IMAGE)
    assert student.get_submodule("1").inplace is is_in_place
    assert student.get_submodule("2").inplace is False


def test_a_sigmoid_is_a_gate_anywhere() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.gate = nn.Conv2d(3, 3, 1), nn.Sigmoid()

        def forward(self, images: Tensor) -> Tensor:
            scaled: Tensor = images * self.gate(self.layer(images))
            return scaled

    assert find(nn.Sequential(Attention(), nn.Flatten())) == {"gate": ["0.gate"]}


def test_activations_deep_within_a_gated_module_are_not_those_of_layers() -> None:
    class SqueezeExcite(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Sequential(nn.Conv2d(3, 3, 1), nn.SiLU()), nn.Sigmoid())

    found = find(nn.Sequential(nn.SiLU(), SqueezeExcite(), nn.SiLU()))
    assert found == {"SiLU": ["0", "2"], "squeeze-excite": ["1"], "gate": ["1.body.1"]}


def test_a_part_of_a_module_with_two_paths_comes_once() -> None:
    shared = nn.Sequential(nn.LayerNorm(4))
    assert find(nn.Sequential(shared, shared)) == {"LayerNorm": ["0.0"]}
