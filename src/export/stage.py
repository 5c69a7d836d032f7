"""The export stage: every format of one checkpoint, each in its folder, and their manifest."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec
from torch import nn

from src import formats
from src.backends.base import ExportSource
from src.errors import LightshipError
from src.export import reference_outputs, up_to_date
from src.export.data import ExportData
from src.export.manifest import failed, head, health_facts, listed
from src.export.one_format import export_one
from src.export.options import ExportOptions
from src.export.source import Checkpoint, make_source
from src.export.twin import twin_of
from src.export.up_to_date import Plan
from src.models.health import examine
from src.run import class_names
from src.run.facts import HealthFacts
from src.run.folder import Run
from src.run.manifest import Export, Manifest
from src.system.console import Report

PROBE = "probe.npz"
_HEALTH_IMAGES = 256  # of the validation split


def export_run(
    run: Run, checkpoint: Checkpoint, data: ExportData, options: ExportOptions, progress: Report
) -> Manifest:
    """Write every named format of ``checkpoint`` into the run's ``exports/`` folder.

    A format that fails is recorded with its error; the others go on. Files that an earlier export
    made of the same are kept, so that repeating an export that was killed finishes it. Formats
    that are not named stay in the manifest too, if their files are whole and of the same weights,
    calibration images and preprocessing.

    Args:
        run: of the checkpoint.
        checkpoint: its weights are exported.
        data: images to calibrate on, to choose by, and to examine the network's health with.
        options: which formats, and how.
        progress: told what comes next.

    Returns:
        The manifest, as it was written to ``exports/manifest.json``.

    Raises:
        UsageError: the classes of the data are not those of the checkpoint, or its network is not
            the one that it names.
    """
    checkpoint.require_unaltered()
    class_names.require_same(checkpoint.class_names, data.class_names)
    calibration = data.calibration_images(options.calibration_images)
    selection = data.judging_images(options.calibration_images, options.judging_images)
    if len(calibration) < options.calibration_images and _calibrates(options):
        progress(
            f"calibrating on {len(calibration)} images, for the training split has no more "
            f"(export.calibration_images={options.calibration_images})"
        )
    network = checkpoint.network()
    twin = twin_of(run, checkpoint)
    manifest = msgspec.structs.replace(
        head(run, checkpoint, network, data, calibration, selection), twin=twin.account
    )
    plan = up_to_date.plan(run, manifest, selection, options, twin.graph)
    # Entries are removed before their files are replaced, and come back one at a time.
    manifest = msgspec.structs.replace(
        manifest,
        health=plan.health or _health(network, data, progress),
        formats=_in_order(plan, plan.whole),
        probe=plan.probed_from if plan.probe_files else None,
        probe_files=plan.probe_files,
    )
    run.exports.mkdir(exist_ok=True)
    run.write_manifest(manifest)
    if plan.whole:
        progress(f"exported already: {', '.join(plan.whole)}")
        for line in up_to_date.of_other_processors(plan.whole):
            progress(line)
    for name, reason in plan.gone.items():
        progress(f"no longer listed: {name} ({reason})")
    if plan.left:
        with tempfile.TemporaryDirectory(prefix="lightship-") as scratch:
            source = make_source(
                network,
                checkpoint.spec,
                checkpoint.class_names,
                calibration,
                manifest.preprocessing,
                Path(scratch),
                selection,
                options,
                twin.graph,
                twin.missing,
            )
            manifest = _export_left(run, manifest, plan, source, options, progress)
    return manifest


def _in_order(plan: Plan, exports: Mapping[str, Export]) -> dict[str, Export]:
    """Return the entries of a manifest: those of earlier exports stay where they were."""
    found = {**exports, **plan.others}
    earlier = plan.before.formats if plan.before and plan.others else ()
    asked_for = plan.made_from
    names = dict.fromkeys([*earlier, *asked_for])
    return {name: found[name] for name in names if name in found}


def _calibrates(options: ExportOptions) -> bool:
    """Return True if a format may quantize by the ranges on calibration images."""
    return any(formats.get(name).precision == "int8" for name in options.formats)


def _health(network: nn.Module, data: ExportData, progress: Report) -> HealthFacts:
    """Examine the network with images that training did not see."""
    progress("looking at the network's outputs")
    return health_facts(examine(network, data.unseen_images(_HEALTH_IMAGES)))


def _export_left(
    run: Run,
    manifest: Manifest,
    plan: Plan,
    source: ExportSource,
    options: ExportOptions,
    progress: Report,
) -> Manifest:
    """Export what the plan leaves to do, and write the manifest after each format.

    Returns:
        The manifest with all formats.
    """
    if not plan.probe_files:
        reference_outputs.write(run.exports / PROBE, source)
        manifest = msgspec.structs.replace(
            manifest, probe=plan.probed_from, probe_files=listed(run.exports, [PROBE])
        )
    earlier = plan.before.formats if plan.before else {}
    exports = dict(plan.whole)
    for number, name in enumerate(plan.left):
        progress("exporting", name, number, len(plan.left))
        export = export_one(
            name,
            source,
            run.exports / name,
            embed=options.embed_preprocessing,
            earlier=earlier.get(name),
        )
        exports[name] = msgspec.structs.replace(export, made_from=plan.made_from[name])
        manifest = msgspec.structs.replace(manifest, formats=_in_order(plan, exports))
        run.write_manifest(manifest)
    return manifest


def require_success(manifest: Manifest, asked_for: Collection[str]) -> None:
    """Turn formats that failed into the command's failure.

    Args:
        manifest: of the export.
        asked_for: the formats that were named. The failure of another one is of an earlier command.

    Raises:
        LightshipError: a format failed, or was not embedded.
    """
    if names := failed(manifest, asked_for):
        raise LightshipError(
            f"export.formats: {len(names)} failed ({', '.join(names)}); the reasons are above "
            "and in exports/manifest.json; files that were there before are as they were"
        )
