"""Layer-wise reconstruction: students with other parts, refitted to their teacher's outputs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import SqueezeExcitation

from src.models.batch_norm_statistics import reestimate_statistics
from src.twin import reconstruction
from src.twin.layer_fit import Layer, fit
from src.twin.reconstruction import reconstruct
from src.twin.replacements import DROP, SQUEEZE, Replacement, find, replaced

CPU = torch.device("cpu")
LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "pointwise": (lambda: nn.Conv2d(8, 6, 1, bias=False), (8, 7, 7)),
    "strided": (lambda: nn.Conv2d(4, 6, 3, stride=2, padding=1), (4, 9, 8)),
    "depthwise": (lambda: nn.Conv2d(8, 8, 5, padding=2, groups=8, bias=False), (8, 7, 7)),
    "grouped": (lambda: nn.Conv2d(8, 12, (1, 3), padding=(0, 1), groups=4), (8, 6, 7)),
    "dilated": (lambda: nn.Conv2d(4, 4, 3, dilation=(2, 1), stride=(1, 2)), (4, 9, 9)),
    "linear": (lambda: nn.Linear(8, 6), (8,)),
    "linear of tokens": (lambda: nn.Linear(8, 6, bias=False), (5, 8)),
    "linear of an image": (lambda: nn.Linear(8, 6), (4, 4, 8)),
}


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", LAYERS)
@torch.no_grad()
def test_a_layer_gets_the_weights_that_made_the_outputs(name: str) -> None:
    make, shape = LAYERS[name]
    torch.manual_seed(0)
    wanted, own = make(), make()
    layer = Layer(own)
    images = random(64, *shape)
    outputs = wanted(images)
    layer.draw(outputs, len(images), 40)
    parts = [
        (layer.inputs(images[first : first + 24], first), layer.outputs(part, first))
        for first, part in ((0, outputs[:24]), (24, outputs[24:48]), (48, outputs[48:]))
    ]
    parts[2] = (layer.inputs(images[48:], 48), parts[2][1])
    inputs, targets = (torch.cat(each).flatten(0, 1) for each in zip(*parts, strict=True))
    before = float((own(images) - outputs).square().mean())
    assert fit(layer, inputs, targets)
    assert float((own(images) - outputs).square().mean()) < 1e-3 * before
    # There is nothing to gain now.
    own.load_state_dict(wanted.state_dict())
    assert not fit(layer, inputs, targets)
    assert torch.equal(own.weight, wanted.weight)


@torch.no_grad()
def test_weights_that_only_fit_noise_are_not_taken() -> None:
    torch.manual_seed(0)
    own = nn.Linear(64, 4)
    layer = Layer(own)
    inputs = random(80, 64)
    noise = own(inputs) + random(80, 4, seed=1)
    weights = own.weight.clone()
    assert not fit(layer, inputs, noise)
    assert torch.equal(own.weight, weights)


@torch.no_grad()
def test_a_group_without_inputs_keeps_its_weights() -> None:
    torch.manual_seed(0)
    own, wanted = nn.Conv2d(4, 4, 1, groups=4, bias=False), nn.Conv2d(4, 4, 1, groups=4, bias=False)
    inputs = random(400, 4)
    inputs[:, 2] = 0
    before = own.weight[2].clone()
    assert fit(Layer(own), inputs, wanted(inputs[..., None, None]).flatten(1))
    assert torch.equal(own.weight[2], before)
    assert torch.allclose(own.weight[[0, 1, 3]], wanted.weight[[0, 1, 3]], atol=1e-2)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@torch.no_grad()
def test_values_that_are_not_finite_change_no_weights(value: float) -> None:
    own = nn.Linear(4, 2)
    inputs = random(400, 4)
    inputs[5, 1] = value
    before = own.weight.clone()
    assert not fit(Layer(own), inputs, random(400, 2, seed=1))
    assert torch.equal(own.weight, before)


class Gated(nn.Module):
    """Two gated blocks, each with a layer before and one behind."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.SiLU())
        self.blocks = nn.Sequential(*(self._block() for _ in range(2)))
        self.head = nn.Linear(16, 5)

    @staticmethod
    def _block() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False),
            nn.BatchNorm2d(16),
            nn.SiLU(),
            SqueezeExcitation(16, 4),
            nn.Conv2d(16, 16, 1, bias=False),
            nn.BatchNorm2d(16),
        )

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.blocks(self.stem(images)).mean((2, 3)))
        return logits


@pytest.fixture
def teacher() -> nn.Module:
    torch.manual_seed(0)
    network = Gated()
    with torch.no_grad():
        for _ in range(20):
            network(images_of(32, 0))
    return network.eval()


def student_of(teacher: nn.Module, images: Tensor) -> nn.Module:
    parts = find(teacher)
    plan = [
        Replacement("SiLU", "ReLU6", tuple(parts["SiLU"])),
        Replacement(SQUEEZE, DROP, tuple(parts[SQUEEZE])),
    ]
    return replaced(teacher, plan, images[:1]).eval()


def images_of(count: int, seed: int) -> Tensor:
    """Return images of different colours and contrasts."""
    parts = random(count, 2, 3, 1, 1, seed=seed).unbind(1)
    return parts[0] + parts[1] * random(count, 3, 12, 12, seed=seed + 100)


@torch.no_grad()
def error(student: nn.Module, teacher: nn.Module, images: Tensor) -> float:
    """Return the squared error of the logits, a share of their variance."""
    logits = teacher(images)
    return float((student(images) - logits).square().mean() / logits.var(0).mean())


def test_a_student_with_other_parts_computes_what_its_teacher_does(teacher: nn.Module) -> None:
    images, others = images_of(128, 1), images_of(64, 2)
    student, plain = student_of(teacher, images), student_of(teacher, images)
    before = copy.deepcopy(teacher.state_dict())
    reestimate_statistics(plain, images)
    # The depthwise and the pointwise layer of each block, and the head.
    assert reconstruct(student, teacher, images, CPU) == 5
    assert error(student, teacher, others) < 0.5 * error(plain, teacher, others)
    assert torch.equal(student.stem[0].weight, teacher.stem[0].weight)  # runs before any part
    assert all(torch.equal(teacher.state_dict()[name], value) for name, value in before.items())
    assert not student.training
    for module in [*student.modules(), *teacher.modules()]:
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


def test_a_network_of_which_nothing_is_replaced_stays(teacher: nn.Module) -> None:
    student = copy.deepcopy(teacher)
    assert reconstruct(student, teacher, random(64, 3, 12, 12, seed=1), CPU) == 0
    assert torch.equal(student.head.weight, teacher.head.weight)


class Twice(nn.Module):
    """A layer that runs twice, one that shares its weight, and one that pads by reflection."""

    def __init__(self) -> None:
        super().__init__()
        self.act = nn.SiLU()
        self.twice = nn.Conv2d(3, 3, 1)
        self.tied, self.other = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.other.weight = self.tied.weight
        self.reflecting = nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect")
        self.same = nn.Conv2d(3, 3, 3, padding="same")

    def forward(self, images: Tensor) -> Tensor:
        value = self.twice(self.twice(self.act(images)))
        value = self.same(self.reflecting(self.other(self.tied(value))))
        logits: Tensor = value.mean((2, 3))
        return logits


def test_layers_that_cannot_be_fitted_apart_stay() -> None:
    teacher = Twice().eval()
    images = random(32, 3, 8, 8)
    student = replaced(teacher, [Replacement("SiLU", "ReLU", ("act",))], images[:1]).eval()
    assert reconstruct(student, teacher, images, CPU) == 0


def test_a_batch_norm_for_a_layer_norm_gets_statistics_before_the_layers_behind_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    teacher = nn.Sequential(
        nn.Linear(8, 16),
        nn.LayerNorm(16),
        nn.GELU(),
        nn.Linear(16, 16),
        nn.GELU(),
        nn.Linear(16, 4),
    ).eval()
    images = random(129, 8)  # the last batch must not be one image
    plan = [Replacement("LayerNorm", "BatchNorm", ("1",))]
    student = replaced(teacher, plan, images[:1]).eval()
    norm = student[1].norm
    seen: list[Tensor] = []

    def noted(*arguments: Any) -> bool:
        seen.append(norm.running_mean.clone())
        return fit(*arguments)

    monkeypatch.setattr(reconstruction, "fit", noted)
    assert reconstruct(student, teacher, images, CPU) >= 1
    assert error(student, teacher, random(64, 8, seed=3)) < 0.2
    assert norm.momentum == 0.1
    inputs = teacher[0](images)
    assert torch.allclose(seen[0], inputs.mean(0), atol=0.05)


class Others(nn.Module):
    """A sum in place between a layer and its norm, and layers with another first axis."""

    def __init__(self) -> None:
        super().__init__()
        self.act = nn.SiLU()
        self.convolution = nn.Conv2d(4, 4, 1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.windows = nn.Linear(4, 4)
        self.sequence = nn.Linear(4, 4)
        self.tokens = nn.Linear(4, 16)
        self.of_tokens = nn.BatchNorm1d(16)

    def forward(self, images: Tensor) -> Tensor:
        value = self.act(images)
        made = self.convolution(value)
        made += 3 * value
        value = self.norm(made)  # (N, 4, 4, 4)
        value = self.windows(value.reshape(-1, 4, 4)).reshape(-1, 16, 4)
        value = self.sequence(value.transpose(0, 1)).transpose(0, 1)
        return self.of_tokens(self.tokens(value)).mean((1, 2), keepdim=True)[..., 0]


def test_what_happens_between_a_layer_and_its_norm_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Else it would mend the statistics at the end, when the layers behind the norm are fitted.
    monkeypatch.setattr(reconstruction, "reestimate_statistics", lambda *_: None)
    torch.manual_seed(0)
    teacher = Others()
    images = random(97, 4, 4, 4) + 1  # three batches and one image
    for _ in range(50):
        teacher(images)
    teacher.eval()
    student = replaced(teacher, [Replacement("SiLU", "ReLU", ("act",))], images[:1]).eval()
    # The convolution's outputs are of its own inputs; those of the layer of tokens can be better.
    assert reconstruct(student, teacher, images, CPU) >= 1
    sums = student.convolution(student.act(images)) + 3 * student.act(images)
    assert torch.allclose(student.norm.running_mean, sums.mean((0, 2, 3)), atol=0.02)
    assert torch.equal(student.windows.weight, teacher.windows.weight)
    assert torch.equal(student.sequence.weight, teacher.sequence.weight)


@pytest.mark.parametrize(("seconds", "count"), [(1e-6, 200), (23.04, 100), (1e6, 16)])
def test_the_images_are_as_many_as_the_time_allows(
    seconds: float, count: int, teacher: nn.Module
) -> None:
    """A pass over sixteen images takes so many seconds; there are five, half of each counts."""
    images = random(200, 3, 4, 4)
    student = student_of(teacher, images)
    seen: list[int] = []
    student.blocks[0][4].register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    clock = iter([0.0, seconds / 2])
    reconstruct(student, teacher, images, CPU, lambda: next(clock))
    before, after = 2, 200  # to find the layers, and for the statistics at the end
    # The inputs of this layer, and of the three behind it.
    assert sum(seen) - before - after == 4 * count
