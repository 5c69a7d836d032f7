"""``report.md``: the table with what it needs to be understood."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from src.report import making, operators
from src.report.advice import points, sentences
from src.report.table import (
    MISSING,
    accuracy_columns,
    columns,
    escape,
    footnotes,
    markdown_table,
    more_columns,
)


def markdown(results: dict[str, Any], figures: Sequence[str] = ()) -> str:
    """The page for one run, made from its ``benchmark.json`` alone.

    Args:
        results: the content of that file.
        figures: the names of the pictures beside the page, without ``.png``.
    """
    environment = results["environment"]
    dataset = results["dataset"]
    checkpoint = results["checkpoint"]
    packages = ", ".join(f"{name} {version}" for name, version in environment["packages"].items())
    height, width = results["input_shape"][1:]
    lines = [
        f"# {results['run']}",
        "",
        f"{results['model']}: {results['parameters'] / 1e6:.2f} M parameters, "
        f"{results['macs'] / 1e9:.3f} G multiply-accumulates for one image of "
        f"{height}x{width} pixels, {results['num_classes']} classes.",
        "",
        *(f"**{escape(sentence)}**" for sentence in sentences(results)),
        "",
        markdown_table(results, columns(results)),
        "",
        *(f"- {note}" for note in footnotes(results)),
        "- Size: all files of the export folder.",
        f"- Top-1: on the {dataset['split']} split of {dataset['name']}, {dataset['images']} "
        "images that neither training nor calibration has seen; delta to "
        f"{results['baseline']}, on the same images, with Tango's 95 % score interval.",
        "- Verdict: pass if the images show that no more than "
        f"{points(results['options']['max_accuracy_drop'])} of top-1 is lost, fail if they show "
        "that more is (one-sided tests at 5 %), inconclusive between.",
        f"- Latency: one call, images in and logits out, {environment['threads']} threads, each "
        "row in a process of its own, in turns. A percentile with too few samples behind it is "
        "missing.",
        f"- Times {results['baseline']}: the ratio of medians paired round by round, with its "
        "95 % interval. Times fp32 there: against the fp32 file of the same runtime, so that "
        "the runtime's own gain is not credited to the format.",
        f"- Calibration of static int8: {results['calibration']['images']} images of the "
        f"{results['calibration']['split']} split.",
        "",
        "## What changed in the answers",
        "",
        markdown_table(results, accuracy_columns(results)),
        "",
        "- Lost and gained: images that only the baseline, or only this row, has right. McNemar p: "
        "exact, two-sided. ECE: expected calibration error, 15 bins.",
        "- SQNR: the baseline's logits over their difference. KL: of the row's probabilities from "
        "the baseline's.",
        *_damage(results),
        *making.sections(results),
        *operators.sections(results),
        *(line for name in figures for line in ("", f"![{name.replace('_', ' ')}]({name}.png)")),
        "",
        "## More figures",
        "",
        markdown_table(results, more_columns(results)),
        "",
        f"- {MISSING}: not measured here, or too few samples.",
        "- Peak memory: of the process, above that of one that has loaded nothing yet.",
        "- Images/s: done in the time that went by, copies included.",
        "- Energy: of the whole processor package or GPU, where the system lets it be read.",
        "- Ran in: the share of time by the precision of the operators that really ran, batch 1.",
        "",
        "## Where it was measured",
        "",
        f"- {results['measured_at']}, in {results['measured_seconds']:.0f} s",
        f"- CPU: {environment['cpu']}, {environment['usable_cores']} usable of "
        f"{environment['machine_cores']} cores "
        f"({', '.join(environment['isa']) or 'instruction sets unknown'})"
        + (", in a virtual machine" if environment["virtual_machine"] else "")
        + f"; frequency governor {environment['frequency_governor'] or 'unknown'}",
        f"- Memory: {environment['memory_bytes'] / 1e9:.1f} GB",
        f"- Container: {_limits(environment['container'])}",
        f"- Priority of the measured processes: {_priority(results['rows'])}",
        f"- GPU: {environment['gpu']['name'] if environment['gpu'] else 'none'}",
        f"- System: {environment['system']}, Python {environment['python']}",
        f"- Packages: {packages}",
        f"- Checkpoint: {checkpoint['path']}, epoch {checkpoint['epoch']}, "
        f"SHA-256 {checkpoint['sha256']}",
    ]
    return "\n".join(lines) + "\n"


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


def _damage(results: dict[str, Any]) -> list[str]:
    """Where quantization hurts, for each row that has it told."""
    lines = []
    for row in results["rows"]:
        if not row.get("damage"):
            continue
        lines += [
            "",
            f"### Where {row['format']} on {row['device']} loses the most",
            "",
            "| tensor | kind | SQNR dB |",
            "| --- | --- | ---: |",
            *(
                f"| {escape(each['tensor'])} | {each['kind']} | {each['sqnr_db']:.1f} |"
                for each in row["damage"]
            ),
        ]
    return lines
