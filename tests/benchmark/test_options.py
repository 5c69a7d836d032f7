from __future__ import annotations

import dataclasses

import pytest
import yaml

from src.benchmark.options import BenchmarkOptions
from src.errors import UsageError
from tests.conftest import CONFIGS

PRESETS = sorted((CONFIGS / "benchmark").glob("*.yaml"))


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_a_preset_has_only_known_options(path: object) -> None:
    BenchmarkOptions(**yaml.safe_load(path.read_text())["benchmark"])  # type: ignore[attr-defined]


def test_the_default_preset_is_what_a_run_does_by_itself() -> None:
    values = yaml.safe_load((CONFIGS / "benchmark" / "default.yaml").read_text())["benchmark"]
    assert BenchmarkOptions(**values) == BenchmarkOptions()
    assert set(values) <= {field.name for field in dataclasses.fields(BenchmarkOptions)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rounds": 0}, "benchmark.rounds: expected a positive number; found 0"),
        ({"precision": -0.1}, "benchmark.precision: expected a positive number"),
        ({"batch_sizes": []}, "benchmark.batch_sizes: expected at least one size"),
        ({"batch_sizes": [1, 0]}, "benchmark.batch_sizes: expected a positive number; found 0"),
        ({"batch_sizes": [2, 2]}, "benchmark.batch_sizes: expected each size once"),
        (
            {"objective": "pipeline", "pipeline": False},
            "benchmark.objective: expected benchmark.pipeline=true",
        ),
        ({"decoders": ["pillow_draft"]}, "benchmark.decoders: expected pillow"),
        ({"decoders": ["pillow", "pillow"]}, "benchmark.decoders: expected pillow"),
        (
            {"objective": "memory", "memory": False},
            "benchmark.objective: expected benchmark.memory=true",
        ),
        (
            {"load_p99_limit": 0.02},
            "benchmark.load_p99_limit: expected benchmark.load=true beside it",
        ),
        (
            {"load_max_seconds": 30.0},
            "benchmark.load_max_seconds: expected benchmark.load=true beside it",
        ),
        (
            {"load": True, "load_p99_limit": 0.0},
            "benchmark.load_p99_limit: expected seconds from 0.00001 to 1000; found 0.0; for "
            "example benchmark.load_p99_limit=0.02",
        ),
        ({"load": True, "load_max_seconds": 0.0}, "load_max_seconds: expected a positive number"),
        ({"threads": 0}, "benchmark.threads: expected a positive number"),
        ({"max_memory_bytes": -1}, "benchmark.max_memory_bytes: expected a positive number"),
        ({"max_accuracy_drop": 1.5}, "benchmark.max_accuracy_drop: expected a share of 1"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        BenchmarkOptions(**options)
