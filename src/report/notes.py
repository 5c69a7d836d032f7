"""What the figures of a page mean, and where they were measured: said once for every page."""

from __future__ import annotations

from typing import Any

from src.report.advice import points
from src.report.table import MISSING

ANSWERS = (
    "Lost and gained: images that only the baseline, or only this row, has right. McNemar p: "
    "exact, two-sided. ECE: expected calibration error, 15 bins.",
    "SQNR: the baseline's logits over their difference. KL: of the row's probabilities from "
    "the baseline's.",
)
MORE = (
    f"{MISSING}: not measured here, or too few samples.",
    "Peak memory: of a process of its own, which loads the file and calls it at this batch size "
    "alone, above that of one that has loaded nothing yet.",
    "Images/s: done in the time that went by, copies included.",
    "Energy: of the whole processor package or GPU, where the system lets it be read.",
    "Ran in: the share of time by the precision of the operators that really ran, batch 1.",
)


def about(results: dict[str, Any]) -> str:
    """The network in a line."""
    height, width = results["input_shape"][1:]
    return (
        f"{results['model']}: {results['parameters'] / 1e6:.2f} M parameters, "
        f"{results['macs'] / 1e9:.3f} G multiply-accumulates for one image of "
        f"{height}x{width} pixels, {results['num_classes']} classes."
    )


def definitions(results: dict[str, Any]) -> list[str]:
    """What the columns of the table are."""
    dataset, baseline = results["dataset"], results["baseline"]
    return [
        "Size: all files of the export folder.",
        f"Top-1: on the {dataset['split']} split of {dataset['name']}, {dataset['images']} "
        "images that neither training nor calibration has seen; delta to "
        f"{baseline}, on the same images, with Tango's 95 % score interval.",
        "Verdict: same network if it is an fp32 file whose logits agree with those of "
        f"{baseline} within rounding on every one of these images; pass if they show that no more "
        "than "
        f"{points(results['options']['max_accuracy_drop'])} of top-1 is lost, fail if "
        "they show that more is (one-sided tests at 5 %), inconclusive between.",
        "Latency: one call, images in and logits out, "
        f"{_threads(results)}, each row in a process of its own, in turns; from time to time every "
        "process is replaced by a new one. A percentile with too few samples behind it is missing.",
        f"Times {baseline}: the ratio of medians paired round by round, with its "
        "95 % interval over processes; of means where a cell of the pair is marked busy or steal. "
        "Times fp32 there: against the fp32 file of the same runtime, so that "
        "the runtime's own gain is not credited to the format.",
        f"Calibration of static int8: {results['calibration']['images']} images of the "
        f"{results['calibration']['split']} split.",
    ]


def environment(results: dict[str, Any]) -> list[tuple[str, str]]:
    """Where it was measured, a line a part."""
    there = results["environment"]
    return [
        ("Measured", f"{results['measured_at']}, in {results['measured_seconds']:.0f} s"),
        (
            "CPU",
            f"{there['cpu']}, {there['usable_cores']} usable of "
            f"{there['machine_cores'] or 'an unknown number of'} cores "
            f"({', '.join(there['isa']) or 'instruction sets unknown'})"
            + (", in a virtual machine" if there["virtual_machine"] else "")
            + f"; frequency governor {there['frequency_governor'] or 'unknown'}",
        ),
        ("Memory", f"{there['memory_bytes'] / 1e9:.1f} GB"),
        ("Container", _limits(there["container"])),
        ("Priority of the measured processes", _priority(results["rows"])),
        ("GPU", there["gpu"]["name"] if there["gpu"] else "none"),
        ("System", f"{there['system']}, Python {there['python']}"),
        ("Packages", ", ".join(f"{name} {it}" for name, it in there["packages"].items())),
    ]


def checkpoint(results: dict[str, Any]) -> str:
    """The weights that everything was made from."""
    found = results["checkpoint"]
    return f"{found['path']}, epoch {found['epoch']}, SHA-256 {found['sha256']}"


def _threads(results: dict[str, Any]) -> str:
    number = results["environment"]["threads"]
    return f"{number} thread{'' if number == 1 else 's'}"


def _limits(container: dict[str, Any]) -> str:
    """What a container allows, in words."""
    limits = []
    if container["cores"] is not None:
        limits.append(f"{container['cores']:g} cores")
    if container["memory_bytes"] is not None:
        limits.append(f"{container['memory_bytes'] / 1e9:.1f} GB")
    return ", ".join(limits) or "no limits seen"


def _priority(rows: list[dict[str, Any]]) -> str:
    """How far the measured processes went before others, in words."""
    values = sorted({row["nice"] for row in rows if "nice" in row})
    if not values:
        return "unknown"
    raised = "raised" if values[0] < 0 else "not raised, for the system does not allow it"
    return f"{raised} (nice {', '.join(map(str, values))})"
