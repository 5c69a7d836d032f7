"""The export stage: every format of one source, each in its folder, and the manifest of them."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from src import formats
from src.backends.base import ExportSource, Unavailable
from src.errors import LightshipError, UsageError, describe
from src.export import reference_outputs, up_to_date
from src.export.options import ExportOptions
from src.export.source import Checkpoint, make_source
from src.formats.base import Format
from src.models.health import examine
from src.models.network import NetworkSpec, count
from src.run import fingerprint
from src.run.folder import Run
from src.run.manifest import Manifest
from src.run.reading import convert
from src.system import atomic_files, os_errors
from src.system.console import Report
from src.system.packages import missing_packages

PROBE = "probe.npz"
HEALTH_IMAGES = 256  # of the validation split
_TALKATIVE = ("", "torch.onnx", "onnxscript", "onnx_ir", "torch.export")


def export_run(
    run: Run,
    checkpoint: Checkpoint,
    calibration: torch.Tensor,
    judging: tuple[torch.Tensor, torch.Tensor] | None,
    preprocessing: dict[str, Any],
    options: ExportOptions,
    report: Report,
    origin: dict[str, Any] | None = None,
    unseen: Callable[[], torch.Tensor] | None = None,
) -> dict[str, Any]:
    """Write every named format of ``checkpoint`` into the run's ``exports/`` folder.

    A format that fails is recorded with its error; the others go on. What an earlier export made
    of the same is kept, as it is, so that one that was killed is finished by doing it again.

    Args:
        calibration: training images, (M, 3, H, W).
        judging: other training images, (M, 3, H, W), and their labels, (M,).
        preprocessing: what was done to a picture to become one of those.
        options: which formats, and how.
        report: told what comes next.
        origin: what the weights were trained on, for whoever gets a file: ``dataset``,
            ``images`` and ``licence``.
        unseen: gives images that training did not see, (M, 3, H, W), to look at the network's
            health with: see :mod:`src.models.health`. It is asked once for each checkpoint.

    Returns:
        The manifest, as it was written to ``exports/manifest.json``.
    """
    network = checkpoint.network()
    complexity = count(network, tuple(calibration.shape[1:]))
    manifest: dict[str, Any] = {
        "schema_version": 1,
        "run": run.name,
        "model": checkpoint.model,
        "parameters": complexity.parameters,
        "macs": complexity.macs,
        "input_shape": list(calibration.shape[1:]),
        "num_classes": len(checkpoint.class_names),
        "class_names": checkpoint.class_names,
        "preprocessing": preprocessing,
        "origin": {**(origin or {}), "pretrained": checkpoint.pretrained},
        "checkpoint": {
            "path": str(checkpoint.path.relative_to(run.folder)),
            "sha256": checkpoint.sha256,
            "epoch": checkpoint.epoch,
        },
        "calibration": {
            "split": "train",
            "images": len(calibration),
            # So that whoever measures can see that these images are not among the measured.
            "images_sha256": [atomic_files.sha256_of(image.numpy()) for image in calibration],
        },
        "judging": {"split": "train", "images": len(judging[1]) if judging else 0},
        "health": None,
        "formats": {},
    }
    before = up_to_date.read(run)
    earlier = {} if options.again else before
    made_from = {
        name: up_to_date.made_from(manifest, judging, options, name) for name in options.formats
    }
    probed_from = up_to_date.made_from(manifest, None, options)
    probed = earlier.get("probe") == probed_from and up_to_date.is_written(
        run.exports, earlier.get("probe_files", [])
    )
    whole = {
        name: entry
        for name in options.formats
        if probed
        and (entry := earlier.get("formats", {}).get(name))
        and up_to_date.is_whole(entry, run.exports, name, made_from[name])
    }
    left = [name for name in options.formats if name not in whole]
    if before.get("checkpoint") == manifest["checkpoint"] and not options.again:
        manifest["health"] = before.get("health")
    if manifest["health"] is None and unseen is not None:
        report("looking at the network's outputs")
        manifest["health"] = examine(network, unseen()).to_dict()
    run.exports.mkdir(exist_ok=True)
    # Whatever is replaced below is not in the manifest while it is: one entry at a time.
    manifest["formats"] = whole
    manifest["probe"] = probed_from if probed else None
    manifest["probe_files"] = earlier["probe_files"] if probed else []
    run.write_manifest(convert(manifest, Manifest))
    if whole:
        report(f"exported already: {', '.join(whole)}")
    if not left:
        return manifest
    with _scratch() as scratch:
        source = make_source(
            network,
            checkpoint.spec,
            checkpoint.class_names,
            calibration,
            preprocessing,
            scratch,
            judging,
            options,
        )
        if not probed:
            reference_outputs.write(run.exports / PROBE, source)
            manifest["probe"] = probed_from
            manifest["probe_files"] = [
                dataclasses.asdict(file) for file in fingerprint.taken(run.exports, [PROBE])
            ]
        made = dict(whole)
        for number, name in enumerate(left):
            report("exporting", name, number, len(left))
            entry = export_one(
                name,
                source,
                run.exports / name,
                embed=options.embed_preprocessing,
                earlier=before.get("formats", {}).get(name),
            )
            made[name] = {**entry, "made_from": made_from[name]}
            # After each, so that what was exported is known whatever comes next.
            manifest["formats"] = {each: made[each] for each in options.formats if each in made}
            run.write_manifest(convert(manifest, Manifest))
    return manifest


def require_success(manifest: dict[str, Any]) -> None:
    """Turn formats that failed into the command's failure.

    Raises:
        LightshipError: a format failed, or was not embedded.
    """
    entries = manifest["formats"].values()
    failed = [name for name, entry in manifest["formats"].items() if entry["status"] == "failed"]
    failed += [
        str(entry["embedded"]["folder"])
        for entry in entries
        if entry["embedded"] and entry["embedded"]["status"] == "failed"
    ]
    if failed:
        raise LightshipError(
            f"export.formats: {len(failed)} failed ({', '.join(failed)}); the reasons are above "
            "and in exports/manifest.json; files that were there before are as they were"
        )


def export_one(
    name: str,
    source: ExportSource,
    folder: Path,
    *,
    embed: bool = False,
    earlier: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """One format into ``folder``: its entry in the manifest, with status, files and seconds.

    Files in ``folder`` that no export wrote stay there.

    Args:
        embed: where the format can, write it once more with its preprocessing inside, into a
            folder beside, so that the size of the format stays that of what is measured.
        earlier: its entry in the manifest that is replaced, if there is one.
    """
    kind = formats.get(name)
    entry: dict[str, Any] = {
        "precision": kind.precision,
        "reason": None,
        "files": [],
        "details": None,
        "usage": _usage(kind, source),
        "runs_with": list(kind.runs_with),
        "varies": getattr(kind, "varies", None),
        "embedded": None,
    }
    missing = missing_packages(kind.requires)
    if missing:
        return {**entry, "status": "skipped", "reason": f"not installed: {', '.join(missing)}"}
    started = time.perf_counter()
    try:
        with atomic_files.whole_folder(folder, replaced=_written(earlier)) as fresh:
            entry["details"] = _export_quietly(kind, source, fresh)
            written = _files_in(fresh)
    except Unavailable as reason:
        return {**entry, "status": "skipped", "reason": str(reason)}
    except Exception as error:  # whatever a format raises is that row's failure, told in it
        return {**entry, "status": "failed", "reason": _reason(error)}
    entry["export_seconds"] = time.perf_counter() - started
    entry["files"] = written
    embedded = folder.with_name(f"{name}_embedded")
    replaced = _written((earlier or {}).get("embedded"))
    if embed and hasattr(kind, "embed"):
        entry["embedded"] = _embed(kind, folder, embedded, replaced)
    elif replaced:
        atomic_files.remove_written(embedded, replaced)  # of the weights that were replaced
    return {**entry, "status": "ok"}


def _embed(kind: Any, folder: Path, target: Path, replaced: list[str]) -> dict[str, Any]:
    """The file in ``folder`` with its preprocessing inside: which folder, which files.

    What fails here fails here only: the file without is whole.
    """
    entry: dict[str, Any] = {"folder": target.name, "files": [], "status": "ok", "reason": None}
    try:
        with atomic_files.whole_folder(target, replaced=replaced) as fresh:
            kind.embed(folder, fresh)
            written = _files_in(fresh)
    except Exception as error:  # told in the manifest, as for a format
        return {**entry, "status": "failed", "reason": _reason(error)}
    return {**entry, "files": written}


def _written(entry: dict[str, Any] | None) -> list[str]:
    """The files that an earlier export wrote, by its entry in the manifest."""
    return [str(file["path"]) for file in (entry or {}).get("files", [])]


def _reason(error: Exception) -> str:
    """Why a format failed, in one line."""
    if os_errors.is_out_of_memory(error):
        error.add_note("fewer export.calibration_images and export.judging_images take less")
    return os_errors.explain(error) or describe(error)


def _files_in(folder: Path) -> list[dict[str, Any]]:
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    files = fingerprint.taken(folder, [str(path.relative_to(folder)) for path in paths])
    return [dataclasses.asdict(file) for file in files]


def _usage(kind: Format, source: ExportSource) -> str | None:
    """The format's own lines of how its files are used, if it has any."""
    usage = getattr(kind, "usage", None)
    return usage(source.preprocessing) if usage else None


def preflight(
    spec: NetworkSpec,
    class_names: list[str],
    input_shape: tuple[int, ...],
    preprocessing: dict[str, Any],
    options: ExportOptions,
    report: Report,
) -> None:
    """Export random weights in every format, to know before training that it can be done.

    There are no judging images, so no format spends time on a search.

    Raises:
        UsageError: a format failed.
    """
    # A generator of its own: whether there was a preflight must not change the training.
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(4, *input_shape, generator=generator)
    with _scratch() as scratch, torch.random.fork_rng(devices=[]):
        network = spec.build().eval()
        source = make_source(
            network, spec, class_names, images, preprocessing, scratch, options=options
        )
        for number, name in enumerate(options.formats):
            report("preflight: exporting random weights", name, number, len(options.formats))
            entry = export_one(
                name, source, scratch / "exports" / name, embed=options.embed_preprocessing
            )
            embedded = entry["embedded"]
            if embedded and embedded["status"] == "failed":
                raise UsageError(
                    "export.embed_preprocessing",
                    expected="formats that can hold their preprocessing",
                    found=f"{name}, which failed: {embedded['reason'][:300]}",
                    remedy="leave it out, or set export.preflight=false",
                )
            if entry["status"] == "failed":
                raise UsageError(
                    "export.formats",
                    expected=f"formats that {spec.builder} can be exported to",
                    found=f"{name}, which failed: {entry['reason'][:300]}",
                    remedy="leave it out of export.formats, or set export.preflight=false",
                )
            if entry["status"] == "skipped":
                report(f"{name} will be skipped: {entry['reason']}")


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="lightship-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _export_quietly(kind: Format, source: ExportSource, folder: Path) -> dict[str, Any] | None:
    """Export without the chatter of the libraries; their errors come out as exceptions."""
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return kind.export(source, folder)
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
