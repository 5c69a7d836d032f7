"""The manifest of an export, and the entry of one format in it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

import msgspec
from torch import Tensor, nn

from src.backends.base import ExportSource
from src.export.data import ExportData
from src.export.source import Checkpoint
from src.formats.base import Format
from src.models.health import Health
from src.models.network import count
from src.run import facts
from src.run.facts import ExportDetails, ExportedFile, HealthFacts, LayerHealth
from src.run.folder import Run
from src.run.manifest import Embedded, Export, ExportCalibration, Manifest, SelectionImages
from src.run.record import Status
from src.system import atomic_files


def head(
    run: Run,
    checkpoint: Checkpoint,
    network: nn.Module,
    data: ExportData,
    calibration: Tensor,
    selection: tuple[Tensor, Tensor] | None,
) -> Manifest:
    """Return the manifest before anything is exported.

    Args:
        run: the manifest's paths are relative to its folder.
        checkpoint: the exported one.
        network: of the checkpoint.
        data: of its preprocessing and origin.
        calibration: training images, (M, 3, H, W).
        selection: other training images, (M, 3, H, W), and their labels, (M,).
    """
    input_shape = tuple(calibration.shape[1:])
    complexity = count(network, input_shape)
    return Manifest(
        schema_version=1,
        run=run.name,
        model=checkpoint.model,
        parameters=complexity.parameters,
        macs=complexity.macs,
        input_shape=list(input_shape),
        num_classes=len(checkpoint.class_names),
        class_names=checkpoint.class_names,
        preprocessing=data.preprocessing.facts(),
        origin=msgspec.structs.replace(data.origin, pretrained=checkpoint.pretrained),
        checkpoint=facts.Checkpoint(
            path=str(checkpoint.path.relative_to(run.folder)),
            sha256=checkpoint.sha256,
            epoch=checkpoint.epoch,
        ),
        calibration=ExportCalibration(
            split="train",
            images=len(calibration),
            # A measurement checks by these hashes that it scores none of these images.
            images_sha256=[atomic_files.sha256_of(image.numpy()) for image in calibration],
        ),
        judging=SelectionImages(split="train", images=len(selection[1]) if selection else 0),
        formats={},
    )


def health_facts(health: Health) -> HealthFacts:
    """Return the health of a network as the manifest records it."""
    return HealthFacts(
        images=health.images,
        logit_median=health.logit_median,
        logit_largest=health.logit_largest,
        vanishing=health.vanishing,
        dead=health.dead,
        layers=[
            LayerHealth(
                name=layer.name,
                kind=layer.kind,
                ratio=layer.ratio,
                largest=layer.largest,
                dead=layer.dead,
            )
            for layer in health.layers
        ],
        problems=health.problems(),
    )


def listed(folder: Path, paths: Iterable[str]) -> list[ExportedFile]:
    """Return the path, size in bytes and SHA-256 of files in a folder, as they are now."""
    return [
        ExportedFile(
            path=path,
            bytes=(folder / path).stat().st_size,
            sha256=atomic_files.sha256(folder / path),
        )
        for path in paths
    ]


def entry(
    format_: Format,
    source: ExportSource,
    status: Status,
    *,
    reason: str | None = None,
    files: list[ExportedFile] | None = None,
    details: ExportDetails | None = None,
    read_by: str | None = None,
    embedded: Embedded | None = None,
    export_seconds: float | None = None,
) -> Export:
    """Return the entry of one format.

    Args:
        format_: the exported one.
        source: of the network, and of the preprocessing that travels inside the file.
        status: of the row.
        reason: why it was skipped or failed.
        files: that were written, with paths relative to the format's folder.
        details: how the file was made: see :meth:`src.formats.base.Format.export`.
        read_by: the oldest runtime that reads the file, if it is known.
        embedded: the file with its preprocessing inside, if it was asked for.
        export_seconds: that the export took, if it ended well.
    """
    takes = format_.input_of(source)
    if takes.is_pixels:
        usage = format_.pixel_usage(source.preprocessing)
    else:
        usage = format_.usage_of(source.builder, source.preprocessing)
    return Export(
        precision=format_.precision,
        status=status,
        reason=reason,
        files=files or [],
        details=details,
        usage=usage,
        input=takes if takes.is_pixels else None,
        runs_with=format_.packages_of(source.builder),
        read_by=read_by,
        varies=format_.varies,
        embedded=embedded,
        export_seconds=export_seconds,
    )


def written_files(earlier: Export | Embedded | None) -> list[str]:
    """Return the paths of the files that an entry lists; none without an entry."""
    return [file.path for file in earlier.files] if earlier else []


def failed(manifest: Manifest, among: Collection[str]) -> list[str]:
    """Return the names of formats among these, and of folders of embedded files, that failed."""
    exports = {name: export for name, export in manifest.formats.items() if name in among}
    names = [name for name, export in exports.items() if export.status == "failed"]
    embedded = [export.embedded for export in exports.values() if export.embedded]
    return names + [file.folder for file in embedded if file.status == "failed"]
