"""The files of a bundle that hold the model, and their description for ``predict.py``."""

from __future__ import annotations

import hashlib

import msgspec

from src import formats
from src.errors import UsageError
from src.formats.base import Bundling
from src.predict.exported import require_known
from src.run import fingerprint
from src.run.folder import Run
from src.run.manifest import Manifest
from src.run.preprocessing_steps import CROP_SHARE, Scale
from src.run.row import Row

DESCRIPTION = "model.json"
EXACT = "runtime_onnxruntime"  # it can be told to sum in 32 bits, and is

# Largest difference of a probability between the machine that made the bundle and the one that
# checks it. Processors round differently, and a quantized value may then differ by a whole step.
_TOLERANCE = {"fp32": 1e-3, "fp16": 1e-2}
_ROUGH_TOLERANCE = 5e-2  # of bf16, int8 and all others


def require_bundling(manifest: Manifest, name: str) -> Bundling:
    """Return the way in which a format is shipped.

    Raises:
        UsageError: it cannot be.
    """
    kind = formats.get(name)
    if kind.bundling is not None and kind.can_be_bundled:
        return kind.bundling
    known = set(formats.names())
    fitting = [
        other for other in manifest.exported if other in known and formats.get(other).can_be_bundled
    ]
    raise UsageError(
        "format",
        expected="a format whose file runs on a CPU without this project, of which the run has "
        f"{', '.join(fitting) or 'none'}",
        found=name,
        remedy=f"name one, as in format={fitting[0] if fitting else 'onnx_fp32'}",
    )


def model_files(
    run: Run, manifest: Manifest, name: str, bundling: Bundling, *, embedded: bool
) -> dict[str, bytes]:
    """Return the files that hold the model, by name.

    Raises:
        UsageError: with ``embedded``, the format has no such file, or it was changed.
    """
    folder = _embedded_folder(run, manifest, name) if embedded else name
    return {file: run.own("exports", folder, file).read_bytes() for file in bundling.files}


def _embedded_folder(run: Run, manifest: Manifest, name: str) -> str:
    if not formats.get(name).embeds:
        raise UsageError(
            "embedded",
            expected="a format that can hold its preprocessing",
            found=name,
            remedy="leave out embedded=true: predict.py prepares the images",
        )
    entry = manifest.formats[name].embedded
    if not entry or entry.status != "ok":
        raise UsageError(
            "embedded",
            expected=f"{name} with its preprocessing inside",
            found=(entry.reason or "no reason") if entry else "none",
            remedy=f"run python -m src.export RUN formats=[{name}] embed_preprocessing=true",
        )
    folder = run.own("exports", entry.folder)
    change = fingerprint.change(entry.files, fingerprint.now(folder, entry.files))
    if change:
        raise UsageError(
            "embedded",
            expected=f"{folder} as it was exported",
            found=change,
            remedy=f"run python -m src.export RUN formats=[{name}] embed_preprocessing=true",
        )
    return entry.folder


def needs_dot_product(manifest: Manifest, name: str, row: Row | None) -> bool:
    """Return True if sums of a file may saturate on x86 without an int8 dot product.

    False if it was measured to keep the budget with the kernels for such a processor.
    """
    export = manifest.formats.get(name)
    if export is None or export.details is None or not export.details.needs_dot_product:
        return False
    return row is None or not row.keeps_budget_on_avx2


def description(
    manifest: Manifest,
    name: str,
    row: Row | None,
    bundling: Bundling,
    model: dict[str, bytes],
) -> dict[str, object]:
    """Return the content of ``model.json``, as plain values.

    Args:
        manifest: of the preprocessing and the file's input, for a file that does not hold them.
        name: the format.
        row: its figures, if it was measured.
        bundling: of the format.
        model: the files, by name.
    """
    rule = msgspec.to_builtins(manifest.preprocessing)
    # All values: predict.py has no defaults.
    rule |= {
        "interpolation": manifest.preprocessing.interpolation or "bilinear",
        "crop_share": manifest.preprocessing.crop_share or CROP_SHARE,
        "scale": manifest.preprocessing.scale or Scale.factor,
    }
    return {
        "runtime": bundling.runtime,
        "model": bundling.files[0],
        "sha256": {file: hashlib.sha256(content).hexdigest() for file, content in model.items()},
        "executes": bundling.executes,
        "mixes_batch": formats.get(name).mixes_batch,
        "needs_dot_product": bundling.runtime != EXACT and needs_dot_product(manifest, name, row),
        "threads": row.threads if row else None,
        "preprocessing": rule,
        "input": msgspec.to_builtins(manifest.formats[name].takes),
    }


def require_unchanged(run: Run, manifest: Manifest, name: str) -> None:
    """Refuse files that were replaced while the bundle was made: its parts may be of two exports.

    Raises:
        UsageError: the run's record or the files of the format are others now.
    """
    now = run.read_manifest()
    if now.checkpoint == manifest.checkpoint and now.formats.get(name) == manifest.formats[name]:
        require_known(run, manifest, name)
        return
    raise UsageError(
        "RUN",
        expected="a run that no other command exports meanwhile",
        found=f"{run.folder}, whose {name} was exported again",
        remedy="wait until that has ended, then run the command again",
    )


def tolerance(name: str) -> float:
    """Return the largest difference of a probability that another processor explains."""
    return _TOLERANCE.get(formats.get(name).precision, _ROUGH_TOLERANCE)
