"""Exports random weights before a training, to know in time that each format can be exported."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch import Tensor

from src import formats
from src.data.preprocessing import Preprocessing
from src.errors import UsageError
from src.export.one_format import export_one
from src.export.options import ExportOptions
from src.export.source import make_source
from src.models.network import NetworkSpec
from src.run.facts import PreprocessingFacts
from src.run.manifest import Export
from src.system.console import Report

_IMAGES = 4
_MOST_SHOWN = 300  # characters of a reason


def preflight(
    spec: NetworkSpec,
    class_names: list[str],
    input_shape: tuple[int, ...],
    preprocessing: PreprocessingFacts,
    options: ExportOptions,
    report: Report,
    *,
    baseline: str | None = None,
) -> None:
    """Export random weights in every format of ``options``.

    There are no selection images, so no format spends time on a search. A format of the int8 twin
    is left out: a twin is of trained weights.

    Args:
        spec: of the network.
        class_names: in the order of the labels.
        input_shape: of one image, (3, H, W).
        preprocessing: how an image becomes the network's input.
        options: of the export.
        report: takes the progress.
        baseline: the format that the measurement needs; None without a measurement.

    Raises:
        UsageError: a format failed.
    """
    images = random_images(_IMAGES, input_shape, preprocessing)
    with (
        tempfile.TemporaryDirectory(prefix="lightship-") as folder,
        torch.random.fork_rng(devices=[]),
    ):
        scratch = Path(folder)
        network = spec.build().eval()
        source = make_source(
            network, spec, class_names, images, preprocessing, scratch, options=options
        )
        names = [name for name in options.formats if not formats.get(name).of_twin]
        for number, name in enumerate(names):
            report("preflight: exporting random weights", name, number, len(names))
            export = export_one(
                name, source, scratch / "exports" / name, embed=options.embed_preprocessing
            )
            _require_success(name, export, spec, is_baseline=name == baseline)
            if export.status == "skipped":
                report(f"{name} will be skipped: {export.reason}")


def random_images(
    count: int, input_shape: tuple[int, ...], preprocessing: PreprocessingFacts
) -> Tensor:
    """Return random pixels as the network's input, (count, 3, H, W)."""
    # A generator of its own: whether there was a preflight must not change the training.
    generator = torch.Generator().manual_seed(0)
    # Pixels, because a file may take nothing else.
    levels = torch.randint(256, (count, *input_shape), generator=generator, dtype=torch.uint8)
    return Preprocessing.of(preprocessing).normalised(levels)


def _require_success(name: str, export: Export, spec: NetworkSpec, *, is_baseline: bool) -> None:
    embedded = export.embedded
    if embedded and embedded.status == "failed":
        raise UsageError(
            "export.embed_preprocessing",
            expected="formats that can hold their preprocessing",
            found=f"{name}, which failed: {(embedded.reason or '')[:_MOST_SHOWN]}",
            remedy="leave it out, or set export.preflight=false",
        )
    if export.status == "failed":
        raise UsageError(
            "export.formats",
            expected=f"formats that {spec.builder} can be exported to",
            found=f"{name}, which failed: {(export.reason or '')[:_MOST_SHOWN]}",
            remedy="leave it out of export.formats"
            + (" and set benchmark.baseline to another format" if is_baseline else "")
            + ", or set export.preflight=false",
        )
