"""Options of the int8 twin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from src.system.ranges import AccuracyDrop, OptionalPositiveFloat, Range, require_ranges

_Epochs = Annotated[int | None, Range("a whole number from 1 to 10000", least=1, most=10_000)]
_Minutes = Annotated[float | None, Range("minutes above 0", above=0.0, most=1e6)]
_Steps = Annotated[int, Range("a whole number from 0 to 100000", least=0, most=100_000)]
_Seed = Annotated[int | None, Range("a whole number from 0 to 4294967295", least=0, most=2**32 - 1)]


@dataclass(frozen=True)
class TwinOptions:
    """The training of a network that is fast in int8 and answers as the trained one does.

    Args:
        epochs: of distillation in float; by default a third of those trained, at least 3, and none
            if the network with its layers refitted changes no more than ``max_accuracy_drop`` of
            the validation answers.
        quantized_epochs: of training under fake quantization after that; by default half of
            ``epochs``, at least 2, and none if a network with its layers refitted changes no more
            answers once it is quantized.
        max_minutes: of both trainings together, by default no limit. Each has a share by its
            epochs, and its learning rate falls in time. The choice of the parts is not counted.
        lr: peak learning rate of the distillation; by default 5e-4, and 2e-5 for a network that
            gives at least 80 % of the validation answers of the trained one before it.
        quantized_lr: peak learning rate under fake quantization; by default 1e-4, and 2e-5 for
            such a network.
        probe_steps: steps of distillation with which a set of parts shows whether it can be learnt;
            0 takes the fastest set.
        max_accuracy_drop: top-1 that the twin may give up, a share of 1; and the share of answers
            that the plain int8 file of the trained network may change for no twin to be needed.
        seed: of the trainings; by default that of the run's training.
        again: make the twin again that the run has.
    """

    epochs: _Epochs = None
    quantized_epochs: _Epochs = None
    max_minutes: _Minutes = None
    lr: OptionalPositiveFloat = None
    quantized_lr: OptionalPositiveFloat = None
    probe_steps: _Steps = 30
    max_accuracy_drop: AccuracyDrop = 0.01
    seed: _Seed = None
    again: bool = False

    def __post_init__(self) -> None:
        require_ranges(self, "twin")
