"""What must be the same before two figures may be ranked."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_SHOWN = 8  # digits of a hash


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
    sha256: str  # of the images and their labels; empty where a measurement does not say

    def __str__(self) -> str:
        name = f", set {self.sha256[:_SHOWN]}" if self.sha256 else ""
        return f"{self.images} {self.split} images of {self.dataset}{name}"


def place_of(results: dict[str, Any], device: str) -> Place:
    """Where the rows of one device were timed."""
    there = results["environment"]
    if device != "cpu" and there["gpu"]:
        return Place(f"{there['gpu']['name']} beside {there['cpu']}", there["threads"])
    sets = ", ".join(there["isa"])
    return Place(f"{there['cpu']}{f' ({sets})' if sets else ''}", there["threads"])


def exams_of(measured: Sequence[dict[str, Any]]) -> list[Exam]:
    """What each of several runs was scored on.

    A measurement of an earlier version has no hash of its images. It is taken for the others' set
    of the same name and size, where these have only one: see :func:`assumed`.
    """
    exams = [_exam_of(results) for results in measured]
    return [each if each.sha256 else _only(each, exams) for each in exams]


def assumed(measured: Sequence[dict[str, Any]]) -> list[int]:
    """Which of several runs are taken to be scored on another's images by name and number alone."""
    exams, alike = [_exam_of(results) for results in measured], exams_of(measured)
    return [
        index
        for index, exam in enumerate(exams)
        if not exam.sha256 and alike.count(alike[index]) > 1
    ]


def _only(unknown: Exam, exams: Sequence[Exam]) -> Exam:
    """The one set that goes by the same name and size, or the unknown one."""
    fitting = {each for each in exams if dataclasses.replace(each, sha256="") == unknown}
    known = fitting - {unknown}
    return known.pop() if len(known) == 1 else unknown


def _exam_of(results: dict[str, Any]) -> Exam:
    dataset = results["dataset"]
    return Exam(
        dataset["name"],
        dataset["split"],
        dataset["images"],
        results["num_classes"],
        dataset.get("sha256") or "",
    )
