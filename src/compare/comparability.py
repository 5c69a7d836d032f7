"""Conditions that must be the same before two figures may be ranked."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from src.run.results import Results

_SHOWN = 8  # digits of a hash


@dataclass(frozen=True, order=True)
class Testbed:
    """All that a latency depends on beside the file and the batch."""

    processor: str
    threads: int

    def __str__(self) -> str:
        return f"{self.processor}, {self.threads} thread{'' if self.threads == 1 else 's'}"


@dataclass(frozen=True, order=True)
class TestSet:
    """The images that an accuracy was measured on."""

    dataset: str
    split: str
    images: int
    classes: int
    sha256: str  # of the images and their labels; empty where a measurement does not say

    def __str__(self) -> str:
        name = f", set {self.sha256[:_SHOWN]}" if self.sha256 else ""
        return f"{self.images} {self.split} images of {self.dataset}{name}"


def testbed_of(results: Results, device: str) -> Testbed:
    """Return where the rows of one device were timed."""
    environment = results.environment
    if device != "cpu" and environment.gpu:
        processor = f"{environment.gpu.name} beside {environment.cpu}"
    else:
        sets = ", ".join(environment.isa)
        processor = f"{environment.cpu}{f' ({sets})' if sets else ''}"
    return Testbed(processor, environment.threads)


def test_sets_of(measured: Sequence[Results]) -> list[TestSet]:
    """Return what each of several runs was scored on.

    A measurement of an earlier version has no hash of its images. It is taken for the others' set
    of the same name and size, where these have only one: see :func:`assumed`.
    """
    test_sets = [_test_set_of(results) for results in measured]
    return [test_set if test_set.sha256 else _only(test_set, test_sets) for test_set in test_sets]


def assumed(measured: Sequence[Results]) -> list[int]:
    """Return the runs that are taken to be scored on another's images by name and number alone."""
    test_sets = [_test_set_of(results) for results in measured]
    alike = test_sets_of(measured)
    return [
        index
        for index, test_set in enumerate(test_sets)
        if not test_set.sha256 and alike.count(alike[index]) > 1
    ]


def _only(unknown: TestSet, test_sets: Sequence[TestSet]) -> TestSet:
    """Return the one set of the same name and size, or the unknown one."""
    fitting = {
        test_set for test_set in test_sets if dataclasses.replace(test_set, sha256="") == unknown
    }
    known = fitting - {unknown}
    return known.pop() if len(known) == 1 else unknown


def _test_set_of(results: Results) -> TestSet:
    dataset = results.dataset
    return TestSet(
        dataset.name,
        dataset.split,
        dataset.images,
        results.num_classes,
        dataset.sha256 or "",
    )
