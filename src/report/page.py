"""``report.md``: the table with what it needs to be understood."""

from __future__ import annotations

from typing import Any

from src.report.table import footnotes, markdown_table


def markdown(results: dict[str, Any]) -> str:
    """The page for one run, made from its ``benchmark.json`` alone."""
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
        markdown_table(results),
        "",
        *(f"- {note}" for note in footnotes(results)),
        "- Size: all files of the export folder.",
        f"- Top-1: on the {dataset['split']} split of {dataset['name']}, {dataset['images']} "
        "images that neither training nor calibration has seen; delta to "
        f"{results['baseline']}, on the same images.",
        f"- Latency: one call, images in and logits out, {environment['threads']} threads, each "
        "row in a process of its own, in turns. A percentile with too few samples behind it is "
        "missing.",
        "- Speed-up: the ratio of medians paired round by round, with its 95 % interval, at "
        "the first batch size.",
        f"- Calibration of static int8: {results['calibration']['images']} images of the "
        f"{results['calibration']['split']} split.",
        "",
        "## Where it was measured",
        "",
        f"- CPU: {environment['cpu']}, {environment['usable_cores']} usable cores "
        f"({', '.join(environment['isa']) or 'instruction sets unknown'})",
        f"- GPU: {environment['gpu']['name'] if environment['gpu'] else 'none'}",
        f"- System: {environment['system']}, Python {environment['python']}",
        f"- Packages: {packages}",
        f"- Checkpoint: {checkpoint['path']}, epoch {checkpoint['epoch']}, "
        f"SHA-256 {checkpoint['sha256']}",
    ]
    return "\n".join(lines) + "\n"
