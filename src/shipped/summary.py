"""The printed summary of an exam, in about twelve lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or __package__:  # a part of a package
    from .accuracy import LEAST_SAME, Changes, Drift
    from .exam_files import Exam
    from .terminal import visible
else:  # in the folder of a model
    from accuracy import LEAST_SAME, Changes, Drift
    from exam_files import Exam
    from terminal import visible

Json = dict[str, Any]

WIDE = 1.5  # factor between the ends of an interval that tells nothing


def lines(exam: Exam, drift: Drift, home: Changes, record: Json) -> Iterator[str]:
    """Yield the lines.

    Args:
        exam: the exam.
        drift: distance from the file's own logits at home.
        home: changes from its own answers at home.
        record: the content of ``measurement.json``.
    """
    row, answers = record["rows"][0], record["answers"]
    images = answers["images"]
    of = "" if exam.packed is None else f" of {exam.packed}"
    yield visible(f"exam: {exam.format} of {exam.run}, {images}{of} images of {exam.dataset}")
    yield visible(f"packed on: {_machine(exam.home, exam.runtime)}")
    yield visible(f"here: {_machine(record['environment'], exam.runtime)}")
    is_packed = row["sha256"] == exam.model_files
    yield f"file: {'the bytes that were packed' if is_packed else 'OTHER bytes than were packed'}"
    low, high = 100 * answers["flips_low"], 100 * answers["flips_high"]
    yield (
        f"answers: {home.flips} of {images} flip against those of where it was packed, "
        f"{100 * home.flips / images:.1f} % [{low:.1f}, {high:.1f}]"
    )
    sqnr = "" if drift.sqnr_db is None else f", SQNR {drift.sqnr_db:.0f} dB"
    beyond = drift.beyond_rounding
    rounding = f"beyond float32 rounding for {beyond} images" if beyond else "within rounding"
    yield f"logits: largest difference {drift.largest:.2g}{sqnr}, {rounding}"
    yield (
        f"top-1: {100 * row['accuracy']['top1']:.2f} % here, {100 * answers['top1_home']:.2f} % "
        f"there, {100 * home.delta:+.2f} points [{100 * home.low:+.2f}, {100 * home.high:+.2f}]"
    )
    yield f"verdict: {_verdict(exam, row, record['problems'])}"
    yield from _figures(record) if row["latency"] else ["speed and memory: not measured"]
    yield _conclusion(exam, drift, home, record)


def _figures(record: Json) -> Iterator[str]:
    """Yield the lines on speed and memory."""
    row = record["rows"][0]
    yield _latency(record)
    if record["pipeline"]:
        yield _pipeline(record["pipeline"])
    else:
        yield visible(f"from file to label: not timed, {row['pipeline_reason']}")
    yield _same_file(record)
    peak = row["latency"][0]["peak_rss_bytes"]
    yield f"memory: {'not known' if peak is None else f'{peak / 1e6:.0f} MB at most'}"


def _conclusion(exam: Exam, drift: Drift, home: Changes, record: Json) -> str:
    if record["problems"]:
        return "result: DOES NOT HOLD here"
    if home.flips and drift.beyond_rounding:
        return (
            f"result: {home.flips} answers flip here; no probability differs by more than "
            f"{exam.tolerance:g}, as another processor explains"
        )
    if home.flips:
        return f"result: {home.flips} answers flip here, within what rounding explains"
    if len(exam.labels) < LEAST_SAME:
        return "result: no answer flips here, on too few images to tell more"
    if drift.beyond_rounding:
        return "result: holds here: no answer flips, though this machine rounds otherwise"
    there = f"; the measured verdict {exam.measured_verdict!r} is valid here"
    return f"result: holds here{there if exam.measured_verdict else ''}"


def _machine(description: Json, runtime: str) -> str:
    sets = ", ".join(description["isa"])
    version = description["packages"].get(runtime, "of unknown version")
    threads = description["threads"]
    return (
        f"{description['cpu']}{f' ({sets})' if sets else ''}, "
        f"{threads} thread{'' if threads == 1 else 's'}, {runtime} {version}"
    )


def _verdict(exam: Exam, row: Json, problems: Sequence[str]) -> str:
    points = 100 * exam.max_drop
    budget = f"at most {points:g} point{'s' * (points != 1)} below the trained network"
    if row["verdict"] is None:
        return "not known, for the answers of the trained network were not packed"
    if row["verdict"] == "same":
        return "same network, by its logits on every image"
    if row["verdict"] == "fail" and not problems:
        there = exam.measured_verdict or "without a verdict"
        return (
            f"fail on these images ({budget}); the answers are those of home, {there} there on all "
            "test images"
        )
    needed = row["accuracy"]["images_needed"]
    more = f"; about {needed} images would settle it" if needed else ""
    return f"{row['verdict']} ({budget}{more})"


def _latency(record: Json) -> str:
    cell, call = record["rows"][0]["latency"][0], record["call_seconds"]
    shares = ", ".join(f"{name} {_ms(cell[f'{name}_s'])}" for name in ("p50", "p90", "p99"))
    marks = "".join(f" ~{cause}" for cause in cell["unstable"])
    if call is None:
        return f"latency: {shares}{marks}"
    low, high = 1e3 * call["low"], 1e3 * call["high"]
    # The interval is of the value before it, which is not the median of all calls.
    return (
        f"latency: {_ms(call['value'])} [{low:.2f}, {high:.2f}] over {cell['processes']} "
        f"processes; all calls {shares}{marks}"
    )


def _pipeline(pipeline: Json) -> str:
    stages = ", ".join(
        f"{name} {1e3 * stage['mean_s']:.2f}" for name, stage in pipeline["stages"].items()
    )
    return f"from file to label: p50 {_ms(pipeline['whole']['p50_s'])} ({stages})"


def _same_file(record: Json) -> str:
    ratio = record["same_file_twice"]
    if ratio is None:
        return "the same file twice: too few rounds"
    if not ratio["low"] <= 1 <= ratio["high"]:
        told = "NOT 1: the machine is not steady"
    elif ratio["high"] > WIDE * ratio["low"]:
        told = "too few rounds to tell"
    else:
        told = "as it must be"
    return (
        f"the same file twice: {ratio['value']:.3f} times [{ratio['low']:.3f}, "
        f"{ratio['high']:.3f}], {told}"
    )


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1e3 * seconds:.2f} ms"
