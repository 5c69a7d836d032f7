"""The bundle stage: write an exported file, and all that is needed to use it, as a zip file."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

import src
from src import formats
from src.backends.base import Unavailable
from src.benchmark.up_to_date import has_present_packages
from src.bundle import archive, exam, licences, own_program, packages, sbom, serving, signature
from src.bundle import decoder as decoders
from src.bundle.card import Shipment, card
from src.bundle.files import (
    DESCRIPTION,
    description,
    model_files,
    require_bundling,
    require_unchanged,
    tolerance,
)
from src.bundle.options import BundleOptions
from src.data.pipeline.image_file import read_image
from src.data.restore import data_of
from src.errors import UsageError
from src.formats.base import Bundling
from src.predict.exported import (
    files_now,
    open_file,
    recommended,
    require_exported,
    require_known,
)
from src.predict.options import PredictOptions
from src.predict.stage import softmax
from src.run import fingerprint
from src.run.facts import ScoredDataset
from src.run.folder import Run
from src.run.manifest import Manifest
from src.run.pipeline import REFERENCE, Decoder
from src.run.row import Row
from src.system import environments, writable_folder
from src.system.project_commands import typed

CONTENTS = Path(src.__file__).parent / "shipped"
RUNTIMES = "runtime_"  # beginning of the names of modules, of which one is shipped
DECODER = "decoder.json"  # if it is not the evaluation's
TEST_IMAGE = "test_image.png"  # without loss: every decoder gives the same pixels


def bundle(run: Run, options: BundleOptions) -> dict[str, int]:
    """Write the zip file.

    Returns:
        The bytes of each file in it, by name.

    Raises:
        UsageError: the format cannot be bundled, its files were changed, there is no image to
            check it with, or the zip file cannot be written.
        LightshipError: the exported file cannot run here.
    """
    _require_place(Path(options.output))
    manifest = run.read_manifest()
    name = options.format or recommended(run, "cpu")
    require_exported(manifest, name)
    bundling = require_bundling(manifest, name)
    require_known(run, manifest, name)
    signer = signature.Signer(Path(options.sign)) if options.sign else None
    has_bill = sbom.is_wanted(options.sbom)
    licence_texts = licences.texts(options.licence)
    test_image = _test_image(run, options)
    software = _software(name, bundling, REFERENCE)
    row, dataset = _measured(run, manifest, name, software, embedded=options.embedded)
    decoder = decoders.chosen(name, row, options, _recorded_packages(run, row))
    model = model_files(run, manifest, name, bundling, embedded=options.embedded)
    software = _software(name, bundling, decoder)
    shipment = Shipment(
        bundling=bundling,
        has_licence=licences.MODEL_LICENCE in licence_texts,
        has_bill=has_bill,
        key_sha256=signer.public_sha256 if signer else None,
        decoder=decoder,
        lock_command=software.lock_command,
        least_python=software.least_python,
        python=software.python,
        images=_places_of_images(options),
        cpu=run.read_benchmark().environment.cpu if row else None,
    )
    about = card(
        manifest,
        name,
        row,
        dataset,
        TEST_IMAGE,
        embedded=options.embedded,
        shipment=shipment,
        exam=options.exam_images > 0,
    )
    contents = {
        **model,
        DESCRIPTION: _json(description(manifest, name, row, bundling, model)),
        TEST_IMAGE: _png(test_image),
        "class_names.json": _json(manifest.class_names),
        "requirements.txt": software.requirements().encode(),
        "requirements.lock": software.lock().encode(),
        "README.md": about.encode(),
        **licence_texts,
        **({} if decoder == REFERENCE else {DECODER: _json({"decoder": decoder})}),
        **serving.contents(run, name, software, embedded=options.embedded),
        **_program(bundling),
    }
    if options.embedded:  # it resizes in its own way, and quantized values may differ by a step
        answer = own_program.probabilities(contents, TEST_IMAGE, manifest.class_names)
    else:
        answer = _probabilities(run, name, test_image)
    contents["expected.json"] = _json(_expected(name, manifest.class_names, answer))
    if options.exam_images:
        shipped = exam.ShippedFile(
            name=name,
            model_files=tuple(bundling.files),
            contents=contents,
            row=row,
            tolerance=tolerance(name),
            embedded=options.embedded,
            decoder=decoder,
            runtime=bundling.packages[0],
            versions=software.versions(),
            python=software.python,
        )
        contents |= exam.pack(run, manifest, shipped, options.exam_images, options.exam_content)
    if has_bill:
        licence = licences.MODEL_LICENCE if shipment.has_licence else None
        images = [file for file in contents if exam.shows_image(file, shipment.images)]
        contents[sbom.FILE] = sbom.bill(
            manifest, name, software, contents, bundling.files, licence, images
        )
    require_unchanged(run, manifest, name)
    contents |= signature.seals(Path(options.output).stem, contents, signer)  # the last ones
    archive.write(Path(options.output), contents)
    return {name: len(contents[name]) for name in sorted(contents)}


def _require_place(output: Path) -> None:
    """Refuse a zip file that cannot be written, before its exam is answered.

    Raises:
        UsageError: its name is taken by something else, or its folder cannot be written.
    """
    if output.exists() and not output.is_file():
        kind = "a folder" if output.is_dir() else "a pipe or a device"
        found, remedy = f"{output}, which is {kind}", "give the zip file another name"
    elif reason := writable_folder.refusal(output.parent):
        found, remedy = f"{output} ({reason})", "name one in another folder"
    else:
        return
    raise UsageError("output", expected="a file that can be written", found=found, remedy=remedy)


def _software(name: str, bundling: Bundling, decoder: Decoder) -> packages.Software:
    """Return the packages of a bundle, by the environment that runs the file here.

    Raises:
        UsageError: the format has an environment of its own, which cannot be made.
    """
    environment, python = formats.get(name).environment, None
    if environment is not None:
        try:
            python = environment.python()
        except Unavailable as reason:
            raise UsageError(
                "format",
                expected="one that runs here, for its answers are packed with it",
                found=f"{name}: {reason}",
                remedy="name another format",
            ) from reason
    return packages.installed(
        (*bundling.packages, *decoders.packages(decoder)),
        same_minor=bundling.same_minor,
        pinned=decoders.SAME_MINOR,
        site=None if python is None else environments.site_packages(python),
        python=None if python is None else environments.version_of(python),
    )


def _program(bundling: Bundling) -> dict[str, bytes]:
    """Return the program and its runtime, without the other runtimes."""
    runtimes = {bundling.runtime, *bundling.imports}
    return {
        file.name: file.read_bytes()
        for file in sorted(CONTENTS.glob("*.py"))
        if not file.name.startswith(RUNTIMES) or file.stem in runtimes
    }


def _test_image(run: Run, options: BundleOptions) -> Image.Image:
    """Return the image to check the bundle with."""
    if options.test_image:
        return read_image(Path(options.test_image))
    try:
        test = data_of(run).dataset("test")
        return test.images.image(int(test.indices[0]))
    except UsageError as error:
        raise UsageError(
            "test_image",
            expected="an image, for the run's data cannot be read",
            found=str(error),
            remedy="name one with test_image=FILE",
        ) from error


def _places_of_images(options: BundleOptions) -> tuple[str, ...]:
    """Return the files and folders of a bundle that show images of the run's data."""
    is_of_user = bool(options.test_image)
    return (*(() if is_of_user else (TEST_IMAGE,)), *((exam.PLACE,) if options.exam_images else ()))


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.convert("RGB").save(file, "PNG")
    return file.getvalue()


def _probabilities(run: Run, name: str, image: Image.Image) -> list[float]:
    """Return the probabilities that the exported file gives for an image."""
    with open_file(run, PredictOptions(format=name)) as file:
        prepared = file.prepare(image.convert("RGB"))
        probabilities: list[float] = softmax(file.logits(prepared[None]))[0].tolist()
    return probabilities


def _expected(
    name: str, class_names: Sequence[str], probabilities: Sequence[float]
) -> dict[str, object]:
    """Return the expected prediction for the test image, as plain values."""
    return {
        "image": TEST_IMAGE,
        "class": class_names[probabilities.index(max(probabilities))],
        "probabilities": probabilities,
        "tolerance": tolerance(name),
    }


def _measured(
    run: Run, manifest: Manifest, name: str, software: packages.Software, *, embedded: bool
) -> tuple[Row | None, ScoredDataset | None]:
    """Return the row of this very file on a CPU, and the data that it was scored on.

    With ``embedded`` it is the row of the file without its preprocessing, from which the embedded
    one was made. None if the files were exported or changed after the measurement, or if it was of
    other packages than those that are packed.

    Args:
        run: the run.
        manifest: record of its exports.
        name: the format.
        software: its packages, without that of a faster decoder.
        embedded: the file to ship has its preprocessing inside.
    """
    if not run.benchmark.is_file():
        return None, None
    results = run.read_benchmark()
    written = manifest.formats[name].files
    hashes = fingerprint.of(written if embedded else files_now(run, manifest, name))
    row = results.row(name, "cpu")
    if row is None or not row.is_ok or row.sha256 != hashes:
        return None, None
    if formats.get(name).environment is not None:  # the versions of a measurement are of this one
        others = [] if has_present_packages(row) else ["those of another environment"]
    else:
        others = software.differences(results.environment.packages)
    if others:
        sys.stderr.write(
            f"warning: {name} was measured with other packages than are packed "
            f"({', '.join(others)}), so the bundle has no figures; measure it again: "
            f"{typed('src.benchmark')} {run.quoted}\n"
        )
        return None, None
    return row, results.dataset


def _recorded_packages(run: Run, row: Row | None) -> dict[str, str]:
    """Return the versions that the measurement of a row has recorded; none without a row."""
    return {} if row is None else run.read_benchmark().environment.packages


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
