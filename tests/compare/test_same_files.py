"""The guard on pipelines compares by the clock only what was timed on the same image files."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from src.compare.finding import Finding
from tests.compare.test_regression import compared
from tests.report.planted import latency, pipeline, results, row

WHOLE = "from the image file to the label"
INFER = {"eager": 0.004, "torchscript": 0.003, "onnx_fp32": 0.002, "onnx_int8": 0.001}
DECODE = 0.006  # of the median file
SPREAD = 0.4  # of the logarithm of the time to decode
FILES, OF_ROUND, PROCESSES, CALL_ROUNDS = 512, 4, 5, 20
SEEDS = range(40)
# With 5 % of false alarms, 40 pairs without a change give more than this one time in 100.
MOST_FALSE = 6


def measured(
    seed: int,
    rounds: int,
    *,
    rows: int = 4,
    decoder: float = 1.0,
    known: bool = True,
    device: str = "cpu",
) -> dict[str, Any]:
    """A measurement of pipelines, round n on the files 4n to 4n+3 of one sample.

    Args:
        seed: of the noise, and of an hour in which the machine is up to 1.3 times slower.
        rounds: of the pipelines, in five processes.
        rows: number of rows.
        decoder: factor of the time of decoding.
        known: the measurement has the files of each round.
        device: of the rows.
    """
    generator = np.random.default_rng(seed)
    hour = generator.uniform(1, 1.3)
    decode = DECODE * decoder * np.exp(np.random.default_rng(7).normal(0, SPREAD, FILES))
    process_of = {
        int(number): process
        for process, numbers in enumerate(np.array_split(np.arange(rounds), PROCESSES))
        for number in numbers
    }
    drift = np.exp(generator.normal(0, 0.02, rounds))
    drift_of_calls = np.exp(generator.normal(0, 0.02, CALL_ROUNDS))
    entries = []
    for name in list(INFER)[:rows]:
        own = np.exp(generator.normal(0, 0.01, PROCESSES))
        times, files = {}, {}
        for number in range(rounds):
            chosen = [(OF_ROUND * number + index) % FILES for index in range(OF_ROUND)]
            speed = hour * own[process_of[number]] * drift[number]
            calls = np.tile(decode[chosen] + INFER[name], 2)
            noise = np.exp(generator.normal(0, 0.01, len(calls)))
            times[str(number)] = [float(value) for value in calls * speed * noise]
            files[str(number)] = chosen
        whole = latency(1, 0.01, seconds=times) | {
            "process_of_round": {number: process_of[int(number)] for number in times},
            "processes": PROCESSES,
            "speedup": None,
        }
        timed = pipeline(files_of_round=files if known else None)
        timed["whole"] = {key: whole[key] for key in timed["whole"]}
        for stage in timed["stages"].values():
            stage["seconds"] = {number: [0.001] * len(calls) for number, calls in times.items()}
        processes = [number * PROCESSES // CALL_ROUNDS for number in range(CALL_ROUNDS)]
        calls_of = {
            str(number): [float(INFER[name] * hour * own[process] * drift_of_calls[number])]
            for number, process in enumerate(processes)
        }
        cell = latency(1, INFER[name], seconds=calls_of) | {
            "process_of_round": {str(number): process for number, process in enumerate(processes)},
            "processes": PROCESSES,
            "speedup": None,
        }
        entries.append(row(name, pipeline=[timed], latency=[cell], device=device))
    content = results(*entries)
    content["options"]["objective"] = None
    content["image_sample"]["images"] = min(OF_ROUND * rounds, FILES)  # those that were timed
    return content


def findings(old: dict[str, Any], new: dict[str, Any], *, clock: bool = False) -> list[Finding]:
    every = compared(old, new, max_slowdown=0.05, max_drop=None, clock=clock)
    return [finding for finding in every if finding.figure == WHOLE]


def pairs_with_a_regression(pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> int:
    return sum(any(it.outcome == "regressed" for it in findings(*pair)) for pair in pairs)


@pytest.mark.parametrize(
    ("rounds", "rows", "known"),
    [(rounds, rows, True) for rounds in ((6, 6), (6, 8)) for rows in (1, 4)]
    + [((15, 6), 2, True), ((6, 6), 1, False), ((6, 8), 4, False)]
    + [
        pytest.param(rounds, rows, known, marks=pytest.mark.slow)
        for rounds, rows, known in (
            *(((6, 15), rows, True) for rows in (1, 4)),
            *(((12, 11), rows, True) for rows in (1, 4)),
            ((6, 6), 4, False),
        )
    ],
)
def test_other_numbers_of_rounds_are_no_regression(
    rounds: tuple[int, int], rows: int, known: bool
) -> None:
    before, after = rounds
    pairs = [
        (
            measured(2 * seed, before, rows=rows, known=known),
            measured(2 * seed + 1, after, rows=rows, known=known),
        )
        for seed in SEEDS
    ]
    assert pairs_with_a_regression(pairs) <= MOST_FALSE


@pytest.mark.parametrize(("rows", "decoder"), [(1, 1.5), (2, 1.5), (4, 1.2)])
@pytest.mark.parametrize("rounds", [(10, 10), (20, 20), (20, 17)])
def test_a_slower_decoder_is_found_where_the_files_are_the_same(
    rounds: tuple[int, int], rows: int, decoder: float
) -> None:
    before, after = rounds
    found = pairs_with_a_regression(
        [
            (
                measured(2 * seed, before, rows=rows),
                measured(2 * seed + 1, after, rows=rows, decoder=decoder),
            )
            for seed in SEEDS[:10]
        ]
    )
    assert found >= 8


@pytest.mark.parametrize("rows", [1, 2, 4])
def test_rounds_whose_files_are_not_known_are_not_compared_by_the_clock(rows: int) -> None:
    old, new = measured(1, 10, rows=rows, known=False), measured(2, 12, rows=rows, decoder=2.0)
    for finding in findings(old, new, clock=True):
        assert "their image files are not known, and the rounds are not the same" in finding.text
        assert "% [" not in finding.text or "by the clock," not in finding.text
        assert "over the calls" not in finding.text
        assert finding.outcome == ("inconclusive" if rows == 1 else finding.outcome)
    same = measured(2, 10, rows=rows, decoder=2.0, known=False)
    assert {it.outcome for it in findings(old, same)} == {"regressed"}


def test_without_common_files_nothing_is_compared_by_the_clock() -> None:
    old, new = measured(1, 10, rows=1), measured(2, 10, rows=1)
    (timed,) = new["rows"][0]["pipeline"]
    for number, files in timed["files_of_round"].items():
        timed["files_of_round"][number] = [FILES + file for file in files]
    (finding,) = findings(old, new)
    assert finding.outcome == "inconclusive"
    assert (
        finding.text == "not by the clock: fewer than two rounds have the same image files in both"
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda new: new["image_sample"].update(images=8), "(images 40 and 8)"),
        (lambda new: new["image_sample"].update(bytes_p50=99), "(bytes_p50 "),
        (lambda new: new["image_sample"].update(split="val"), "(split test and val)"),
        (
            lambda new: new["options"].update(pipeline_images=32),
            "(benchmark.pipeline_images 64 and 32)",
        ),
        (lambda new: new["dataset"].update(sha256="other"), "image files of two test sets"),
    ],
)
@pytest.mark.parametrize("clock", [True, False])
def test_other_image_files_are_not_compared(change: Any, reason: str, clock: bool) -> None:
    old, new = measured(1, 10), measured(2, 10, decoder=2.0)
    old["dataset"]["sha256"] = new["dataset"]["sha256"] = "same"
    old["options"]["pipeline_images"] = new["options"]["pipeline_images"] = 64
    assert {it.outcome for it in findings(old, new)} == {"regressed"}
    change(new)
    told = findings(old, new, clock=clock)
    assert len(told) == len(INFER)
    for finding in told:
        assert finding.outcome == "inconclusive"
        assert finding.text.startswith("OLD and NEW timed ")
        assert reason in finding.text


@pytest.mark.parametrize("limit", [None, 32_000_000])
def test_fewer_rounds_of_a_slower_decoder_time_fewer_files_of_the_same_sample(
    limit: int | None,
) -> None:
    old, new = measured(1, 20), measured(2, 17, decoder=2.0)
    for content in (old, new):
        content["dataset"]["sha256"] = "same"
        content["options"]["pipeline_images"] = 512
    new["image_sample"].update(limited_to_bytes=limit, bytes_p50=99, kinds={"PNG": 68})
    assert {it.outcome for it in findings(old, new)} == {"regressed"}


def test_images_that_another_pillow_encoded_are_the_same() -> None:
    old, new = measured(1, 10), measured(2, 10, decoder=2.0)
    for content in (old, new):
        content["image_sample"]["are_files"] = False
        content["options"]["objective"] = "pipeline"
    new["image_sample"]["bytes_p50"] += 1
    assert {it.outcome for it in findings(old, new)} == {"regressed"}


def with_gpu(cpu: dict[str, Any], gpu: dict[str, Any]) -> dict[str, Any]:
    """The rows of both."""
    return {**cpu, "rows": [*cpu["rows"], *gpu["rows"]]}


def slower(content: dict[str, Any], whole: float, calls: float) -> dict[str, Any]:
    """The same with other times of the pipelines and of the calls."""
    for entry in content["rows"]:
        for cell, factor in ((entry["pipeline"][0]["whole"], whole), (entry["latency"][0], calls)):
            cell["seconds"] = {
                number: [factor * value for value in values]
                for number, values in cell["seconds"].items()
            }
    return content


def test_a_slower_hour_of_the_processor_is_no_slower_decoder_of_a_gpu() -> None:
    old, new = (
        with_gpu(
            slower(measured(1, 10), factor, factor),
            slower(measured(1, 10, device="cuda"), factor, 1.0),
        )
        for factor in (1.0, 1.15)
    )
    told = findings(old, new)
    assert {it.device for it in told} == {"cpu", "cuda"}
    assert {it.outcome for it in told} == {"ok"}
    # The decoder alone.
    new = with_gpu(
        slower(measured(1, 10), 1.15, 1.0), slower(measured(1, 10, device="cuda"), 1.15, 1.0)
    )
    assert {it.outcome for it in findings(old, new)} == {"regressed"}


def test_without_rows_of_the_processor_only_the_trusted_clock_shows_a_slower_decoder() -> None:
    old, new = (slower(measured(1, 10, device="cuda"), factor, 1.0) for factor in (1.0, 1.15))
    told = findings(old, new)
    assert {it.outcome for it in told} == {"ok"}
    assert not any("over the calls" in it.text for it in told)
    assert {it.outcome for it in findings(old, new, clock=True)} == {"regressed"}
