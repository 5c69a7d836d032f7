"""The machines of a cluster: what a training gets, and that all are alike."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from src.errors import UsageError
from src.search.machines import (
    Machine,
    RayOptions,
    Resources,
    require_address,
    require_alike,
    resources_of,
)
from src.search.remote import Place, Sight

HERE = Sight(
    "here",
    "1234",
    "code",
    "3.11.2",
    {"torch": "2.15", "numpy": "2.4"},
    {"data.root=pets": "a folder", "own.yaml": "0123"},
)
PLACE = Place(Path("/shared"), Path("search"))


def machines(*shapes: tuple[float, float]) -> list[Machine]:
    return [Machine(str(number), f"m{number}", *shape) for number, shape in enumerate(shapes)]


@pytest.mark.parametrize(
    ("shapes", "options", "expected", "places"),
    [
        ([(8, 0), (8, 0)], RayOptions(), Resources(8, 0), [1, 1]),
        ([(8, 0), (16, 0), (20, 0)], RayOptions(), Resources(8, 0), [1, 2, 2]),
        ([(8, 0), (8, 0)], RayOptions(cpus=3), Resources(3, 0), [2, 2]),
        # A head that only schedules.
        ([(0, 0), (8, 0)], RayOptions(), Resources(8, 0), [0, 1]),
        # Machines without a GPU do not train if others have one.
        ([(4, 0), (16, 8), (32, 8)], RayOptions(), Resources(16, 8), [0, 1, 1]),
        ([(4, 0), (16, 8)], RayOptions(gpus=1), Resources(16, 1), [0, 1]),
        ([(4, 0), (16, 8)], RayOptions(cpus=2, gpus=1), Resources(2, 1), [0, 8]),
        ([(4, 0), (16, 8)], RayOptions(gpus=0), Resources(4, 0), [1, 4]),
        ([(4, 0), (8, 0)], RayOptions(cpus=6), Resources(6, 0), [0, 1]),
    ],
)
def test_a_training_gets_the_smallest_machine_or_what_is_asked_for(
    shapes: list[tuple[float, float]],
    options: RayOptions,
    expected: Resources,
    places: list[int],
) -> None:
    resources = resources_of(machines(*shapes), options)
    assert resources == expected
    assert [resources.places_on(machine) for machine in machines(*shapes)] == places


@pytest.mark.parametrize(
    ("shapes", "options", "message"),
    [
        ([], RayOptions(), "engine: expected a machine with a CPU"),
        ([(0, 0)], RayOptions(), "engine: expected a machine with a CPU"),
        ([(4, 0), (8, 0)], RayOptions(cpus=9), "ray.cpus: expected at most 8"),
        ([(4, 2)], RayOptions(gpus=3), "ray.gpus: expected at most 2"),
        ([(32, 0), (4, 2)], RayOptions(cpus=8, gpus=1), "ray.cpus: expected at most 4"),
    ],
)
def test_more_than_the_largest_machine_has_is_refused(
    shapes: list[tuple[float, float]], options: RayOptions, message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        resources_of(machines(*shapes), options)
    assert str(caught.value).startswith(message)


def test_machines_that_are_alike_may_train() -> None:
    require_alike([HERE, dataclasses.replace(HERE, machine="there")], HERE, PLACE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"token": None}, "expected the folder search of /shared on every machine; found none"),
        ({"token": "5678"}, "expected the folder search of /shared on every machine; found none"),
        ({"code": "other"}, "expected the code of this project on every machine; found other code"),
        ({"python": "3.12.1"}, "expected Python 3.11.2 on every machine; found Python 3.12.1"),
        (
            {"packages": {"torch": "2.14", "numpy": "2.4"}},
            "expected torch 2.15 on every machine; found torch 2.14 on there",
        ),
        (
            {"packages": {"torch": "2.15"}},
            "expected numpy 2.4 on every machine; found numpy missing on there",
        ),
        (
            {"packages": {"torch": "2.15", "numpy": "2.4", "timm": "1.0"}},
            "expected timm missing on every machine; found timm 1.0 on there",
        ),
        (
            {"files": {"data.root=pets": "a folder", "own.yaml": "4567"}},
            "expected what own.yaml names to be the same on every machine; found another one on",
        ),
        (
            {"files": {"own.yaml": "0123"}},
            "expected what data.root=pets names to be the same on every machine; found nothing on",
        ),
    ],
)
def test_a_machine_that_differs_is_named_in_one_line(
    change: dict[str, object], message: str
) -> None:
    other = dataclasses.replace(HERE, machine="there", **change)  # type: ignore[arg-type]
    with pytest.raises(UsageError) as caught:
        require_alike([HERE, other], HERE, PLACE)
    assert str(caught.value).startswith(f"engine: {message}")
    assert "there" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("address", ["", "ray://head:10001", "http://head"])
def test_a_client_of_a_cluster_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="RAY_ADDRESS: expected host:port"):
        require_address(address, "RAY_ADDRESS")
    require_address("head:6379", "RAY_ADDRESS")
    require_address("auto", "RAY_ADDRESS")
