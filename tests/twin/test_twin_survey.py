"""The survey of a network: a plan that cannot be made is left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import SqueezeExcitation

from src.twin import survey
from src.twin.replacements import Replacement
from src.twin.survey import Plan, Survey, Surveyed
from tests.twin.conftest import CLASSES, SPEC, preprocessing


class Particular(nn.Module):
    """A network whose own code reads attributes of its parts.

    Args:
        read: called with the network in a forward pass.
    """

    def __init__(self, read: Callable[[Particular], object]) -> None:
        super().__init__()
        self.act, self.other = nn.SiLU(), nn.GELU()
        self.layer = nn.Linear(3 * 4 * 4, len(CLASSES))
        self.read = read

    def forward(self, images: Tensor) -> Tensor:
        self.read(self)
        logits: Tensor = self.layer(self.other(self.act(images)).flatten(1))
        return logits


def surveyed(
    network: nn.Module, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> tuple[Survey, list[str]]:
    """Survey a network without files; all plans are equally fast."""
    lines: list[str] = []

    def report(line: str, *_: Any) -> None:
        lines.append(line)

    monkeypatch.setattr(Survey, "_int8", lambda *_: None)
    monkeypatch.setattr(survey, "speedup_in_turn", lambda *_: 1.0)
    images = torch.randn(3, 3, 4, 4)
    facts = preprocessing()
    made = Survey(network.eval(), SPEC, CLASSES, facts, images, report, **options)
    return made, lines


SMOOTH = ("ReLU6", "ReLU", "hard swish")
READS: dict[str, Callable[[Particular], object]] = {
    "in training": lambda network: network.training and network.other.approximate,
    "always": lambda network: network.other.approximate,
    "as an index": lambda network: {"none": 1}[getattr(network.other, "approximate", "missing")],
}


@pytest.mark.parametrize("name", READS)
def test_parts_that_the_networks_code_cannot_do_without_are_left_out(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, lines = surveyed(Particular(READS[name]), monkeypatch)
    tried = [each.name for each in made.run()]
    assert tried == ["nothing replaced", *(f"1 SiLU by {by}" for by in SMOOTH)]
    assert set(made.left_out) == {f"1 GELU by {by}" for by in SMOOTH}
    assert sum(line.startswith("left out 1 GELU by") for line in lines) == 3
    assert all("Error" in reason for reason in made.left_out.values())


def test_a_full_disk_is_no_property_of_a_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise OSError(28, "No space left on device")

    made, _ = surveyed(Particular(fail), monkeypatch)
    with pytest.raises(OSError, match="No space"):
        made.run()


def test_a_look_at_the_network_in_training_changes_nothing_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 4), nn.BatchNorm1d(4), nn.SiLU())
    made, _ = surveyed(network, monkeypatch)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    survey._run_in_training(network, made.images)
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())
    assert not network.training


class Functional(nn.Module):
    """Calls one activation as a function; the other one is a module."""

    def __init__(self) -> None:
        super().__init__()
        self.act, self.layer = nn.GELU(), nn.Linear(3 * 4 * 4, len(CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layer(functional.silu(self.act(images)).flatten(1))
        return logits


def test_activations_that_are_called_as_functions_are_surveyed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, _ = surveyed(Functional(), monkeypatch)
    tried = made.run()
    names = [f"1 {kind} by {by}" for kind in ("SiLU", "GELU") for by in SMOOTH]
    assert [each.name for each in tried] == ["nothing replaced", *names]
    assert made.left_out == {}
    student = made.student(tried[2].plan)
    images = torch.randn(5, 3, 4, 4)
    layer = made.network.get_submodule("layer")
    expected = layer(functional.gelu(images).relu().flatten(1))
    assert torch.allclose(student(images), expected, atol=1e-6)


def test_a_plan_of_modules_alone_keeps_the_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ = surveyed(Functional(), monkeypatch)
    student = made.student((Replacement("GELU", "ReLU", ("act",)),))
    assert type(student) is Functional
    assert type(made.student((Replacement("SiLU", "ReLU", ("silu",)),))) is not Functional


class Deciding(Functional):
    def forward(self, images: Tensor) -> Tensor:
        if images.sum() > 0:
            images = images + 1
        return super().forward(images)


def test_functions_that_cannot_be_found_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    made, lines = surveyed(Deciding(), monkeypatch)
    tried = [each.name for each in made.run()]
    assert tried == ["nothing replaced", *(f"1 GELU by {by}" for by in SMOOTH)]
    [(name, reason)] = made.left_out.items()
    assert name == "activations that Deciding calls as functions"
    assert f"left out {name}: {reason}" in lines


class Chunked(nn.Module):
    """An activation on one part of a value whose other part is read later, and the whole."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.act = nn.Conv2d(3, 4, 1), nn.SiLU()
        self.layer = nn.Linear(8 * 16, len(CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        value = self.first(images)
        left, right = value.chunk(2, dim=1)
        mixed = torch.cat([value, self.act(left), right], dim=1)
        logits: Tensor = self.layer(mixed.flatten(1))
        return logits


def test_a_substitute_overwrites_no_part_of_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ = surveyed(Chunked(), monkeypatch)
    tried = made.run()
    assert made.left_out == {}
    student = made.student(tried[2].plan)
    images = torch.randn(3, 3, 4, 4)
    left, right = made.network.get_submodule("first")(images).chunk(2, dim=1)
    expected = torch.cat([left, right, left.relu(), right], dim=1).flatten(1)
    expected = made.network.get_submodule("layer")(expected)
    assert torch.allclose(student(images), expected, atol=1e-6)


class OverwritesAPart(Chunked):
    """Autograd refuses an operation in place on a result of ``chunk``."""

    def __init__(self) -> None:
        super().__init__()
        self.act = nn.SiLU(inplace=True)


def test_a_plan_that_autograd_refuses_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ = surveyed(OverwritesAPart(), monkeypatch)
    assert [each.name for each in made.run()] == ["nothing replaced"]
    assert all("inplace" in reason for reason in made.left_out.values())


class Scaled(nn.Sequential):
    """A network of four squeeze-excites."""

    def __init__(self) -> None:
        parts = (SqueezeExcitation(4, 2) for _ in range(4))
        super().__init__(
            *(nn.Conv2d(3, 4, 1), *parts, nn.Flatten(), nn.Linear(4 * 16, len(CLASSES)))
        )


def speed_of(plan: Plan) -> float:
    """Return a planted speed: each block is an eighth of the time, each gate a hundredth."""
    dropped = sum(len(each.paths) for each in plan if each.by == "drop")
    hard = sum(len(each.paths) for each in plan if each.kind == "gate")
    return 1 / (1 - dropped / 8 - hard / 100)


def scaled(monkeypatch: pytest.MonkeyPatch) -> Survey:
    torch.manual_seed(0)
    made, _ = surveyed(Scaled(), monkeypatch)
    monkeypatch.setattr(Survey, "_timed", lambda _, plan, __: Surveyed(plan, speed_of(plan), 1.0))
    return made


def test_each_squeeze_excite_has_its_damage_and_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    made = scaled(monkeypatch)
    tried = [each.name for each in made.run()]
    dropped = [f"{count} squeeze-excite dropped" for count in (2, 2, 4)]
    assert tried == ["nothing replaced", *dropped]  # no gate is left
    assert sorted(block.path for block in made.blocks) == ["1", "2", "3", "4"]
    assert [block.saved for block in made.blocks] == pytest.approx([1 / 8] * 4)
    damages = [block.damage for block in made.blocks]
    assert damages == sorted(damages)
    assert damages[0] > 0


def test_fewer_blocks_are_dropped_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    made = scaled(monkeypatch)
    whole = made.run()[-1].plan
    order = [block.path for block in made.blocks]
    for count in range(1, 5):
        [drop] = made.with_fewer_blocks(whole, count)
        assert set(drop.paths) == set(order[:count])
        assert list(drop.paths) == sorted(drop.paths)  # in the order of the network
    assert made.with_fewer_blocks(whole, 0) == ()


def test_the_gates_of_kept_blocks_may_be_hard(monkeypatch: pytest.MonkeyPatch) -> None:
    made = scaled(monkeypatch)
    whole = made.run()[-1].plan
    timed = made.timed(made.with_fewer_blocks(whole, 3))
    assert [each.name for each in timed] == [
        "3 squeeze-excite dropped",
        "3 squeeze-excite dropped, 1 gate by hard sigmoid",
    ]
    assert [each.name for each in made.timed(whole)] == ["4 squeeze-excite dropped"]


def test_blocks_are_not_looked_at_if_dropping_all_gains_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, _ = surveyed(Scaled(), monkeypatch)
    monkeypatch.setattr(Survey, "_timed", lambda _, plan, __: Surveyed(plan, 1.01, 1.0))
    made.run()
    assert made.blocks == []
