"""The bundle stage: write an exported file, and all that is needed to use it, as a zip file."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import Image

import src
from src import formats
from src.bundle import archive, exam
from src.bundle.card import card
from src.bundle.options import BundleOptions
from src.data.pipeline.image_file import read_image
from src.data.restore import data_of
from src.errors import UsageError
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

CONTENTS = Path(src.__file__).parent / "shipped"
MODEL = "model.onnx"
DECODER = "decoder.json"  # if it is not the evaluation's
TEST_IMAGE = "test_image.png"  # without loss: every decoder gives the same pixels

# Largest difference of a probability between the machine that made the bundle and the one that
# checks it. Processors round differently, and a quantized value may then differ by a whole step.
_TOLERANCE = {"fp32": 1e-3, "fp16": 1e-2, "int8": 5e-2}


def bundle(run: Run, options: BundleOptions) -> dict[str, int]:
    """Write the zip file.

    Returns:
        The bytes of each file in it, by name.

    Raises:
        UsageError: the format cannot be bundled, its files were changed, or there is no image to
            check it with.
        LightshipError: the exported file cannot run here.
    """
    manifest = run.read_manifest()
    name = options.format or recommended(run, "cpu")
    require_exported(manifest, name)
    _require_onnx(manifest, name)
    require_known(run, manifest, name)
    test_image = _test_image(run, options)
    row, dataset = _measured(run, manifest, name, embedded=options.embedded)
    _require_budget(name, row, options.decoder)
    contents = {
        MODEL: _model(run, manifest, name, embedded=options.embedded),
        TEST_IMAGE: _png(test_image),
        "expected.json": _json(_expected(run, name, test_image)),
        "class_names.json": _json(manifest.class_names),
        "requirements.txt": _requirements(),
        "README.md": card(
            manifest,
            name,
            row,
            dataset,
            TEST_IMAGE,
            embedded=options.embedded,
            exam=options.exam_images > 0,
        ).encode(),
        **({} if options.decoder == REFERENCE else {DECODER: _json({"decoder": options.decoder})}),
        **{file.name: file.read_bytes() for file in sorted(CONTENTS.iterdir()) if file.is_file()},
    }
    if options.exam_images:
        shipped = exam.ShippedFile(
            name=name,
            model_files=(MODEL,),
            contents=contents,
            row=row,
            tolerance=_TOLERANCE[formats.get(name).precision],
            embedded=options.embedded,
            decoder=options.decoder,
        )
        contents |= exam.pack(run, manifest, shipped, options.exam_images, options.exam_content)
    archive.write(Path(options.output), contents)
    return {name: len(contents[name]) for name in sorted(contents)}


def _require_budget(name: str, row: Row | None, decoder: Decoder) -> None:
    """Refuse a decoder that was not shown to keep the accuracy budget with this file.

    Raises:
        UsageError: it was not scored with this file, or its test did not pass.
    """
    pipeline = row.pipeline_of(decoder) if row else None
    if decoder == REFERENCE or (pipeline and pipeline.keeps_budget):
        return
    answers = pipeline.answers if pipeline else None
    raise UsageError(
        "decoder",
        expected=f"a decoder that was measured to keep the accuracy budget with {name}",
        found=f"{decoder}, whose verdict is {answers.verdict if answers else 'not known'}",
        remedy=f"measure the run's large JPEGs with benchmark.decoders=[{REFERENCE},{decoder}], or "
        f"leave it at {REFERENCE}",
    )


def _require_onnx(manifest: Manifest, name: str) -> None:
    kind = formats.get(name)
    if kind.runs_with != ("onnxruntime",) or "cpu" not in kind.devices:
        fitting = [
            other for other in manifest.exported if formats.get(other).runs_with == ("onnxruntime",)
        ]
        raise UsageError(
            "format",
            expected=f"an ONNX file for a CPU, of which the run has {', '.join(fitting) or 'none'}",
            found=name,
            remedy="name one, as in format=onnx_fp32",
        )


def _model(run: Run, manifest: Manifest, name: str, *, embedded: bool) -> bytes:
    """Return the ONNX file to ship."""
    if not embedded:
        return run.own("exports", name, MODEL).read_bytes()
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
    return run.own("exports", entry.folder, MODEL).read_bytes()


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


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.convert("RGB").save(file, "PNG")
    return file.getvalue()


def _expected(run: Run, name: str, image: Image.Image) -> dict[str, object]:
    """Return the prediction of the exported file for an image, as plain values."""
    with open_file(run, PredictOptions(format=name)) as file:
        prepared = file.prepare(image.convert("RGB"))
        probabilities = softmax(file.logits(prepared[None]))[0]
    return {
        "image": TEST_IMAGE,
        "class": file.class_names[int(probabilities.argmax())],
        "probabilities": probabilities.tolist(),
        "tolerance": _TOLERANCE[formats.get(name).precision],
    }


def _measured(
    run: Run, manifest: Manifest, name: str, *, embedded: bool
) -> tuple[Row | None, ScoredDataset | None]:
    """Return the row of this very file on a CPU, and the data that it was scored on.

    With ``embedded`` it is the row of the file without its preprocessing, from which the embedded
    one was made. None if the files were exported or changed after the measurement.
    """
    if not run.benchmark.is_file():
        return None, None
    results = run.read_benchmark()
    written = manifest.formats[name].files
    hashes = fingerprint.of(written if embedded else files_now(run, manifest, name))
    row = results.row(name, "cpu")
    if row and row.is_ok and row.sha256 == hashes:
        return row, results.dataset
    return None, None


def _requirements() -> bytes:
    """Return the requirements of ``predict.py``: at least the versions installed here."""
    import onnxruntime

    versions = {
        "numpy": np.__version__,
        "onnxruntime": onnxruntime.__version__,
        "pillow": PIL.__version__,
    }
    return "".join(f"{name}>={version}\n" for name, version in versions.items()).encode()


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
