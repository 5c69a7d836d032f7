"""The choice of the file to ship among the judged files, and its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from src.benchmark.statistics.shares import wilson
from src.report.sections.speedups import ONE_PROCESS
from src.search.limits import (
    accuracy_interval,
    accuracy_verdict,
    assumption,
    breaches,
    excess,
    in_ms,
    latency_verdict,
    milliseconds,
)
from src.search.records import Answer, JudgedFile, Limits, Measured

_Z = 1.96  # standard errors in half a 95 % interval
_MEASURE_IT = (
    "Repeat the command with more processes; it trains nothing again: without benchmark=quick, or "
    "with benchmark.processes=5; for a file that loads slowly, with a larger benchmark.max_seconds."
)


@dataclass(frozen=True)
class _Choice:
    candidate: Measured
    file: JudgedFile

    @property
    def validation_top1(self) -> float:
        return self.candidate.rungs[-1].top1

    @property
    def seconds(self) -> float:
        return self.file.latency.value if self.file.latency else float("inf")


def answer_of(judged: Sequence[Measured], limits: Limits) -> Answer | None:
    """Return the file to ship, or the nearest one; None if no file was measured.

    The networks are compared by their validation accuracy, and only the chosen file is judged by
    the test images. Otherwise the test accuracy of the best of many would be too high. Networks
    within one standard error of the best validation accuracy count as equal (Breiman et al., 1984,
    "Classification and Regression Trees", the one-standard-error rule), and the fastest file of
    them is chosen. With a limit of the accuracy, a less accurate network is chosen only if its
    validation images show that it is over the limit: speed must not cost the limit.

    If the test images do not show that limit for the chosen file, as for an int8 file that lost
    some accuracy, one for which they do goes before it. So does a file whose interval is measured
    before one whose interval is assumed; the answer names that one if its network is better.
    """
    files = [
        _Choice(candidate, file)
        for candidate in judged
        for file in candidate.files
        if file.status == "ok" and file.folder is not None
    ]
    allowed = [choice for choice in files if not breaches(choice.file, limits)]
    if allowed:
        best = max(allowed, key=lambda choice: choice.validation_top1)
        floor = best.validation_top1 - standard_error(best.candidate)
        equals = [choice for choice in allowed if choice.validation_top1 >= floor]
        if limits.top1 is not None:
            equals = _surely_accurate(equals, limits.top1) or [
                choice for choice in equals if choice.validation_top1 == best.validation_top1
            ]
        chosen = min(equals, key=lambda choice: (choice.seconds, -choice.validation_top1))
        shown = _shown(chosen, allowed, limits)
        answer = _answer(shown, limits)
        if shown is chosen or not (better := _better(chosen, shown, limits)):
            return answer
        return msgspec.structs.replace(answer, sentence=f"{answer.sentence} {better}")
    if not files:
        return None
    return _answer(
        min(
            files,
            key=lambda choice: (
                max(1.0, excess(choice.file, limits)),
                not choice.file.keeps_budget,
                -choice.validation_top1,
            ),
        ),
        limits,
    )


def _shown(chosen: _Choice, allowed: Sequence[_Choice], limits: Limits) -> _Choice:
    """Return the chosen file, or one that is shown to keep a limit that it is not shown to keep.

    The test images have to show the accuracy, and the interval of the latency has to be measured.
    Without a file of both the accuracy alone counts. Files of the chosen network come first, then
    those of the best validation accuracy. Without any such file the chosen one stays.
    """
    accurate = [
        choice
        for choice in (chosen, *allowed)
        if accuracy_verdict(choice.file, limits) in {None, "pass"}
    ]
    shown = [choice for choice in accurate if not assumption(choice.file, limits)] or accurate
    if not shown or shown[0] is chosen:
        return chosen
    return min(
        shown,
        key=lambda choice: (
            choice.candidate.key != chosen.candidate.key,
            -choice.validation_top1,
            choice.seconds,
        ),
    )


def _better(chosen: _Choice, shown: _Choice, limits: Limits) -> str:
    """Return what would settle a better network than the shown one; empty if there is none."""
    points = 100 * (chosen.validation_top1 - shown.validation_top1)
    is_accurate = accuracy_verdict(chosen.file, limits) in {None, "pass"}
    if points <= 0 or not is_accurate or not assumption(chosen.file, limits):
        return ""
    return (
        f"{chosen.file.folder} is better by {points:.2f} points on the validation images, but its "
        f"latency was timed in {ONE_PROCESS}. {_MEASURE_IT}"
    )


def _surely_accurate(choices: Sequence[_Choice], top1: float) -> list[_Choice]:
    """Return the choices whose validation images alone show an accuracy."""
    return [
        choice
        for choice in choices
        if choice.candidate.validation_images is not None
        and wilson(choice.validation_top1, choice.candidate.validation_images)[0] >= top1
    ]


def standard_error(candidate: Measured) -> float:
    """Return the standard error of a validation accuracy, from Wilson's interval.

    Unlike the usual formula it is above 0 for an accuracy of 100 %.
    """
    if candidate.validation_images is None:
        return 0.0
    top1 = candidate.rungs[-1].top1
    low, _ = wilson(top1, candidate.validation_images)
    return (top1 - low) / _Z


def is_allowed(candidate: Measured, limits: Limits) -> bool:
    """Return True if a file of a judged candidate may be shipped as far as its costs go."""
    return any(not breaches(file, limits) for file in candidate.files)


def _answer(choice: _Choice, limits: Limits) -> Answer:
    file = choice.file
    reasons, assumed = breaches(file, limits), assumption(file, limits)
    accuracy = accuracy_verdict(file, limits)
    satisfied = not reasons and not assumed and accuracy in {None, "pass"}
    figures = f"{choice.candidate.name} as {file.format} on {file.device}, {describe(file, limits)}"
    if satisfied:
        sentence = f"Ship {file.folder}: {figures}."
    else:
        doubt = accuracy_in_words(file, limits) if accuracy != "pass" else ""
        why = "; ".join(cause for cause in (*reasons, assumed, doubt) if cause)
        sentence = (
            f"No file is shown to keep every limit. The nearest is {file.folder}: {figures}. "
            f"Reason: {why}."
        )
        if assumed:
            sentence += f" {_MEASURE_IT}"
    return Answer(
        key=choice.candidate.key,
        format=file.format,
        device=file.device,
        folder=file.folder or "",
        satisfied=satisfied,
        latency="inconclusive" if assumed else latency_verdict(file.latency, limits),
        accuracy=accuracy,
        sentence=sentence,
    )


def describe(file: JudgedFile, limits: Limits) -> str:
    """Return the figures of a measured file in words."""
    low, high = accuracy_interval(file)
    latency = in_ms(file.latency)
    if limits.latency_s is not None and latency_verdict(file.latency, limits) == "holds":
        latency += f" under {milliseconds(limits.latency_s)} ms"
    accuracy = (
        f"{100 * (file.top1 or 0):.2f} % [{100 * low:.2f}, {100 * high:.2f}] of "
        f"{file.images} test images"
    )
    if limits.top1 is not None:
        accuracy += f", {accuracy_verdict(file, limits)} at {100 * limits.top1:g} %"
    return f"{latency}, {(file.size_bytes or 0) / 1e6:.1f} MB, {accuracy}"


def accuracy_in_words(file: JudgedFile, limits: Limits) -> str:
    """Return why a file is not shown to reach the accuracy; empty if there is no limit."""
    verdict = accuracy_verdict(file, limits)
    if verdict is None or limits.top1 is None:
        return ""
    low, high = accuracy_interval(file)
    if verdict == "fail":
        return f"at most {100 * high:.2f} %, under {100 * limits.top1:g} %"
    return (
        f"{file.images} test images are too few to tell whether the accuracy is "
        f"{100 * limits.top1:g} %: it is {100 * low:.2f} to {100 * high:.2f} %"
    )
