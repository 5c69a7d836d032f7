"""The choice of the parts, and the reason why there is no twin."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from src.errors import LightshipError, describe
from src.run.twin import Validated
from src.twin import parts, probe
from src.twin.blocks import Block
from src.twin.graph_network import UnknownOperatorError
from src.twin.options import TwinOptions
from src.twin.replacements import Replacement
from src.twin.survey import Surveyed
from src.twin.validation import agreement, classes

RELU6 = (Replacement("SiLU", "ReLU6", ("a",)),)
RELU = (Replacement("SiLU", "ReLU", ("a",)),)

UNKNOWN = UnknownOperatorError("no training through Split")


class Making:
    """A making whose survey, probe and graphs are planted.

    Args:
        tried: what the survey gives after the unchanged network.
        calibrated: agreement of the plain int8 file.
        unknown: plans whose graph cannot be trained.
        probed: agreement after the probe.
        error: of a graph that cannot be trained.
    """

    def __init__(
        self,
        tried: Sequence[Surveyed],
        calibrated: float,
        unknown: Sequence[object] = (),
        probed: float = 1.0,
        error: Exception = UNKNOWN,
    ) -> None:
        self.network = nn.Identity()
        self.device = torch.device("cpu")
        self.options = TwinOptions()
        self.report = lambda *_: None
        self.images = torch.zeros(1)
        self.kept_survey = SimpleNamespace(probed={}, keep_probe=self.keep_probe)
        self.kept_probes: list[tuple[object, float]] = []
        self.unknown, self.probed, self.error = unknown, probed, error
        self.probes: list[object] = []
        all_tried = [Surveyed((), 1.0, 1.0), *tried]
        self.survey = SimpleNamespace(
            run=lambda: all_tried,
            student=lambda plan: plan,
            expected=torch.zeros(1),
            left_out={},
            blocks=[],
        )
        validated = Validated(images=100, top1=0.9, agreement=calibrated)
        self.validation = SimpleNamespace(of=lambda _: validated)

    def rate(self, phase: str, *, is_near: bool) -> float:
        assert (phase, is_near) == ("distillation", False)
        return 5e-4

    def keep_probe(self, plan: object, agreement: float) -> None:
        self.kept_probes.append((plan, agreement))

    def fresh_data(self) -> None:
        return None

    @contextlib.contextmanager
    def quantized(self, student: object) -> Iterator[Any]:
        plan = () if student is self.network else student

        def network() -> nn.Module:
            if plan in self.unknown:
                raise self.error
            return nn.Identity()

        yield SimpleNamespace(network=network)


@pytest.fixture
def probing(monkeypatch: pytest.MonkeyPatch) -> None:
    def agreement_after(*arguments: Any) -> float:
        making: Any = current[0]
        making.probes.append(arguments[1])
        return float(making.probed)

    current: list[object] = []
    monkeypatch.setattr(probe, "agreement_after", agreement_after)
    real = parts.chosen

    def noted(making: Any) -> Any:
        current[:] = [making]
        return real(making)

    monkeypatch.setattr(parts, "chosen", noted)


def chosen(making: Making) -> parts.Parts:
    planted: Any = making
    return parts.chosen(planted)


@pytest.mark.usefixtures("probing")
def test_the_fastest_set_that_can_be_learnt_is_chosen() -> None:
    making = Making([Surveyed(RELU6, 1.5, 0.5), Surveyed(RELU, 1.7, 0.4)], 0.9)
    found = chosen(making)
    assert (found.chosen, found.reason) == (2, None)
    assert making.probes == [RELU]


@pytest.mark.usefixtures("probing")
def test_a_set_that_an_earlier_command_probed_is_not_probed_again() -> None:
    tried = [Surveyed(RELU6, 1.5, 0.5), Surveyed(RELU, 1.7, 0.4)]
    making = Making(tried, 0.9)
    making.kept_survey.probed = {RELU: 0.5}
    found = chosen(making)
    assert found.chosen == 1
    assert making.probes == [RELU6]
    assert making.kept_probes == [(RELU6, 1.0)]


@pytest.mark.usefixtures("probing")
def test_a_set_that_answers_as_the_teacher_is_not_probed() -> None:
    making = Making([Surveyed(RELU6, 1.5, 0.9), Surveyed(RELU, 1.7, 0.8)], 0.9, probed=0.0)
    found = chosen(making)
    assert found.chosen == 2
    assert making.probes == []
    assert found.tried[2].probe_agreement is None


@pytest.mark.usefixtures("probing")
def test_a_set_whose_graph_cannot_be_trained_is_not_probed() -> None:
    making = Making([Surveyed(RELU6, 1.5, 0.5), Surveyed(RELU, 1.7, 0.4)], 0.9, unknown=[RELU])
    found = chosen(making)
    assert found.chosen == 1
    assert making.probes == [RELU6]
    assert found.tried[2].refused == "no training through Split"


@pytest.mark.usefixtures("probing")
def test_a_network_whose_graph_cannot_be_trained_is_not_timed() -> None:
    making = Making([Surveyed(RELU, 1.7, 0.4)], 0.9, unknown=[()])
    found = chosen(making)
    assert found.chosen is None
    assert found.reason == (
        "the network cannot be trained under fake quantization: no training through Split"
    )
    assert len(found.tried) == 1


@pytest.mark.usefixtures("probing")
@pytest.mark.parametrize(
    "error", [RuntimeError("a shape\nthat does not fit"), TypeError("no"), AttributeError("p")]
)
def test_a_graph_that_fails_in_any_way_is_a_reason_in_one_line(error: Exception) -> None:
    found = chosen(Making([Surveyed(RELU, 1.7, 0.4)], 0.9, unknown=[()], error=error))
    assert found.reason is not None
    assert f"fake quantization: {describe(error)}" in found.reason
    assert "\n" not in found.reason
    refused = chosen(Making([Surveyed(RELU, 1.7, 0.4)], 0.9, unknown=[RELU], error=error))
    assert refused.chosen == 0
    assert refused.tried[1].refused == describe(error)


@pytest.mark.usefixtures("probing")
@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "full"), MemoryError(), LightshipError("not a mistake")]
)
def test_a_failure_of_the_machine_is_no_reason_against_a_twin(error: Exception) -> None:
    with pytest.raises(type(error)):
        chosen(Making([Surveyed(RELU, 1.7, 0.4)], 0.9, unknown=[()], error=error))


@pytest.mark.usefixtures("probing")
def test_a_network_without_parts_to_replace_is_told() -> None:
    found = chosen(Making([], 0.995))
    assert found.chosen is None
    assert found.reason is not None
    assert "the network has no parts for which there are faster ones in int8" in found.reason


@pytest.mark.usefixtures("probing")
def test_the_reason_names_the_parts_that_were_left_out() -> None:
    making = Making([], 0.995)
    making.survey.left_out["1 LayerNorm by BatchNorm"] = "an input of 5 axes"
    found = chosen(making)
    assert found.reason is not None
    assert "(left out: 1 LayerNorm by BatchNorm: an input of 5 axes)" in found.reason


@pytest.mark.usefixtures("probing")
@pytest.mark.parametrize(
    ("speedup", "unknown", "expected"),
    [
        (1.02, [], "no replacement makes the plain int8 file faster by a twentieth"),
        (1.7, [], "can be learnt (1 SiLU by ReLU is 1.70 times as fast, and after the probe"),
        (1.7, [RELU], "can be learnt (1 SiLU by ReLU is 1.70 times as fast; no training through"),
    ],
)
def test_the_reason_is_the_true_one(speedup: float, unknown: list[object], expected: str) -> None:
    making = Making([Surveyed(RELU, speedup, 0.4)], 0.995, unknown=unknown, probed=0.3)
    found = chosen(making)
    assert found.chosen is None
    assert found.reason is not None
    assert expected in found.reason
    assert "the plain int8 file changes 0.5% of the validation answers" in found.reason


@pytest.mark.usefixtures("probing")
def test_a_network_that_loses_in_int8_is_trained_as_it_is() -> None:
    found = chosen(Making([Surveyed(RELU, 1.0, 0.4)], 0.97))
    assert (found.chosen, found.reason) == (0, None)


def test_answers_are_computed_in_batches() -> None:
    seen: list[int] = []

    class Noting(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            seen.append(len(images))
            return images.flatten(1)

    images = torch.randn(150, 2, 1, 1)
    expected = images.flatten(1).argmax(1)
    assert torch.equal(classes(Noting(), images), expected)
    assert max(seen) <= 64
    assert agreement(Noting(), images, expected) == 1.0
    assert agreement(Noting(), images, 1 - expected) == 0.0


def of_blocks(count: int) -> tuple[Replacement, ...]:
    """Return a plan that drops the first blocks of eight, with another part replaced."""
    paths = tuple(str(number) for number in range(count))
    return (*RELU, Replacement("squeeze-excite", "drop", paths)) if count else RELU


class Blocks(Making):
    """A making of a network with eight blocks, of which some can be dropped.

    Args:
        limit: number of blocks that can be dropped; below 0 if not even the other part is learnt.
    """

    def __init__(self, limit: int) -> None:
        super().__init__([Surveyed(RELU, 1.2, 0.5), Surveyed(of_blocks(8), 2.0, 0.3)], 0.9)
        self.limit = limit
        self.timed: list[int] = []
        self.survey.blocks = [Block(str(number), 0.1 * number, 0.05) for number in range(8)]
        self.survey.with_fewer_blocks = lambda _, count: of_blocks(count)
        self.survey.timed = self.with_figures

    @staticmethod
    def count(plan: object) -> int:
        return next(count for count in range(9) if of_blocks(count) == plan)

    def with_figures(self, plan: Sequence[Replacement]) -> list[Surveyed]:
        self.timed.append(self.count(plan))
        return [Surveyed(tuple(plan), 1.2 + 0.1 * self.count(plan), 0.4)]


@pytest.fixture
def learning(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Number of blocks of each probe."""
    probes: list[int] = []

    def probed(making: Any, each: Surveyed) -> float:
        probes.append(making.count(each.plan))
        return 0.9 if probes[-1] <= making.limit else 0.5

    monkeypatch.setattr(parts, "_probed", probed)
    return probes


@pytest.mark.parametrize("limit", range(1, 8))
def test_blocks_are_dropped_as_far_as_they_can_be_learnt(limit: int, learning: list[int]) -> None:
    making = Blocks(limit)
    found = chosen(making)
    assert making.timed == [limit]
    assert found.chosen == 3
    assert found.tried[3].name == f"1 SiLU by ReLU, {limit} squeeze-excite dropped"
    assert found.tried[3].probe_agreement == 0.9
    assert sorted(set(learning)) == sorted(learning)  # none twice
    assert len(learning) <= 5  # all, none and three of a bisection
    assert [block.path for block in found.blocks] == [str(number) for number in range(8)]


def test_all_blocks_are_dropped_if_that_can_be_learnt(learning: list[int]) -> None:
    making = Blocks(8)
    assert chosen(making).chosen == 2
    assert (learning, making.timed) == ([8], [])


@pytest.mark.parametrize("limit", [0, -1])
def test_blocks_that_cannot_be_dropped_are_not_timed(limit: int, learning: list[int]) -> None:
    making = Blocks(limit)
    found = chosen(making)
    assert found.chosen == (1 if limit == 0 else 0)
    assert making.timed == []


def test_fewer_blocks_that_gain_no_speed_are_not_chosen(
    learning: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    making = Blocks(3)
    monkeypatch.setattr(making.survey, "timed", lambda plan: [Surveyed(tuple(plan), 1.1, 0.4)])
    assert chosen(making).chosen == 1
