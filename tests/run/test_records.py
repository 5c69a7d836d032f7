"""Records of a run's files: writing, reading again, and errors that name the position."""

from __future__ import annotations

import copy
import dataclasses
import json
import random
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from src.benchmark.options import BenchmarkOptions
from src.errors import UsageError
from src.run.circumstances import MeasuringOptions
from src.run.folder import Run
from src.run.layout import as_dict
from src.run.manifest import Manifest
from src.run.reading import convert
from src.run.record import InvalidValueError, Record
from src.run.results import Results
from tests.faults.mutation import valid_mutation
from tests.report.planted import (
    FAILED,
    drafted,
    latency,
    of_version_1,
    of_version_2,
    pipeline,
    results,
    row,
)
from tests.report.writers.test_cards import manifest

DETAILS = {
    "recipe": {"calibration": "minmax"},  # the format's own
    "summary": ["one sentence"],
    "within_budget": True,
    "table": {"head": [["recipe", "text"], ["top-1", "share"]], "rows": [["x", 0.5]], "chosen": 0},
}
MEASURED = results(
    row("eager", details=DETAILS, pipeline=[pipeline(), drafted()]),
    row("onnx", latency=[latency(1, 0.01, memory_reason="killed")]),
    row("onnx_fp32", **FAILED, verdict=None),
)
EXPORTED = manifest()
EXPORTED["formats"]["onnx"] |= {"details": DETAILS, "made_from": "abc"}


@pytest.mark.parametrize("seed", range(40))
def test_a_measurement_that_is_written_is_read_again_as_it_was(tmp_path: Path, seed: int) -> None:
    run = Run(tmp_path / "model" / "version_0")
    run.folder.mkdir(parents=True)
    chance = random.Random(seed)
    base = chance.choice([MEASURED, of_version_2(MEASURED), of_version_1(MEASURED)])
    run.benchmark.write_text(json.dumps(valid_mutation(base, chance, Results)))
    measured = run.read_benchmark()
    kept = run.write_benchmark(measured, "a machine")
    assert run.read_benchmark() == measured
    assert json.loads(kept.read_text()) == as_dict(measured)


@pytest.mark.parametrize("seed", range(40))
def test_a_manifest_that_is_written_is_read_again_as_it_was(tmp_path: Path, seed: int) -> None:
    run = Run(tmp_path / "model" / "version_0")
    run.exports.mkdir(parents=True)
    run.manifest.write_text(json.dumps(valid_mutation(EXPORTED, random.Random(seed), Manifest)))
    exported = run.read_manifest()
    run.write_manifest(exported)
    assert run.read_manifest() == exported


def test_a_file_keeps_every_key_that_it_had() -> None:
    for content, kind in ((MEASURED, Results), (EXPORTED, Manifest)):
        written = json.loads(json.dumps(as_dict(convert(content, kind))))
        assert missing_keys(content, written) == []


def missing_keys(before: Any, after: Any, place: str = "") -> list[str]:
    if isinstance(before, list):
        pairs = enumerate(zip(before, after, strict=True))
        return [
            key for at, (one, other) in pairs for key in missing_keys(one, other, f"{place}.{at}")
        ]
    if not isinstance(before, dict):
        return [] if before == after else [place]
    missing = [f"{place}.{name}" for name in before.keys() - after.keys()]
    common = before.keys() & after.keys()
    return missing + [
        key for name in common for key in missing_keys(before[name], after[name], f"{place}.{name}")
    ]


PLACES: dict[str, tuple[type[Record], tuple[Any, ...], Any, str]] = {
    "a share": (Results, ("rows", 0, "accuracy", "top1"), 2, "rows[0].accuracy.top1"),
    "a paired share": (Results, ("rows", 0, "accuracy", "kl"), "x", "rows[0].accuracy.kl"),
    "a memory": (
        Results,
        ("rows", 1, "latency", 0, "peak_rss_bytes"),
        0.5,
        "rows[1].latency[0].peak_rss_bytes",
    ),
    "a sample": (
        Results,
        ("rows", 1, "latency", 0, "seconds", "3"),
        [0],
        "rows[1].latency[0].seconds.3[0]",
    ),
    "the name of a round": (
        Results,
        ("rows", 1, "latency", 0, "seconds", "x"),
        [1],
        "a name in rows[1].latency[0].seconds",
    ),
    "a device": (
        Results,
        ("rows", 0, "device"),
        "tpu",
        "one of cpu, cuda, browser as rows[0].device",
    ),
    "a missing key": (Results, ("environment", "cpu"), ..., "something as environment.cpu"),
    "a table": (
        Results,
        ("rows", 0, "details", "table", "rows", 0, 1),
        "y",
        "rows[0].details.table",
    ),
    "a format": (Manifest, ("formats", "onnx", "precision"), 3, "formats.onnx.precision"),
    "a path": (
        Manifest,
        ("formats", "onnx", "files", 0, "path"),
        "../x",
        "formats.onnx.files[0].path",
    ),
    "half a character": (Manifest, ("formats", "onnx", "usage"), "\ud800", "formats.onnx.usage"),
}


@pytest.mark.parametrize("name", PLACES)
def test_an_error_names_the_file_and_the_position_in_it(tmp_path: Path, name: str) -> None:
    kind, keys, value, expected = PLACES[name]
    content = copy.deepcopy(MEASURED if kind is Results else EXPORTED)
    holder: Any = content
    for key in keys[:-1]:
        holder = holder[key]
    if value is ...:
        del holder[keys[-1]]
    else:
        holder[keys[-1]] = value
    run = Run(tmp_path)
    run.exports.mkdir()
    (run.benchmark if kind is Results else run.manifest).write_text(json.dumps(content))
    file = "benchmark.json" if kind is Results else "manifest.json"
    with pytest.raises(UsageError, match=rf"{file}: expected .*{re.escape(expected)}.*; found "):
        run.read_benchmark() if kind is Results else run.read_manifest()


def test_a_record_that_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    run = Run(tmp_path)
    measured = convert(MEASURED, Results)
    wrong = msgspec.structs.replace(measured, measured_seconds=float("nan"))
    with pytest.raises(InvalidValueError, match="measured_seconds"):
        run.write_benchmark(wrong, "a machine")
    assert not run.benchmark.exists()
    assert not run.measurements.exists()


def test_the_options_of_a_measurement_are_all_kept() -> None:
    names = [field.name for field in dataclasses.fields(BenchmarkOptions)]
    assert sorted(names) == sorted(MeasuringOptions.__struct_fields__)
    assert as_dict(BenchmarkOptions().record()) == dataclasses.asdict(BenchmarkOptions())
