"""The recommendation as sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from src.report.processes import ONE_PROCESS, is_of_one, is_too_wide
from src.report.verdicts import departures

_WHERE = {"cpu": "this CPU", "cuda": "this GPU"}
_BEST = {
    "latency": "faster",
    "throughput": "of a higher throughput",
    "size": "smaller",
    "memory": "smaller in memory",
}


def sentences(results: dict[str, Any]) -> Iterator[str]:
    """What to ship on each device that has rows, and why."""
    for device in results["recommendation"]:
        yield _sentence(results, device)


def _sentence(results: dict[str, Any], device: str) -> str:
    advice = results["recommendation"][device]
    rows = {row["format"]: row for row in results["rows"] if row["device"] == device}
    baseline = results["baseline"]
    budget = points(results["options"]["max_accuracy_drop"])
    if advice["format"] is None:
        return f"On {_WHERE[device]} nothing can be recommended: {baseline} was not measured."
    row = rows[advice["format"]]
    if advice["format"] == baseline:
        better = _BEST[advice["objective"]]
        text = f"On {_WHERE[device]} ship {baseline}: nothing {better} keeps within {budget} of it"
    else:
        reasons = [*_reasons(row, rows.get(baseline), baseline, advice, budget)]
        text = f"On {_WHERE[device]} ship {advice['format']}: {', '.join(reasons)}"
    if figures := departures(row):
        text += f"; its probabilities are not {baseline}'s ({figures})"
        if other := advice.get("with_function"):
            text += f", those of {other} are"
    if advice["equals"]:
        text += f"; the speed of {' and '.join(advice['equals'])} is not measurably another"
    for other in advice["inconclusive"]:
        needed = other["images_needed"]
        enough = (
            f"about {needed:,} test images would tell, four times out of five"
            if needed
            else "no number of images would tell"
        )
        text += (
            f"; {other['format']} is {_BEST[advice['objective']]}, but whether it keeps within "
            f"{budget} is open: {enough}"
        )
    return f"{text}.{_of_several(row, advice, baseline)}"


def _of_several(row: dict[str, Any], advice: dict[str, Any], baseline: str) -> str:
    """That one of several files was chosen, and what that does to its figures.

    A measurement of the first version does not say of how many.
    """
    if row["format"] == baseline or advice.get("chosen_from", 1) < 2:  # noqa: PLR2004
        return ""
    text = f" It was chosen from {advice['chosen_from']} files that keep the budget"
    if advice["objective"] != "size":  # which has no noise
        text += ", so expect a little less than its figures"
    tested = advice.get("tested", 0)
    if row["verdict"] == "pass" and tested > 1:
        text += f"; {tested} files were tested, and each test passes a bad file up to 1 time in 20"
    return f"{text}."


def points(share: float) -> str:
    """A share of 1 as points of percent: 0.01 is "1 point"."""
    return f"{100 * share:g} point{'' if share == 0.01 else 's'}"  # noqa: PLR2004


def _reasons(
    row: dict[str, Any],
    baseline: dict[str, Any] | None,
    name: str,
    advice: dict[str, Any],
    budget: str,
) -> Iterator[str]:
    size = advice["batch_size"]
    cells = [cell for cell in row["latency"] if size is None or cell["batch_size"] == size]
    speedup = cells[0]["speedup"] if cells else None
    if speedup:
        interval = f"[{speedup['low']:.2f}, {speedup['high']:.2f}]"
        at = f"at batch {cells[0]['batch_size']}"
        if is_of_one(speedup):
            at += f" in {ONE_PROCESS}"
        if is_too_wide(speedup) and speedup["low"] > 1:
            yield (
                f"at least {speedup['low']:.1f}x faster than {name} {interval} {at}, "
                "too few rounds to tell more"
            )
        elif is_too_wide(speedup):
            yield f"too few rounds to tell its speed from {name}'s {interval} {at}"
        elif speedup["low"] > 1:
            yield f"{speedup['value']:.1f}x faster than {name} {interval} {at}"
        elif speedup["high"] < 1:
            yield f"{1 / speedup['value']:.1f}x slower than {name} {interval} {at}"
        else:
            yield f"as fast as {name} {interval} {at}"
    if baseline and row["size_bytes"] and baseline["size_bytes"]:
        ratio = baseline["size_bytes"] / row["size_bytes"]
        yield f"{ratio:.1f}x smaller" if ratio > 1.05 else "of the same size"  # noqa: PLR2004
    if advice["objective"] == "memory":
        yield from _memory(cells, baseline, name)
    accuracy = row["accuracy"]
    if row["verdict"] == "same":
        yield f"the same network: its logits agree on all {accuracy['images']:,} test images"
        return
    interval = f"[{100 * accuracy['delta_low']:+.1f}, {100 * accuracy['delta_high']:+.1f}]"
    yield (
        f"accuracy {_change(accuracy, budget)} ({100 * accuracy['delta_top1']:+.1f} "
        f"points {interval}, n={accuracy['images']})"
    )


def _memory(
    cells: list[dict[str, Any]], baseline: dict[str, Any] | None, name: str
) -> Iterator[str]:
    """The peak at the batch size that decided, beside the baseline's."""
    others = (baseline or {"latency": []})["latency"]
    for cell in cells:
        same_size = (other for other in others if other["batch_size"] == cell["batch_size"])
        before: dict[str, Any] = next(same_size, {})
        for key, where in (("peak_device_bytes", " of the GPU"), ("peak_rss_bytes", "")):
            peak, than = cell.get(key), before.get(key)
            if peak is not None and than is not None:
                yield (
                    f"{peak / 1e6:.0f} MB{where} at the peak where {name} takes {than / 1e6:.0f} MB"
                )
                return


def _change(accuracy: dict[str, Any], budget: str) -> str:
    """What the images show: a change, none, or no more than that it is within the budget."""
    if accuracy["delta_low"] > 0 or accuracy["delta_high"] < 0:
        return "changed"
    return "unchanged" if accuracy["delta_top1"] == 0 else f"within the budget of {budget}"
