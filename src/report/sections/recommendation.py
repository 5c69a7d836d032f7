"""The recommendation for each device, as a sentence with its reasons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from src.report.sections import speedups, stages
from src.report.sections.rows import accuracy_of
from src.report.sections.speedups import Evidence, at_least, factor
from src.report.sections.verdicts import departures
from src.run import peak_memory
from src.run.accuracy import PairedAccuracy
from src.run.latency import Interval
from src.run.results import Recommendation, Results, Undecided
from src.run.row import Row

_DEVICES = {"cpu": "On this CPU", "cuda": "On this GPU", "browser": "In a web page on this CPU"}
_BETTER = {
    "latency": "faster",
    "throughput": "of a higher throughput",
    "size": "smaller",
    "memory": "smaller in memory",
    "pipeline": "faster from the image file to the label",
}
_SAME_SIZE = 1.05  # times the other: files closer than this are of the same size


def sentences(results: Results) -> Iterator[str]:
    """Yield a sentence for each device that has rows: the file to ship, and why."""
    for device, advice in results.recommendation.items():
        yield _sentence(results, device, advice)


def points(share: float) -> str:
    """Return a share of 1 in percentage points: 0.01 is "1 point"."""
    return f"{100 * share:g} point{'' if share == 0.01 else 's'}"  # noqa: PLR2004


def _sentence(results: Results, device: str, advice: Recommendation) -> str:
    rows = {row.format: row for row in results.rows if row.device == device}
    baseline = results.baseline
    budget = points(results.options.max_accuracy_drop)
    if advice.format is None:
        return _nothing(device, advice, rows.values(), baseline, budget)
    row = rows[advice.format]
    better = _BETTER[advice.objective]
    if advice.format == baseline:
        text = f"{_DEVICES[device]} ship {baseline}: nothing {better} keeps within {budget} of it"
        if advice.holds_here_only:
            text += " on the older processors too"
    else:
        reasons = [*_reasons(row, rows, baseline, advice, budget)]
        text = f"{_DEVICES[device]} ship {advice.format}: {', '.join(reasons)}"
    if row.is_of_twin:
        text += "; it computes another network, made to answer as the trained one does"
    if figures := departures(row):
        text += f"; its probabilities are not {baseline}'s ({figures})"
        if other := advice.with_function:
            text += f", those of {other} are"
    if advice.equals:
        figure = "memory" if advice.objective == "memory" else "speed"
        text += f"; the {figure} of {' and '.join(advice.equals)} is not measurably another"
    for row_here in advice.holds_here_only:
        text += (
            f"; {row_here.format} is {better} and keeps within {budget} here, but is not shown to "
            f"with {' and '.join(row_here.instruction_sets)}"
        )
    for undecided in advice.inconclusive:
        text += f"; {undecided.format} is {better}, but whether it keeps within {budget} is open: "
        text += _enough(undecided)
    return (
        f"{text}.{_choice(row, advice, baseline)}{_basis(results, device, advice)}"
        f"{_dominant_stage(row, advice)}"
    )


def _nothing(
    device: str, advice: Recommendation, rows: Iterable[Row], baseline: str, budget: str
) -> str:
    """Return why no file is recommended: none keeps the budget, or nothing could be compared."""
    if not any(row.verdict for row in rows):
        return f"{_DEVICES[device]} nothing can be recommended: {baseline} was not measured."
    text = f"{_DEVICES[device]} no file is shown to keep within {budget} of {baseline}"
    for undecided in advice.inconclusive:
        text += f"; whether {undecided.format} does is open: {_enough(undecided)}"
    for row in advice.holds_here_only:
        text += f"; {row.format} does here, but not with {' and '.join(row.instruction_sets)}"
    return f"{text}."


def _enough(undecided: Undecided) -> str:
    """Return the number of images that would settle an inconclusive verdict, in words."""
    if undecided.images_needed is None:
        return "no number of images would tell"
    return f"about {undecided.images_needed:,} test images would tell, four times out of five"


def _choice(row: Row, advice: Recommendation, baseline: str) -> str:
    """Return a note on the selection bias if the file was chosen from several.

    Version 1 of ``benchmark.json`` does not store their number.
    """
    if row.format == baseline or (advice.chosen_from or 1) < 2:  # noqa: PLR2004
        return ""
    text = f" It was chosen from {advice.chosen_from} files that keep the budget"
    if advice.objective != "size":  # which has no noise
        text += ", so expect a little less than its figures"
    tested = advice.tested or 0
    if row.verdict == "pass" and tested > 1:
        text += f"; {tested} files were tested, and each test passes a bad file up to 1 time in 20"
    return f"{text}."


def _basis(results: Results, device: str, advice: Recommendation) -> str:
    """Return why the files were compared by this figure, if the images are files.

    Nothing is said of a figure that the user named, nor of a web page, which has no pipeline.
    """
    images = results.image_sample
    is_default = results.options.objective is None and images is not None and images.are_files
    if not is_default or device == "browser":
        return ""
    if advice.objective == "pipeline":
        return (
            " It was chosen by the time from the bytes of an image file to its label, because the "
            "images of this data set are files; benchmark.objective=latency chooses by the call "
            "alone."
        )
    return (
        " It was chosen by the call alone, because not every file that keeps the budget was timed "
        "from an image file to its label."
    )


def _dominant_stage(row: Row, advice: Recommendation) -> str:
    """Return the stage that takes the most time, and what helps, if the pipeline was compared."""
    pipeline = row.pipeline_of()
    if advice.objective != "pipeline" or pipeline is None:
        return ""
    stage, share = stages.dominant(pipeline)
    return (
        f" {share:.0%} of the time from the image file to the label is {stages.NAMES[stage]}: "
        f"{stages.remedy(stage, row)}."
    )


def _reasons(
    row: Row, rows: Mapping[str, Row], name: str, advice: Recommendation, budget: str
) -> Iterator[str]:
    baseline = rows.get(name)
    size = advice.batch_size
    cells = [cell for cell in row.latency if size is None or cell.batch_size == size]
    pipeline = row.pipeline_of()
    if advice.objective == "pipeline" and pipeline and pipeline.whole.speedup:
        yield _speed(pipeline.whole.speedup, "from the image file to the label", name)
    elif cells and cells[0].speedup:
        yield _speed(cells[0].speedup, f"at batch {cells[0].batch_size}", name)
    elif cells and (there := cells[0].speedup_same_runtime):
        yield _speed(there, f"at batch {cells[0].batch_size}", there.format)
    if baseline and row.size_bytes and baseline.size_bytes:
        yield _size(baseline.size_bytes / row.size_bytes)
    if advice.objective == "memory":
        yield from _memory(row, rows, name, size)
    accuracy = accuracy_of(row)
    if row.verdict == "same":
        yield f"the same network: its logits agree on all {accuracy.images:,} test images"
    elif (paired := accuracy.paired) is not None:
        interval = f"[{100 * paired.delta_low:+.1f}, {100 * paired.delta_high:+.1f}]"
        yield (
            f"accuracy {_change(paired, budget)} ({100 * paired.delta_top1:+.1f} "
            f"points {interval}, n={accuracy.images})"
        )


def _size(ratio: float) -> str:
    """Return the size of a file in words; ``ratio`` is the baseline's size over its own."""
    if ratio > _SAME_SIZE:
        return f"{factor(ratio)}x smaller"
    return f"{factor(1 / ratio)}x larger" if 1 / ratio > _SAME_SIZE else "of the same size"


def _speed(gain: Interval, where: str, baseline: str) -> str:
    interval = speedups.interval_of(gain)
    if speedups.is_of_one(gain):
        where += f" in {speedups.ONE_PROCESS}"
    too_few = "too few rounds to tell more"
    match speedups.evidence(gain):
        case Evidence.AT_LEAST:
            speed = f"at least {at_least(gain.low)}x faster than {baseline}"
            return f"{speed} {interval} {where}, {too_few}"
        case Evidence.AT_MOST:
            speed = f"at least {at_least(1 / gain.high)}x slower than {baseline}"
            return f"{speed} {interval} {where}, {too_few}"
        case Evidence.NONE:
            return f"too few rounds to tell its speed from {baseline}'s {interval} {where}"
        case Evidence.FASTER:
            return f"{factor(gain.value)}x faster than {baseline} {interval} {where}"
        case Evidence.SLOWER:
            return f"{factor(1 / gain.value)}x slower than {baseline} {interval} {where}"
        case Evidence.EVEN:
            return f"as fast as {baseline} {interval} {where}"


def _memory(row: Row, rows: Mapping[str, Row], name: str, size: int | None) -> Iterator[str]:
    """Yield the peak memory that was compared beside the baseline's, unless one is not known."""
    measured = [other for other in rows.values() if other.is_ok]
    on_gpu = peak_memory.is_on_gpu(measured, size)
    baseline = rows.get(name)
    peak, baseline_peak = (
        peak_memory.compared(of_row, size, on_gpu=on_gpu) if of_row else None
        for of_row in (row, baseline)
    )
    if peak is not None and baseline_peak is not None:
        needs = f"{peak / 1e6:.0f} MB{' of the GPU' if on_gpu else ''} at the peak"
        yield f"{needs} where {name} takes {baseline_peak / 1e6:.0f} MB"


def _change(paired: PairedAccuracy, budget: str) -> str:
    """Return "changed", "unchanged", or that the change is within the budget."""
    if paired.delta_low > 0 or paired.delta_high < 0:
        return "changed"
    return "unchanged" if paired.delta_top1 == 0 else f"within the budget of {budget}"
