"""What must be the same before two figures may be ranked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, order=True)
class Place:
    """Where a latency was measured: what else it depends on than the file and the batch."""

    processor: str
    threads: int

    def __str__(self) -> str:
        return f"{self.processor}, {self.threads} thread{'' if self.threads == 1 else 's'}"


@dataclass(frozen=True, order=True)
class Exam:
    """What an accuracy was measured on."""

    dataset: str
    split: str
    images: int
    classes: int

    def __str__(self) -> str:
        return f"{self.images} {self.split} images of {self.dataset}"


def place_of(results: dict[str, Any], device: str) -> Place:
    """Where the rows of one device were timed."""
    there = results["environment"]
    if device != "cpu" and there["gpu"]:
        return Place(f"{there['gpu']['name']} beside {there['cpu']}", there["threads"])
    sets = ", ".join(there["isa"])
    return Place(f"{there['cpu']}{f' ({sets})' if sets else ''}", there["threads"])


def exam_of(results: dict[str, Any]) -> Exam:
    """What a run was scored on."""
    dataset = results["dataset"]
    return Exam(dataset["name"], dataset["split"], dataset["images"], results["num_classes"])
