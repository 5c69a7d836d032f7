"""The regression check: planted regressions are found in realistic samples, noise is not."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest

from src.compare import regression
from src.compare.finding import Finding
from src.errors import UsageError
from src.run.reading import convert
from src.run.results import Results
from tests.report.planted import FAILED, latency, of_version_1, results, row

LEVELS = {"eager": 0.016, "torchscript": 0.012, "onnx_fp32": 0.005, "onnx_int8": 0.002}
PROCESSES, ROUNDS = 16, 4  # of benchmark=thorough, and in each process


def measurement(seed: int, **slower: float) -> dict[str, Any]:
    """A measurement of four files, some of them so many times slower than usual.

    The machine is up to 1.3 times slower in one session than in another, has phases in which all
    is slower by up to a third for some rounds, each process is its own, the baseline's most of
    all, and a call now and then is interrupted.
    """
    generator = np.random.default_rng(seed)
    session = generator.uniform(1, 1.3)
    count = PROCESSES * ROUNDS
    phase = np.where(generator.random(count) < 0.25, generator.uniform(1.1, 1.35), 1.0)
    rows = []
    for name, level in LEVELS.items():
        restless = 0.014 if name == "eager" else 0.011
        processes = np.exp(generator.normal(0, restless, PROCESSES))
        seconds = {}
        for number in range(count):
            process = processes[number // ROUNDS]
            usual = level * slower.get(name, 1) * session * process * phase[number]
            calls = max(4, int(0.1 / usual))
            noise = np.exp(generator.normal(0, 0.03, calls))
            spikes = np.where(generator.random(calls) < 0.02, 2.0, 1.0)
            seconds[str(number)] = [float(value) for value in usual * noise * spikes]
        p50 = float(np.median(np.concatenate(list(seconds.values()))))
        process_of_round = {number: int(number) // ROUNDS for number in seconds}
        cell = latency(1, p50, seconds=seconds)
        rows.append(
            row(
                name,
                latency=[cell | {"process_of_round": process_of_round, "processes": PROCESSES}],
            )
        )
    return results(*rows)


def compared(
    old: dict[str, Any],
    new: dict[str, Any],
    *,
    max_slowdown: float | None,
    max_drop: float | None,
    clock: bool = False,
) -> list[Finding]:
    return regression.compare(
        convert(old, Results),
        convert(new, Results),
        max_slowdown=max_slowdown,
        max_drop=max_drop,
        clock=clock,
    )


def outcomes(old: dict[str, Any], new: dict[str, Any], **options: Any) -> dict[str, str]:
    findings = compared(old, new, **{"max_slowdown": 0.05, "max_drop": None, **options})
    return {entry.format: entry.outcome for entry in findings}


@pytest.mark.parametrize("seed", range(20))
def test_the_same_files_measured_again_have_not_regressed(seed: int) -> None:
    findings = outcomes(measurement(2 * seed), measurement(2 * seed + 1))
    assert "regressed" not in findings.values()


@pytest.mark.parametrize("name", ["eager", "onnx_int8"])
@pytest.mark.parametrize("seed", range(10))
def test_a_file_that_takes_a_tenth_longer_is_caught_and_alone(seed: int, name: str) -> None:
    findings = outcomes(measurement(2 * seed), measurement(2 * seed + 1, **{name: 1.10}))
    assert [entry for entry in findings if findings[entry] == "regressed"] == [name]


def test_a_slowdown_of_all_but_the_baseline_is_caught_if_the_clock_agrees() -> None:
    slower = dict.fromkeys(["torchscript", "onnx_fp32", "onnx_int8"], 1.2)
    findings = outcomes(measurement(1), same_hour(measurement(1), slower))
    assert [name for name in findings if findings[name] == "regressed"] == list(slower)


def same_hour(measured: dict[str, Any], slower: dict[str, float]) -> dict[str, Any]:
    changed = copy.deepcopy(measured)
    for entry in changed["rows"]:
        for cell in entry["latency"]:
            times = slower.get(entry["format"], 1.0)
            cell["seconds"] = {
                number: [times * value for value in seconds]
                for number, seconds in cell["seconds"].items()
            }
    return changed


def test_a_slower_machine_is_no_regression_unless_the_clock_is_trusted() -> None:
    old = measurement(3)
    new = same_hour(old, dict.fromkeys(LEVELS, 1.2))
    assert set(outcomes(old, new).values()) == {"ok"}
    assert set(outcomes(old, new, clock=True).values()) == {"regressed"}


def test_a_slowdown_that_is_not_shown_is_inconclusive_and_told() -> None:
    old, new = measurement(5), measurement(5)
    for measured in (old, new):  # two processes, which tell next to nothing
        for entry in measured["rows"]:
            cell = entry["latency"][0]
            cell |= {"processes": 2, "speedup": None}
            for name in ("seconds", "process_of_round"):
                cell[name] = {number: cell[name][number] for number in "0145"}
    findings = compared(old, same_hour(new, {"onnx_int8": 1.07}), max_slowdown=0.05, max_drop=None)
    (unsure,) = [entry for entry in findings if entry.outcome == "inconclusive"]
    assert unsure.format == "onnx_int8"
    assert "benchmark=thorough" in str(unsure)


def test_of_measurements_in_one_process_only_a_gross_slowdown_is_shown() -> None:
    old = measurement(5) | {"schema_version": 1}
    for entry in old["rows"]:
        for cell in entry["latency"]:
            del cell["process_of_round"], cell["processes"]  # as in version 1 of the file
    findings = {
        times: outcomes(old, same_hour(old, {"onnx_int8": times}))["onnx_int8"]
        for times in (1.0, 1.3, 2.5)
    }
    assert findings == {1.0: "ok", 1.3: "inconclusive", 2.5: "regressed"}


def test_with_only_the_baseline_in_common_the_baseline_decides() -> None:
    def pair(measured: dict[str, Any]) -> dict[str, Any]:
        measured["rows"] = [it for it in measured["rows"] if it["format"] in {"eager", "onnx_int8"}]
        return measured

    old = pair(measurement(7))
    assert outcomes(old, same_hour(old, {"onnx_int8": 1.2}))["onnx_int8"] == "regressed"
    assert outcomes(old, same_hour(old, {"eager": 1.2, "onnx_int8": 1.2}))["onnx_int8"] == "ok"


def test_a_row_without_figures_any_more_has_regressed() -> None:
    old = measurement(1)
    new = copy.deepcopy(old)
    new["rows"][3] = row("onnx_int8", **FAILED)
    del new["rows"][2]
    findings = compared(old, new, max_slowdown=None, max_drop=None)
    assert [(entry.outcome, entry.format) for entry in findings] == [
        ("regressed", "onnx_fp32"),
        ("regressed", "onnx_int8"),
    ]
    assert "it <b>broke</b>" in str(findings[1])


def test_latencies_of_two_machines_are_not_compared() -> None:
    old, new = measurement(1), measurement(2)
    new["environment"]["threads"] = 4
    with pytest.raises(UsageError, match=r"--max-slowdown: .* 2 threads; NEW on a CPU, 4 threads"):
        outcomes(old, new)
    assert set(outcomes(old, new, max_slowdown=None, max_drop=0.005).values()) == {"ok"}


def at_batches(measured: dict[str, Any], *sizes: int, only: str = "") -> dict[str, Any]:
    """The same measurement at other batch sizes; of one row alone if it is named."""
    changed = copy.deepcopy(measured)
    for entry in changed["rows"]:
        if only in {"", entry["format"]}:
            [cell] = entry["latency"]
            entry["latency"] = [cell | {"batch_size": size} for size in sizes]
    return changed


def test_measurements_without_a_batch_size_in_common_are_refused() -> None:
    old, new = measurement(1), at_batches(same_hour(measurement(1), {"onnx_int8": 3.0}), 8)
    found = r"--max-slowdown: .*found OLD with batch 1; NEW with batch 8"
    with pytest.raises(UsageError, match=found):
        outcomes(old, new, max_drop=0.005)
    untimed = at_batches(new)
    with pytest.raises(UsageError, match=r"OLD with batch 1; NEW with no times"):
        outcomes(old, untimed)
    assert set(outcomes(old, new, max_slowdown=None, max_drop=0.005).values()) == {"ok"}


def test_a_batch_size_that_is_no_longer_timed_is_inconclusive() -> None:
    old = at_batches(measurement(1), 1, 8)
    findings = compared(old, measurement(1), max_slowdown=0.05, max_drop=None)
    kinds = {(entry.outcome, entry.figure) for entry in findings}
    assert kinds == {("ok", "batch 1"), ("inconclusive", "batch 8")}
    assert len(findings) == 2 * len(LEVELS)
    assert "not timed in NEW" in str(findings[0])
    assert {
        entry.figure for entry in compared(measurement(1), old, max_slowdown=0.05, max_drop=None)
    } == {"batch 1"}


def test_a_row_that_is_no_longer_timed_is_inconclusive_and_alone() -> None:
    findings = outcomes(measurement(1), at_batches(measurement(1), only="onnx_int8"))
    assert findings == dict.fromkeys(LEVELS, "ok") | {"onnx_int8": "inconclusive"}


def test_the_times_of_a_row_that_failed_have_a_single_finding() -> None:
    new = measurement(1)
    new["rows"][3] = row("onnx_int8", **FAILED)
    findings = compared(measurement(1), new, max_slowdown=0.05, max_drop=None)
    [only] = [entry for entry in findings if entry.format == "onnx_int8"]
    assert (only.outcome, only.figure) == ("regressed", "no longer measured")


def test_a_device_without_a_time_in_common_is_inconclusive_beside_another() -> None:
    old = measurement(1)
    there = copy.deepcopy(old["rows"])
    for entry in there:
        entry["device"] = "browser"
    old["rows"] += there
    new = copy.deepcopy(old)
    for entry in new["rows"][len(LEVELS) :]:
        entry["latency"][0]["batch_size"] = 8
    findings = compared(old, new, max_slowdown=0.05, max_drop=None)
    kinds = {(entry.device, entry.figure, entry.outcome) for entry in findings}
    assert kinds == {("cpu", "batch 1", "ok"), ("browser", "batch 1", "inconclusive")}


@pytest.mark.parametrize(
    ("top1", "images", "outcome"),
    [
        (0.985, 540, "ok"),
        (0.975, 540, "inconclusive"),
        (0.93, 540, "regressed"),
        (0.975, 10_000, "regressed"),
    ],
)
def test_a_drop_of_accuracy_counts_when_it_is_shown(top1: float, images: int, outcome: str) -> None:
    old = results(row("eager"))
    old["dataset"]["images"] = old["rows"][0]["accuracy"]["images"] = images
    new = json.loads(json.dumps(old))
    new["rows"][0]["accuracy"]["top1"] = top1
    (finding,) = compared(old, new, max_slowdown=None, max_drop=0.005)
    assert (finding.figure, finding.outcome) == ("top-1", outcome)


def with_top1(right: int, images: int) -> dict[str, Any]:
    measured = results(row("eager"))
    measured["dataset"]["images"] = measured["rows"][0]["accuracy"]["images"] = images
    measured["rows"][0]["accuracy"]["top1"] = right / images
    return measured


def test_a_drop_of_exactly_the_limit_is_within_it() -> None:
    from src.cli import quantities

    wrong = []
    for images in (100, 1000, 3000):
        for points in ("0.7", "1", "2.9", "7"):
            lost = round(float(points) * images / 100)
            for right in (images, images - lost, images // 2, images // 3 + lost):
                old, new = with_top1(right, images), with_top1(right - lost, images)
                limit = quantities.percent(points)
                if lost * 1000 == round(10 * float(points)) * images:
                    (finding,) = compared(old, new, max_slowdown=None, max_drop=limit)
                    wrong += [(images, points, right)] * (finding.outcome != "ok")
                (beyond,) = compared(
                    old, with_top1(right - lost - 1, images), max_slowdown=None, max_drop=limit
                )
                wrong += [(images, points, right - 1)] * (beyond.outcome == "ok")
    assert wrong == []


def test_accuracies_on_other_images_are_not_compared() -> None:
    old, new = results(row("eager")), results(row("eager"))
    new["dataset"]["images"] = 1000
    with pytest.raises(UsageError, match=r"--max-drop: .*OLD on 540 test images.*NEW on 1000"):
        compared(old, new, max_slowdown=None, max_drop=0.005)


def scored_on(sha256: str | None) -> dict[str, Any]:
    measured = results(row("eager"))
    measured["dataset"]["sha256"] = sha256
    return measured if sha256 else of_version_1(measured)


def test_different_images_of_the_same_name_and_number_are_not_compared() -> None:
    old, new = scored_on("a" * 64), scored_on("b" * 64)
    with pytest.raises(UsageError, match=r"OLD on .*, set aaaaaaaa; NEW on .*, set bbbbbbbb"):
        compared(old, new, max_slowdown=None, max_drop=0.005)


@pytest.mark.parametrize(
    ("old", "new", "is_noted"),
    [
        ("a" * 64, "a" * 64, False),
        (None, "a" * 64, True),
        ("a" * 64, None, True),
        (None, None, True),
    ],
)
def test_a_finding_says_that_equal_images_are_only_assumed(
    old: str | None, new: str | None, is_noted: bool
) -> None:
    (finding,) = compared(scored_on(old), scored_on(new), max_slowdown=None, max_drop=0.005)
    assert ("is taken from their name and number" in finding.text) is is_noted
