"""The exam of a bundle: test images, labels, and the answers of the file and of the network.

``predict.py --exam`` takes it where the bundle is used. :mod:`src.shipped.exam_files` reads it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from packaging.utils import canonicalize_name

from src import formats
from src.benchmark.options import BenchmarkOptions
from src.bundle import own_program
from src.bundle.exam_check import require_measured_answers
from src.bundle.exam_images import ExamImages, chosen
from src.bundle.options import Content
from src.data.pipeline.encoded import image_of
from src.data.restore import data_of
from src.errors import LightshipError, UsageError
from src.predict.exported import measured_threads, open_file
from src.predict.options import PredictOptions
from src.run.accuracy import Verdict
from src.run.call_size import images_per_call
from src.run.facts import PreprocessingFacts
from src.run.folder import Run
from src.run.manifest import Manifest
from src.run.pipeline import REFERENCE, Decoder
from src.run.row import Row
from src.shipped import accuracy, machine
from src.shipped.exam_files import ANSWERS, FACTS, FOLDER, INPUTS, VERSION, ExamError
from src.shipped.model_process import Process, all_logits

Logits = NDArray[np.float32]  # (n, K)
Files = dict[str, bytes]  # by name

PLACE = f"{FOLDER}/"
_TRAINED = "eager"  # the trained network as it is


def shows_image(file: str, places: Collection[str]) -> bool:
    """Return True for a file of a bundle that is in one of these places, and shows an image.

    An array of the model's input shows its image as well.
    """
    if file.startswith(PLACE):
        return PLACE in places and file.removeprefix(PLACE) not in {ANSWERS, FACTS}
    return file in places


@dataclass(frozen=True)
class ShippedFile:
    """The exported file that a bundle ships.

    Args:
        name: of the format.
        model_files: names of its files in the bundle.
        contents: all files of the bundle but the exam.
        row: its figures; None if it was not measured.
        tolerance: largest difference of a probability between processors.
        embedded: it has its preprocessing inside.
        decoder: of image files.
        runtime: the package that opens it.
        versions: of the packages that open it, by their canonical names.
        python: version of the Python that has these packages.
    """

    name: str
    model_files: tuple[str, ...]
    contents: Mapping[str, bytes]
    row: Row | None
    tolerance: float
    embedded: bool
    decoder: Decoder
    runtime: str
    versions: Mapping[str, str]
    python: str

    @property
    def sha256(self) -> dict[str, str]:
        """SHA-256 of the model's files, by name."""
        return {name: hashlib.sha256(self.contents[name]).hexdigest() for name in self.model_files}

    @property
    def measured_verdict(self) -> Verdict | None:
        """The measured verdict on these very files after this decoder; None without one.

        The row's is that of the file without its preprocessing inside, after the reference decoder.
        """
        if self.row is None or self.decoder != REFERENCE:
            return None
        if not self.embedded:
            return self.row.verdict
        inside = self.row.embedded
        if inside is None or inside.against_baseline is None or inside.sha256 != self.sha256:
            return None
        return inside.against_baseline.verdict

    @property
    def measured_p50_s(self) -> float | None:
        """The measured seconds of a call; None for a file whose calls were not timed.

        A file with its preprocessing inside was only timed from the bytes of an image.
        """
        cell = self.row.cell(1) if self.row and not self.embedded else None
        return cell.p50_s if cell else None


def pack(run: Run, manifest: Manifest, shipped: ShippedFile, count: int, content: Content) -> Files:
    """Return the files of an exam, by their names in the bundle.

    Args:
        run: the run.
        manifest: of its exports.
        shipped: the file to examine.
        count: number of test images; see :func:`src.bundle.exam_images.chosen`.
        content: image files, or arrays as the file takes them.

    Raises:
        UsageError: the data cannot be read, or the answers are not those of the measurement.
        LightshipError: the exported file cannot run here.
    """
    images = _images(run, count)
    prepared, answers = _answers(run, shipped.name, images, manifest.preprocessing, shipped.decoder)
    is_evaluated = not shipped.embedded and shipped.decoder == REFERENCE
    baseline = _baseline(run, manifest)
    if baseline == shipped.name and shipped.decoder == REFERENCE:
        reference: Logits | None = answers
    else:
        reference = _reference(run, baseline, images, manifest.preprocessing)
    if shipped.row is not None and is_evaluated:
        require_measured_answers(
            run.read_benchmark(), shipped.row, images, answers, reference, shipped.tolerance
        )
    facts = _facts(run, manifest, shipped, images) | {"content": content, "baseline": baseline}
    if content == "images":
        files = dict(zip(images.names, images.contents, strict=True))
    else:
        files = {INPUTS: _npz({"inputs": prepared})}
        facts["images"] = []
    if shipped.embedded:
        # It gives probabilities, and the program takes their logarithms.
        reference = None if reference is None else _log_probabilities(reference)
        answers = _answers_of_bundle(shipped, _exam(facts, files, images, answers, None))
    return _exam(facts, files, images, answers, reference)


def _exam(
    facts: dict[str, object],
    files: Mapping[str, bytes],
    images: ExamImages,
    answers: Logits,
    reference: Logits | None,
) -> Files:
    """Return the complete exam with these answers."""
    arrays: dict[str, NDArray[np.generic]] = {"labels": images.labels, "answers": answers}
    if reference is not None:
        arrays["reference"] = reference
    exam = {**files, ANSWERS: _npz(arrays)}
    hashes = {name: hashlib.sha256(exam[name]).hexdigest() for name in sorted(exam)}
    text = json.dumps({**facts, "hashes": hashes}, indent=1, ensure_ascii=False, allow_nan=False)
    exam[FACTS] = f"{text}\n".encode()
    return {f"{FOLDER}/{name}": data for name, data in exam.items()}


def _images(run: Run, count: int) -> ExamImages:
    try:
        return chosen(data_of(run).dataset("test"), count)
    except UsageError as error:
        raise UsageError(
            "exam",
            expected="test images, but the run's data cannot be read",
            found=str(error),
            remedy="make them readable, or set exam=0",
        ) from error


def _answers(
    run: Run, name: str, images: ExamImages, preprocessing: PreprocessingFacts, decoder: Decoder
) -> tuple[NDArray[np.generic], Logits]:
    """Return a format's inputs and its logits (n, K), as the evaluation computes them."""
    with open_file(run, PredictOptions(format=name)) as file:
        prepared = np.stack(
            [file.prepare(image_of(content, decoder, preprocessing)) for content in images.contents]
        )
        return prepared, file.logits(prepared)


def _reference(
    run: Run, baseline: str | None, images: ExamImages, preprocessing: PreprocessingFacts
) -> Logits | None:
    """Return the logits (n, K) of the trained network; None if the run has no file of it."""
    if baseline is None:
        return None
    try:
        return _answers(run, baseline, images, preprocessing, REFERENCE)[1]
    except UsageError as error:
        raise UsageError(
            "exam",
            expected=f"the baseline {baseline} as it was exported, for the reference answers",
            found=str(error),
            remedy="export it again, or set exam=0",
        ) from error


def _answers_of_bundle(shipped: ShippedFile, exam: Files) -> Logits:
    """Return the logits that the bundle's own program gives: no worker takes such a file.

    Raises:
        LightshipError: it fails.
    """
    with own_program.unpacked({**shipped.contents, **exam}) as folder:
        process = Process(folder)
        try:
            process.ask("load", settings={})
            return all_logits(process, lambda _: None)
        except ExamError as error:
            raise LightshipError(f"{shipped.name}: {error}") from error
        finally:
            process.close()


def _log_probabilities(logits: Logits) -> Logits:
    least = np.log(np.finfo(np.float32).tiny)
    return np.maximum(accuracy.log_softmax(logits), least).astype(np.float32)


def _baseline(run: Run, manifest: Manifest) -> str | None:
    """Return the format that computes the trained network on a CPU; None without a file of it.

    A measurement may have a baseline that runs on a GPU only. It then has compared no row of a CPU.
    """
    name = run.read_benchmark().baseline if run.benchmark.is_file() else _TRAINED
    if "cpu" not in formats.get(name).devices:
        name = _TRAINED
    return name if name in manifest.exported else None


def _facts(
    run: Run, manifest: Manifest, shipped: ShippedFile, images: ExamImages
) -> dict[str, object]:
    """Return the description of the exam as plain values."""
    kind = formats.get(shipped.name)
    results = run.read_benchmark() if run.benchmark.is_file() else None
    side = manifest.preprocessing.image_size
    max_drop = results.options.max_accuracy_drop if results else BenchmarkOptions.max_accuracy_drop
    return {
        "schema_version": VERSION,
        "run": manifest.run,
        "model": manifest.model,
        "format": shipped.name,
        "runtime": shipped.runtime,
        "precision": kind.precision,
        "checkpoint": manifest.checkpoint.sha256,
        "class_names": manifest.class_names,
        "dataset": data_of(run).dataset_name,
        "split": "test",
        "decoder": shipped.decoder,
        "batch": images_per_call(side * side, "cpu", mixes_batch=kind.mixes_batch),
        "tolerance": shipped.tolerance,
        "max_drop": max_drop,
        "measured_verdict": shipped.measured_verdict,
        "measured_p50_s": shipped.measured_p50_s,
        "model_files": shipped.sha256,
        "sha256": images.sha256,
        "images": images.names,
        "positions": images.positions,
        "home": machine.describe(measured_threads(run))
        | {"python": shipped.python, "packages": versions_at_home(shipped)},
    }


def versions_at_home(shipped: ShippedFile) -> dict[str, str]:
    """Return the versions of the packages that answered here, by their names in an exam."""
    return machine.versions(lambda name: shipped.versions.get(canonicalize_name(name)))


def _npz(arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    """Return arrays as a file without pickles; the same arrays give the same bytes."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()
