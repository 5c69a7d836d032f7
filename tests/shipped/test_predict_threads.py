"""A bundle takes no more threads than its container has cores, whatever the runtime would take."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from src.shipped import machine, predict, predict_threads
from src.shipped.predict import Model
from tests.golden.pixels import GOLDEN
from tests.support import identity_models
from tests.support.bundle_program import described

RULE = GOLDEN.rules[0]
V2, V1 = "cpu.max", "cpu/cpu.cfs_quota_us"


def fake(
    patch: pytest.MonkeyPatch, root: Path, cores: int, affinity: set[int], limits: dict[str, str]
) -> None:
    """Let this process run on a machine of so many cores, within limits."""
    for name, content in limits.items():
        path = root / "sys" / "fs" / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    patch.setattr(machine, "ROOT", root)
    patch.setattr(os, "cpu_count", lambda: cores)
    patch.setattr(os, "sched_getaffinity", lambda _: affinity, raising=False)


def told_threads(patch: pytest.MonkeyPatch) -> list[int | None]:
    """Let no model be opened; return a list that gets the threads that a runtime is told."""
    told: list[int | None] = []

    class Runtime:
        metadata = identity_models.metadata(RULE)

    def open_runtime(_: Path, __: object, number: int | None) -> Runtime:
        told.append(number)
        return Runtime()

    patch.setattr(predict, "open_runtime", open_runtime)
    return told


@pytest.mark.parametrize(
    ("cores", "affinity", "limits", "threads"),
    [
        pytest.param(8, set(range(8)), {}, None, id="a machine of its own"),
        pytest.param(8, set(range(8)), {V2: "max 100000"}, None, id="a container without limits"),
        pytest.param(64, set(range(64)), {V2: "200000 100000"}, 2, id="docker run --cpus=2"),
        pytest.param(64, set(range(64)), {V2: "150000 100000"}, 2, id="1500m in Kubernetes"),
        pytest.param(8, set(range(8)), {V2: "5000 100000"}, 1, id="a share of a core"),
        pytest.param(
            8,
            set(range(8)),
            {V1: "400000", "cpu/cpu.cfs_period_us": "100000"},
            4,
            id="a quota of version 1",
        ),
        pytest.param(8, {0, 1}, {}, 2, id="docker run --cpuset-cpus=0-1, taskset"),
        pytest.param(8, {4, 5, 6, 7}, {V2: "200000 100000"}, 2, id="a cpuset and a quota"),
        pytest.param(2, {3, 7}, {}, 2, id="LXC, which shows its cores as 0 and 1"),
        pytest.param(1, {0}, {}, None, id="one core"),
    ],
)
def test_the_threads_of_a_container_are_those_of_its_limits(
    cores: int,
    affinity: set[int],
    limits: dict[str, str],
    threads: int | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake(monkeypatch, tmp_path / "root", cores, affinity, limits)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert predict_threads.default_threads(None) == threads
    told = told_threads(monkeypatch)
    (tmp_path / "model.onnx").write_bytes(b"not opened")
    folder = described(tmp_path / "model.onnx", RULE)
    Model(folder)
    Model(folder, threads=3)
    assert told == [threads, 3]


@pytest.mark.parametrize(
    ("measured", "asked", "threads"),
    [
        (2, None, 2),  # the exam takes as many
        (16, None, 4),
        (None, "1", 1),
        (None, "3,2", 3),
        (2, "8", 2),
        (None, "0", 4),
        (None, "many", 4),
        (None, "", 4),
    ],
)
def test_a_limited_process_takes_no_more_than_was_measured_or_asked_for(
    measured: int | None,
    asked: str | None,
    threads: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake(monkeypatch, tmp_path, 64, set(range(64)), {V2: "400000 100000"})
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if asked is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert predict_threads.default_threads(measured) == threads


def test_the_measured_threads_of_a_limited_model_are_those_of_its_description(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(monkeypatch, tmp_path / "root", 64, set(range(64)), {V2: "400000 100000"})
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    told = told_threads(monkeypatch)
    (tmp_path / "model.onnx").write_bytes(b"not opened")
    Model(described(tmp_path / "model.onnx", RULE, threads=2))
    assert told == [2]


def test_a_system_without_affinity_leaves_the_number_to_the_runtime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "ROOT", tmp_path)  # as macOS and Windows, which have no cgroups
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    for cores in (1, 8, None):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        assert predict_threads.default_threads(None) is None


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="takes two cores",
)
def test_onnxruntime_on_one_of_the_cores_has_one_thread_and_prints_no_error(
    tmp_path: Path,
) -> None:
    """Left to itself it ties a thread to each core of the machine, and fails for the others."""
    folder = described(identity_models.onnx_file(RULE, tmp_path / "model"), RULE)
    program = f"""
import os, sys
os.sched_setaffinity(0, {{max(os.sched_getaffinity(0))}})
sys.path.insert(0, {str(predict_threads.HERE)!r})
import predict
from pathlib import Path
model = predict.Model(Path({str(folder)!r}))
print(model._runtime._call._session.get_session_options().intra_op_num_threads)
"""
    ended = subprocess.run(
        [sys.executable, "-B", "-c", program], capture_output=True, text=True, check=False
    )
    assert ended.stdout == "1\n", ended.stderr
    assert "pthread_setaffinity_np" not in ended.stderr
