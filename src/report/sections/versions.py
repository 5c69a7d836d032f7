"""A comparison of two versions of a runtime in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from src.report.sections import speedups
from src.report.sections.recommendation import points
from src.run.version_comparison import ComparedFile, Outcome, VersionComparison

_SPEEDS: dict[Outcome, str] = {
    "ok": "not slower by more than {slowdown:.0%}",
    "regressed": "slower by more than {slowdown:.0%}",
    "inconclusive": "too uncertain to tell whether it is slower by more than {slowdown:.0%}",
}
_ANSWERS: dict[Outcome, str] = {
    "ok": "within {drop}",
    "regressed": "beyond {drop}",
    "inconclusive": "too few images to tell whether that is within {drop}",
}


def sentences(comparison: VersionComparison) -> Iterator[str]:
    """Yield a sentence for each file."""
    for file in comparison.files:
        yield _sentence(comparison, file)


def _sentence(comparison: VersionComparison, file: ComparedFile) -> str:
    outcome = _outcome(file)
    name = f"{outcome}: {file.format} under {comparison.package} {comparison.there}"
    if file.accuracy is None or file.accuracy.paired is None or file.here is None:
        return f"{name}: {file.status} ({file.reason})"
    speed, paired = file.speed, file.accuracy.paired
    ratio = (
        f"{speedups.factor(speed.value, 2)} {speedups.interval_of(speed)} times as fast as"
        if speed
        else "too few rounds to compare its speed with"
    )
    told = _SPEEDS[file.speed_outcome or "inconclusive"].format(slowdown=comparison.max_slowdown)
    drop = points(comparison.max_accuracy_drop)
    answers = _ANSWERS[file.answers_outcome or "inconclusive"].format(drop=drop)
    if file.verdict == "same":
        answers = "the same network"
    return (
        f"{name}: {ratio} under {comparison.here} at batch {file.here.batch_size} ({told}); "
        f"{file.changed} of {file.accuracy.images:,} answers change, "
        f"{100 * paired.delta_top1:+.1f} points "
        f"[{100 * paired.delta_low:+.1f}, {100 * paired.delta_high:+.1f}] ({answers})"
    )


def _outcome(file: ComparedFile) -> str:
    if file.status != "ok":
        return file.status
    if file.regressed:
        return "regressed"
    is_open = "inconclusive" in {file.speed_outcome, file.answers_outcome}
    return "inconclusive" if is_open else "ok"
