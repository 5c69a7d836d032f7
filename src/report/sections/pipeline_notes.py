"""Notes on the time from an image file to its label: the files, the stages and the decoders."""

from __future__ import annotations

from collections.abc import Iterator

from src.report.sections.recommendation import points
from src.report.sections.rows import measured, name_of
from src.run.pipeline import REFERENCE, ImageSample
from src.run.results import Results


def notes(results: Results, sample: ImageSample) -> Iterator[str]:
    """Yield the notes of the section.

    Args:
        results: the measurement.
        sample: its image files.
    """
    pipelines = [pipeline for row in measured(results) for pipeline in row.pipeline]
    kinds = ", ".join(f"{count} {kind}" for kind, count in sample.kinds.items())
    size = f"{sample.width_p50}x{sample.height_p50} pixels and {sample.bytes_p50 / 1000:,.1f} kB"
    origin = (
        f"files of the {sample.split} split as they lie on disk"
        if sample.are_files
        else f"images of the {sample.split} split, encoded as PNG, as the data set has no files"
    )
    yield (
        f"A sample of {sample.images} {origin} ({kinds}), of {size} in the median. Each turn takes "
        "the next four of them. Their bytes are in memory: "
        "no disk and no network is part of the time."
    )
    yield (
        "Stages, in the mean: decode (to an upright image in RGB), resize (with the crop), convert "
        "(to the file's input), infer (input to logits), label (softmax and the likeliest five "
        "classes). The whole is by a clock around all of them. The code is that of a bundle's "
        "predict.py, one image at a time, in the row's own process."
    )
    yield (
        "The spread of the whole is that of the images, not only of the machine. CPU s: processor "
        "time of all threads of the process."
    )
    if any(pipeline.files for pipeline in pipelines):
        yield (
            "Each image file counts once, however often it was timed. A percentile needs as many "
            "different files as that of a call needs calls."
        )
        if sample.limited_to_bytes is not None:
            yield (
                f"The files are held in memory, {sample.limited_to_bytes / 1e6:,.0f} MB at most, "
                "which ended the sample before the number of benchmark.pipeline_images: a "
                "percentile for which these files are too few is missing whatever that number."
            )
    else:
        yield (
            "Each call counts once, as this measurement does not tell the file of a call: files "
            "that are decoded fast have more calls, so means, percentiles and images/s lean toward "
            "them."
        )
    if any(pipeline.answers for pipeline in pipelines):
        yield (
            f"{REFERENCE} decodes as the evaluation does. Other decoders give other pixels: "
            "changed answers, delta and verdict compare the row's own answers after either on all "
            f"images of the {results.dataset.split} split, with a budget of "
            f"{points(results.options.max_accuracy_drop)}, tested as those of an int8 file. "
            "Changed answers have Wilson's 95 % interval of their share. Each interval is one of "
            "its own; a bundle ships a decoder that keeps the budget and is faster by Holm's "
            "correction for the decoders of its row."
        )
    if any(pipeline.against_baseline for pipeline in pipelines):
        yield (
            f"Delta and verdict to {results.baseline}: the answers after the decoder beside those "
            f"of {results.baseline} after {REFERENCE}, so the file's own losses are in it. A "
            "decoder that gives other pixels is shipped only if it keeps the budget in both "
            "comparisons."
        )
    yield from _left_out(results)


def _left_out(results: Results) -> Iterator[str]:
    """Yield the reason of each decoder that was not timed with some files."""
    files: dict[tuple[str, str], list[str]] = {}
    rows = measured(results)
    for row in rows:
        for decoder, reason in row.decoders_left_out.items():
            files.setdefault((decoder, reason), []).append(name_of(row))
    for (name, reason), names in files.items():
        which = "" if len(names) == len(rows) else f" with {', '.join(names)}"
        yield f"The decoder {name} was left out{which}: {reason}."
