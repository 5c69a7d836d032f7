"""Conditions that must be equal before two figures are ranked: testbed and test set."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from src.run.circumstances import Environment
from src.run.exam import ExamMachine, ExamMeasurement
from src.run.results import Results

_SHOWN = 8  # digits of a hash


@dataclass(frozen=True, order=True)
class Testbed:
    """The conditions of a latency apart from the file and the batch."""

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
    sha256: str  # of the images and labels; empty if a measurement has none

    def __str__(self) -> str:
        name = f", set {self.sha256[:_SHOWN]}" if self.sha256 else ""
        return f"{self.images} {self.split} images of {self.dataset}{name}"


def testbed_of(results: Results, device: str) -> Testbed:
    """Return the testbed of the rows of one device."""
    environment = results.environment
    if device == "cuda" and environment.gpu:
        return Testbed(f"{environment.gpu.name} beside {environment.cpu}", environment.threads)
    if device == "browser":  # WebAssembly with one thread is another place than the CPU itself
        return Testbed(f"{testbed_of_cpu(environment).processor}, in a web page", 1)
    return testbed_of_cpu(environment)


def testbed_of_cpu(environment: Environment | ExamMachine) -> Testbed:
    """Return the testbed of rows on a machine's processor."""
    sets = ", ".join(environment.isa)
    return Testbed(f"{environment.cpu}{f' ({sets})' if sets else ''}", environment.threads)


def test_set_of_exam(exam: ExamMeasurement) -> TestSet:
    """Return the images of an exam, which are a part of a test set."""
    dataset = exam.dataset
    return TestSet(
        dataset.name,
        f"{dataset.split} (exam)",
        dataset.images,
        len(exam.class_names),
        dataset.sha256 or "",
    )


def test_sets_of(measured: Sequence[Results]) -> list[TestSet]:
    """Return the test set of each measurement.

    A measurement of an earlier version has no hash of its images. If the other measurements have
    exactly one test set of the same name and size, it is assumed to be the same: see
    :func:`assumed_same`.
    """
    test_sets = [_test_set_of(results) for results in measured]
    return [
        test_set if test_set.sha256 else _matching(test_set, test_sets) for test_set in test_sets
    ]


def assumed_same(measured: Sequence[Results]) -> list[int]:
    """Return the indices of runs whose test set is assumed to be that of another run.

    Only the name and the number of images are known to be equal.
    """
    test_sets = [_test_set_of(results) for results in measured]
    assigned = test_sets_of(measured)
    return [
        index
        for index, test_set in enumerate(test_sets)
        if not test_set.sha256 and assigned.count(assigned[index]) > 1
    ]


def _matching(unknown: TestSet, test_sets: Sequence[TestSet]) -> TestSet:
    """Return the only set of the same name and size that has a hash; else the unknown one."""
    matches = {
        test_set for test_set in test_sets if dataclasses.replace(test_set, sha256="") == unknown
    }
    known = matches - {unknown}
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
