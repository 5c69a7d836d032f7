"""The survey of a network: a plan that cannot be made is left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from src.twin import survey
from src.twin.survey import Survey
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


def surveyed(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> tuple[Survey, list[str]]:
    """Survey a network without files; all plans are equally fast."""
    lines: list[str] = []

    def report(line: str, *_: Any) -> None:
        lines.append(line)

    monkeypatch.setattr(Survey, "_int8", lambda *_: None)
    monkeypatch.setattr(survey, "speedup_in_turn", lambda *_: 1.0)
    images = torch.randn(3, 3, 4, 4)
    facts = preprocessing()
    made = Survey(network.eval(), SPEC, CLASSES, facts, images, report)
    return made, lines


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
    smooth = ("ReLU6", "ReLU", "hard swish")
    assert tried == ["nothing replaced", *(f"1 SiLU by {by}" for by in smooth)]
    assert set(made.left_out) == {f"1 GELU by {by}" for by in smooth}
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
