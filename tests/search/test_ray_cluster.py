"""The machines of a cluster that trainings are handed out to, without Ray."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from src.errors import UsageError
from src.search import ray_machines, remote
from src.search.engine import Ended, Training
from src.search.machines import Resources
from src.search.ray_cluster import RayCluster
from src.search.ray_machines import machines_of
from src.search.remote import Place, RemoteResult
from src.search.spread import Doubted, Finished, Lost, Spread
from src.search.trials import Trained, TrialError
from tests.search import planted_ray
from tests.search.planted_ray import PlantedRay
from tests.search.test_product import REQUEST

PLACE = Place(Path("/shared"), Path("search"))
TRAINED = Trained("run", 3, 0.9)


def training(number: int) -> Training:
    return Training(REQUEST, str(number), 3, 12)


def cluster_of(ray: PlantedRay, checked: Sequence[str], reports: list[str]) -> RayCluster:
    machines = [other for other in machines_of(ray) if other.name in checked]
    return RayCluster(
        ray, PLACE, {}, Resources(1, 0), machines, lambda phase, *_: reports.append(phase)
    )


def ended(cluster: RayCluster) -> Finished:
    finished = cluster.wait(1)
    assert finished is not None
    return finished


def test_only_checked_machines_that_are_there_get_trainings() -> None:
    ray = PlantedRay(["a", "b", "new"])
    ray.answer = lambda node, _: RemoteResult(node, 1.0, TRAINED)
    cluster = cluster_of(ray, ["a", "b"], [])
    assert cluster.slots() == 2
    for number in range(2):
        cluster.start(training(number))
    assert {node for node, _ in ray.tasks} == {"a", "b"}
    assert {ended(cluster).machine for _ in range(2)} == {"a", "b"}
    ray.gone.add("a")
    assert cluster.slots() == 1
    cluster.start(training(2))
    assert ray.tasks[-1][0] == "b"
    finished = ended(cluster)
    assert (finished.training, finished.result) == (training(2), TRAINED)


@pytest.mark.parametrize(
    "error",
    [
        planted_ray.RayTaskError(OSError("No space left on device")),
        planted_ray.NodeDiedError("gone"),
        planted_ray.TaskUnschedulableError("gone"),
    ],
)
def test_a_machine_that_cannot_train_gets_no_more_trainings_of_the_rung(error: Exception) -> None:
    ray = PlantedRay(["bad", "good"])
    ray.answer = lambda node, _: error if node == "bad" else RemoteResult(node, 1.0, TRAINED)
    reports: list[str] = []
    cluster = cluster_of(ray, ["bad", "good"], reports)
    assert cluster.slots() == 2
    cluster.start(training(0))
    cluster.start(training(1))
    results = [ended(cluster).result for _ in range(2)]
    assert [result for result in results if not isinstance(result, Lost)] == [TRAINED]
    [report] = reports
    assert report.startswith("no more trainings of this rung on bad: ")
    assert cluster.slots() == 1
    cluster.start(training(0))
    assert ray.tasks[-1][0] == "good"


def test_a_worker_that_died_leaves_its_machine_but_another_one_goes_before() -> None:
    ray = PlantedRay(["a", "b"])
    answers: dict[str, Any] = {
        "a": planted_ray.WorkerCrashedError("killed"),
        "b": planted_ray.RayTaskError(ValueError("odd")),
    }
    ray.answer = lambda node, _: answers[node]
    reports: list[str] = []
    cluster = cluster_of(ray, ["a", "b"], reports)
    assert cluster.slots() == 2
    cluster.start(training(0))
    assert ray.tasks[-1][0] == "a"
    assert ended(cluster).result == Lost("WorkerCrashedError: killed")
    assert cluster.slots() == 2
    cluster.start(training(0))
    assert ray.tasks[-1][0] == "b"
    assert ended(cluster).result == Doubted("ValueError: odd")  # another machine may train it
    answers["a"] = answers["b"]
    assert cluster.slots() == 2
    cluster.start(training(0))
    assert ray.tasks[-1][0] == "a"
    result = ended(cluster).result
    assert isinstance(result, TrialError)
    assert str(result) == "ValueError: odd"
    assert not reports


def all_ended(cluster: RayCluster, count: int) -> dict[str, Trained | TrialError]:
    """Return the results of some trainings by their keys."""

    @contextmanager
    def connect() -> Iterator[RayCluster]:
        yield cluster

    engine = Spread(connect, lambda *_: None, lambda: None)
    ends = engine.train_all(training(number) for number in range(count))
    return {each.training.key: each.result for each in ends if isinstance(each, Ended)}


def test_a_machine_on_which_trainings_fail_at_once_costs_no_candidate() -> None:
    ray = PlantedRay(["bad", "good"])
    ray.answer = lambda node, _: (
        RemoteResult(node, 0.1, failure="lcnet: no such folder")
        if node == "bad"
        else RemoteResult(node, 1.0, TRAINED)
    )
    reports: list[str] = []
    results = all_ended(cluster_of(ray, ["bad", "good"], reports), 5)
    assert results == {str(number): TRAINED for number in range(5)}
    assert reports == [
        f"no more trainings of this rung on bad: {REQUEST.name} failed there, and not on good: "
        "lcnet: no such folder"
    ]
    assert [node for node, _ in ray.tasks].count("bad") < 4  # none after the first comparison


def test_a_training_that_fails_on_two_machines_has_failed() -> None:
    ray = PlantedRay(["a", "b", "c"])
    ray.answer = lambda node, words: (
        RemoteResult(node, 0.1, failure="lcnet: too large")
        if words[1].key == "1"
        else RemoteResult(node, 1.0, TRAINED)
    )
    reports: list[str] = []
    results = all_ended(cluster_of(ray, ["a", "b", "c"], reports), 4)
    assert {key for key, result in results.items() if result == TRAINED} == {"0", "2", "3"}
    assert str(results["1"]) == "lcnet: too large"
    tried = [node for node, words in ray.tasks if words[1].key == "1"]
    assert len(tried) == len(set(tried)) == 2
    assert reports == []


def test_a_training_that_fails_on_the_only_machine_has_failed() -> None:
    ray = PlantedRay(["a", "gone"])
    ray.answer = lambda node, _: RemoteResult(node, 0.1, failure="lcnet: too large")
    ray.gone.add("gone")
    [result] = all_ended(cluster_of(ray, ["a"], []), 1).values()
    assert str(result) == "lcnet: too large"
    assert len(ray.tasks) == 1
    ray.gone.clear()
    cluster = cluster_of(ray, ["a", "gone"], [])
    assert cluster.slots() == 2
    cluster.start(training(0))
    assert isinstance(ended(cluster).result, Doubted)
    ray.gone.add("gone" if ray.tasks[-1][0] == "a" else "a")  # nobody else is left to try it
    assert cluster.slots() == 1
    cluster.start(training(0))
    result = ended(cluster).result
    assert type(result) is TrialError
    assert str(result) == "lcnet: too large"


def test_a_training_that_waits_for_another_machine_ends_with_the_stop() -> None:
    ray = PlantedRay(["a", "b"])
    ray.answer = lambda node, words: (
        RemoteResult(node, 0.1, failure="odd") if words[1].key == "0" else None
    )
    ray.cancel = lambda _: None  # type: ignore[attr-defined]
    cluster = cluster_of(ray, ["a", "b"], [])
    assert cluster.slots() == 2
    cluster.start(training(0))
    cluster.start(training(1))
    assert isinstance(ended(cluster).result, Doubted)
    cluster.start(training(0))
    assert cluster.wait(0) is None  # the other machine trains
    cluster.stop()
    assert ended(cluster) == Finished(training(0), Lost("it was stopped"))
    assert cluster.wait(0) is None


def look_on(
    ray: PlantedRay, folder: Path, answers: dict[str, Any], reports: list[str]
) -> list[str]:
    """Check the machines, and return the names of those that may train."""
    place = Place(Path.cwd(), folder)

    def answer(node: str, words: tuple[Place, str]) -> object:
        return answers[node] if node in answers else remote.look(*words)

    ray.answer = answer
    machines = ray_machines.check(
        ray, machines_of(ray), place, lambda phase, *_: reports.append(phase)
    )
    return [other.name for other in machines]


def test_a_machine_that_does_not_answer_is_left_out_of_the_rung(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_machines, "_ANSWER_SECONDS", 0.2)
    ray = PlantedRay(["good", "silent", "dead", "gone"])
    answers = {
        "silent": None,
        "dead": planted_ray.NodeDiedError("its node died"),
        "gone": planted_ray.TaskUnschedulableError("its node is gone"),
    }
    reports: list[str] = []
    assert look_on(ray, tmp_path, answers, reports) == ["good"]
    assert reports == [
        "no trainings of this rung on silent: no answer within 0 s",
        "no trainings of this rung on dead: NodeDiedError: its node died",
        "no trainings of this rung on gone: TaskUnschedulableError: its node is gone",
    ]
    with pytest.raises(UsageError, match="engine: expected an answer of a machine within"):
        look_on(ray, tmp_path, {**answers, "good": None}, [])
    assert not [*tmp_path.iterdir()]


def test_a_machine_without_the_project_or_with_another_one_ends_the_command(tmp_path: Path) -> None:
    ray = PlantedRay(["good", "bad"])
    answers: dict[str, Any] = {"bad": planted_ray.RayTaskError(ModuleNotFoundError("src"))}
    with pytest.raises(UsageError, match="found on bad: ModuleNotFoundError: src"):
        look_on(ray, tmp_path, answers, [])
    (tmp_path / "token").write_text("1234")
    other = remote.look(Place(Path.cwd(), tmp_path), "token")
    answers = {"bad": dataclasses.replace(other, machine="bad")}  # another folder
    with pytest.raises(UsageError, match="found none, or another one, on bad"):
        look_on(ray, tmp_path, answers, [])
