"""The decoder of a bundle: the fastest that was measured to keep the accuracy budget."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata

from src.bundle.options import BundleOptions
from src.bundle.packages import installed
from src.errors import UsageError
from src.run.pipeline import REFERENCE, Decoder, DecoderAnswers
from src.run.row import Row
from src.shipped.decoder_names import PACKAGES
from src.shipped.jpeg_decoders import MissingDecoderError, load

# Packages that a bundle asks for in this minor version: torchvision has deprecated its decoders.
SAME_MINOR = frozenset({"torchvision"})


def chosen(
    name: str, row: Row | None, options: BundleOptions, measured: Mapping[str, str]
) -> Decoder:
    """Return the decoder to ship with a format.

    Args:
        name: the format.
        row: its figures on a CPU; None if it was not measured.
        options: with the decoder, if the user named one.
        measured: the versions of packages that the row was measured with, by name.

    Raises:
        UsageError: the decoder that was named was not scored with this file, its test did not pass,
            or its package is not installed in the measured version.
    """
    if options.embedded or options.decoder == REFERENCE:
        return REFERENCE
    if options.decoder is not None:
        _require_budget(name, row, options.decoder)
        if problem := _unusable(options.decoder, measured):
            raise UsageError(
                "decoder",
                expected="a decoder whose package is installed, in the version that was measured",
                found=f"{options.decoder} ({problem})",
                remedy=f"install it, measure again, or leave out decoder={options.decoder}",
            )
        return options.decoder
    # Measured elsewhere, its package may be missing here, or be of another version.
    faster = [figures.decoder for figures in row.faster_pipelines()] if row else []
    return next((decoder for decoder in faster if _unusable(decoder, measured) is None), REFERENCE)


def packages(decoder: Decoder) -> tuple[str, ...]:
    """Return the packages that a decoder needs besides Pillow, as pip calls them.

    OpenCV may be installed by another package than the one that this project names.
    """
    if decoder not in PACKAGES:
        return ()
    module, package = PACKAGES[decoder]
    try:
        metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return tuple(metadata.packages_distributions().get(module, [package])[:1])
    return (package,)


def _unusable(decoder: Decoder, measured: Mapping[str, str]) -> str | None:
    """Return the reason why a decoder cannot be packed; None if it can be."""
    try:
        if decoder in PACKAGES:
            load(decoder)
    except MissingDecoderError as error:
        return str(error)
    software = installed(packages(decoder), same_minor=False)
    return ", ".join(software.differences(measured)) or None


def _require_budget(name: str, row: Row | None, decoder: Decoder) -> None:
    """Refuse a decoder that was not shown to keep the accuracy budget with this file.

    Raises:
        UsageError: it was not scored with this file, or its test did not pass.
    """
    pipeline = row.pipeline_of(decoder) if row else None
    if pipeline and pipeline.keeps_budget:
        return
    answers = pipeline.answers if pipeline else None
    in_all = pipeline.against_baseline if pipeline else None
    reason = row.decoders_left_out.get(decoder) if row else None
    verdict = f"whose verdict is {answers.verdict if answers else 'not known'}"
    deciding = answers
    if answers and answers.verdict == "pass" and in_all:
        verdict += f", and {in_all.verdict} with the losses of {name} itself"
        deciding = in_all
    raise UsageError(
        "decoder",
        expected=f"a decoder that was measured to keep the accuracy budget with {name}",
        found=f"{decoder}, {verdict}{f' ({reason})' if reason else ''}",
        remedy=_remedy(decoder, deciding),
    )


def _remedy(decoder: Decoder, answers: DecoderAnswers | None) -> str:
    """Return what helps against a decoder that was not shown to keep the budget.

    Args:
        decoder: the decoder.
        answers: the comparison that does not pass; None if it was not scored.
    """
    if answers is None:
        return (
            f"measure the run's JPEGs with benchmark.decoders=[{REFERENCE},{decoder}], or leave "
            f"it at {REFERENCE}"
        )
    another = f"name another decoder or another format, or leave it at {REFERENCE}"
    if answers.verdict == "inconclusive" and answers.images_needed is not None:
        return f"{another}; about {answers.images_needed:,} test images would settle it"
    return another
