"""The bundle's README: the model, its accuracy and its use."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass

from src.bundle import licences, packages, sbom, signature
from src.bundle.files import EXACT, needs_dot_product
from src.formats.base import Bundling
from src.run.facts import ScoredDataset
from src.run.manifest import Manifest
from src.run.pipeline import REFERENCE, Decoder
from src.run.row import Row
from src.system import quoting

_EXAM = "\n    python predict.py --exam         # on the test images in exam/, with the speed here"
_SIGNED_EXAM = (
    "\n    python predict.py --exam --output ..   # the same on the images in exam/, with the speed"
)
_MOST_CLASSES = 20  # in the card; class_names.json has all


@dataclass(frozen=True)
class Shipment:
    """Contents of a bundle besides the model, its program and its test image.

    Args:
        bundling: of the format.
        has_licence: the user gave a licence of the model.
        has_bill: there is a bill of materials.
        key_sha256: SHA-256 of the public key of the signature, if there is one.
        decoder: of image files.
        lock_command: installs ``requirements.lock``.
        least_python: the oldest Python that the program and its packages take.
        python: that it was packed with.
        images: files and folders that show images of the run's data.
        cpu: that the figures were measured on.
    """

    bundling: Bundling
    has_licence: bool = False
    has_bill: bool = False
    key_sha256: str | None = None
    decoder: Decoder = REFERENCE
    lock_command: str = packages.lock_command(())
    least_python: str = ".".join(map(str, packages.PYTHON))
    python: str = platform.python_version()
    images: tuple[str, ...] = ()
    cpu: str | None = None


def card(
    manifest: Manifest,
    name: str,
    row: Row | None,
    dataset: ScoredDataset | None,
    image: str,
    *,
    shipment: Shipment,
    embedded: bool = False,
    exam: bool = False,
) -> str:
    """Return the card in Markdown.

    Args:
        manifest: record of the run's exports.
        name: the format.
        row: its figures on a CPU, if it was measured.
        dataset: the data that it was scored on.
        image: file name of the test image.
        shipment: the rest of the bundle.
        embedded: the file has its preprocessing inside; its figures are those of the file without.
        exam: the bundle has an exam.
    """
    side = manifest.input_shape[1]
    checkpoint = manifest.checkpoint
    exam_line = _exam(shipment) if exam else ""
    files = " and ".join(f"`{file}`" for file in shipment.bundling.files)
    return f"""# {quoting.markdown(manifest.model)} for {manifest.num_classes} classes

An image classifier, {manifest.parameters / 1e6:.1f} million parameters, as {files} \
({name}). It sees an image as {side}x{side} pixels. Its classes: {_named(manifest.class_names)}.

    sha256sum -c SHA256SUMS          # are all files as they were packed?
    pip install -r requirements.txt
    python predict.py --check        # on {image}: as where it was made?{exam_line}
    python predict.py photo.jpg

It needs Python {shipment.least_python} or newer, and was packed with {shipment.python}.
Where pip refuses because the system manages its Python, as on Debian, Ubuntu and Raspberry Pi OS,
make an environment first: `python3 -m venv ../env && . ../env/bin/activate`.
The first command is `shasum -a 256 -c SHA256SUMS` on macOS. On Windows, `Get-FileHash` of
PowerShell prints the hash of a file.

`predict.py` turns an image upright, converts it to RGB{_prepared(manifest, name)} as the
evaluation did; the rule stands in the model's own metadata, with the class names. Import `Model`
from it to use it in a program{_imported(shipment)}.
`--threads measured` sets the number of threads of the measurement.
{_decoded(shipment)}{_trust(shipment)}
## How good it is

{_accuracy(row, dataset, shipment.decoder, shipment.cpu, embedded=embedded)}
{_processors(manifest, name, row, shipment.bundling)}
It knows no other classes than these: an image of something else gets one of them too.

## Versions

{_versions(shipment)}
## Licences

{_licences(manifest, shipment)}

## Where it comes from

Run {quoting.markdown_code(manifest.run)}, epoch {checkpoint.epoch}, checkpoint with SHA-256
{quoting.markdown_code(checkpoint.sha256)}.
{_signature(shipment)}"""


def _exam(shipment: Shipment) -> str:
    """Return the line of the exam, which writes no file into a signed folder."""
    return _EXAM if shipment.key_sha256 is None else _SIGNED_EXAM


def _imported(shipment: Shipment) -> str:
    """Return the remark on the bytecode of imported modules, which no signature has."""
    if shipment.key_sha256 is None:
        return ""
    return " (by `python -B`, for no `__pycache__` may be added to a signed folder)"


def _decoded(shipment: Shipment) -> str:
    """Return the sentence on a decoder that is not the evaluation's."""
    if shipment.decoder == REFERENCE:
        return ""
    return f"""
Image files are decoded by `{shipment.decoder}`, which was measured to be faster with this file and
to keep the accuracy budget. `Model(decoder="{REFERENCE}")` decodes as the evaluation did.
"""


def _prepared(manifest: Manifest, name: str) -> str:
    """Return what ``predict.py`` does before the model, which may normalise the pixels itself."""
    export = manifest.formats.get(name)
    if export is not None and export.takes.is_pixels:
        return " and resizes it; the model takes the pixels and normalises them"
    return ", resizes and normalises it"


def _named(class_names: Sequence[str]) -> str:
    text = quoting.markdown(", ".join(class_names[:_MOST_CLASSES]))
    rest = len(class_names) - _MOST_CLASSES
    return f"{text} and {rest} more, in `class_names.json`" if rest > 0 else text


def _accuracy(
    row: Row | None,
    dataset: ScoredDataset | None,
    decoder: Decoder,
    cpu: str | None,
    *,
    embedded: bool,
) -> str:
    if not row or not row.accuracy or not dataset:
        return "This file was not measured."
    top1, decoded = row.accuracy.top1, ""
    if decoder != REFERENCE:
        pipeline = row.pipeline_of(decoder)
        if pipeline is None or pipeline.answers is None:
            return f"This file was not measured with images that `{decoder}` decodes."
        top1, decoded = pipeline.answers.top1, f", decoded by `{decoder}`"
    this = "This file without its preprocessing inside" if embedded else "This very file"
    lines = [
        f"{this} has the right class for {top1:.2%} of the "
        f"{dataset.images} images of the {quoting.markdown(dataset.split)} split of "
        f"{quoting.markdown_code(dataset.name)}{decoded}, "
        f"{_seen(dataset)}."
    ]
    if row.latency:
        cell = row.latency[0]
        place = f"on {quoting.markdown(cpu)}" if cpu else "where it was measured"
        lines.append(
            f"A batch of {cell.batch_size} took {cell.p50_s * 1e3:.1f} ms "
            f"({row.threads or 'all'} threads) {place}."
        )
    return "\n".join(lines)


def _seen(dataset: ScoredDataset) -> str:
    """Return what is known of the test images in the training, which has the calibration's too."""
    if count := dataset.also_in_calibration:
        return f"{count} of which are among the images that it was calibrated on, too"
    return "which it was not trained on"


def _processors(manifest: Manifest, name: str, row: Row | None, bundling: Bundling) -> str:
    """Return the sentence on a file that may give wrong answers on another processor."""
    if not needs_dot_product(manifest, name, row):
        return ""
    there = "`predict.py` warns\nthere, and `--exam` or `--check` compares the answers."
    if bundling.runtime == EXACT:
        there = (
            "`predict.py` sums\nin 32 bits there, which is slower; another program sets "
            "`session.x64quantprecision` to 1."
        )
    return f"""
**It was quantized for processors with an int8 dot product** (AVX-512 VNNI, AVX-VNNI, AMX, ARM). On
an x86 processor without one its sums may saturate and its answers be wrong: {there}
"""


def _trust(shipment: Shipment) -> str:
    if shipment.bundling.executes is None:
        return ""
    return f"""
**Load it only if you trust who made it.** {shipment.bundling.executes}
`predict.py` first compares the file with its SHA-256 in `model.json`, which shows damage. Only a
signature shows who packed it.
"""


def _versions(shipment: Shipment) -> str:
    versions = f"""\
`requirements.txt` has ranges, from the versions that it was tried with. Use it where the model
shares an environment with other software, and run `--check` there. `requirements.lock` has the
exact versions of all packages that `expected.json` was made with. To have the same environment
again, on the same platform: `{shipment.lock_command}`."""
    if shipment.bundling.remark:
        versions = f"{versions}\n\n{shipment.bundling.remark}"
    if not shipment.has_bill:
        return versions
    return f"""{versions}

`{sbom.FILE}` (CycloneDX 1.6) lists the model, the program and these packages with licences."""


def _licences(manifest: Manifest, shipment: Shipment) -> str:
    if shipment.has_licence:
        model = f"The model: `{licences.MODEL_LICENCE}`."
    else:
        model = (
            "No licence was given for the model: ask whoever gave it to you before you use it or "
            "pass it on."
        )
    data = manifest.origin.licence if manifest.origin else None
    lines = [
        model,
        *([f"The data that it was trained on: {quoting.markdown(data)}."] if data else []),
        *_images(manifest, shipment.images),
        f"`predict.py` and the other programs here: Apache-2.0, `{licences.PROGRAM_LICENCE}`.",
        "No other software is in this folder. The packages that pip installs have licences of "
        "their own.",
    ]
    return "\n".join(lines)


def _images(manifest: Manifest, places: Sequence[str]) -> list[str]:
    """Return the line on the images of the data set that are in the bundle, if there are any."""
    if not places:
        return []
    origin = manifest.origin
    named = f" of {quoting.markdown_code(origin.dataset)}" if origin and origin.dataset else ""
    terms = (
        "their licence is that of the data"
        if origin and origin.licence
        else "no licence of them is known, so ask before you pass them on"
    )
    listed = " and ".join(f"`{place}`" for place in places)
    return [f"Test images{named} are in {listed}: {terms}."]


def _signature(shipment: Shipment) -> str:
    if shipment.key_sha256 is None:
        return ""
    return f"""
## Signature

Verify it before the first use, in this folder. The public key `key.pub` comes from the signer by
another way, and lies outside of this folder. Its SHA-256 was
`{shipment.key_sha256}`.

    openssl dgst -sha256 -verify ../key.pub -signature {signature.SUMS_SIGNATURE} {signature.SUMS}
    sha256sum -c {signature.SUMS}

This finds a changed or missing file. The next command finds an added one as well; it is that of the
package model-signing, and `{signature.MODEL_SIGNATURE}` has its format. So `--exam` writes its
measurement into another folder.

    model_signing verify key --signature {signature.MODEL_SIGNATURE} --public_key ../key.pub .
"""
