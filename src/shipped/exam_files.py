"""Reading of the exam that came with a model: test images, labels, and the answers at home.

``exam/exam.json`` describes it. ``exam/answers.npz`` has ``labels`` (n,), the logits ``answers``
(n, K) that the model gave where it was packed, and ``reference`` (n, K), those of the trained
network, if they are known. The images are files, or the array ``inputs`` of ``exam/inputs.npz``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING or __package__:  # a part of a package
    from . import exam_checks
    from .file_hash import sha256_of
else:  # in the folder of a model
    import exam_checks
    from file_hash import sha256_of

Array = np.ndarray[Any, np.dtype[Any]]

FOLDER = "exam"
FACTS = "exam.json"
ANSWERS = "answers.npz"
INPUTS = "inputs.npz"
VERSION = 1
MOST_BYTES = 2**31  # of a file, and of its arrays unpacked
MOST_FACTS_BYTES = 64_000_000
_ALL = slice(None)
_READING = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, OverflowError),
    *(MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error),  # RecursionError among them
)


class ExamError(Exception):
    """A failure that its one-line message explains completely."""


class Preparing(Protocol):
    """The model as far as it makes inputs."""

    def prepare(self, file: io.BytesIO) -> Array:
        """Return the model's input for an image file."""


@dataclass(frozen=True)
class Exam:
    """The exam: its facts, and arrays over n images and K classes."""

    folder: Path  # of the model
    run: str
    model: str
    format: str
    runtime: str  # its package
    precision: str
    checkpoint: str  # SHA-256
    class_names: list[str]
    dataset: str
    split: str
    content: str  # "images" or "tensors"
    decoder: str  # of image files
    batch: int  # images at once
    tolerance: float  # largest difference of a probability between processors
    max_drop: float  # of top-1 accuracy, a share of 1
    baseline: str | None  # format that gave the reference
    measured_verdict: str | None  # on all test images, where it was measured
    measured_p50_s: float | None
    model_files: dict[str, str]  # SHA-256 by name
    sha256: str  # of the images and labels
    images: list[str]  # file names; empty for tensors
    positions: list[int]  # in the split
    home: dict[str, Any]  # the machine that packed it
    labels: Array  # (n,)
    answers: Array  # (n, K), the model's logits at home
    reference: Array | None  # (n, K), the trained network's
    packed: int | None = None  # images of the whole exam, if this is a part of it

    def contents(self) -> list[bytes]:
        """Return the image files; empty for tensors."""
        return [(self.folder / FOLDER / name).read_bytes() for name in self.images]

    def inputs(self, model: Preparing, chosen: slice = _ALL) -> list[Array]:
        """Return the model's input for each of the chosen images.

        Raises:
            ExamError: an image cannot be decoded here.
        """
        if self.content == "tensors":
            return list(_arrays(self.folder / FOLDER / INPUTS)["inputs"][chosen])
        inputs = []
        for name in self.images[chosen]:
            content = (self.folder / FOLDER / name).read_bytes()
            try:
                inputs.append(model.prepare(io.BytesIO(content)))
            except ValueError as error:
                raise ExamError(f"{FOLDER}/{name}: {error}") from error
        return inputs

    def first(self, count: int) -> Exam:
        """Return the exam of its first ``count`` images."""
        if count >= len(self.labels):
            return self
        return dataclasses.replace(
            self,
            images=self.images[:count],
            positions=self.positions[:count],
            labels=self.labels[:count],
            answers=self.answers[:count],
            reference=None if self.reference is None else self.reference[:count],
            # They are another set of images, which has a name of its own.
            sha256=hashlib.sha256(f"{self.sha256} {count}".encode()).hexdigest(),
            packed=len(self.labels),
        )

    def changed_files(self) -> list[str]:
        """Return the model's files that are not those that were packed."""
        return [
            name
            for name, sha256 in self.model_files.items()
            if not (self.folder / name).is_file() or sha256_of(self.folder / name) != sha256
        ]


def read(folder: Path) -> Exam:
    """Return the exam beside the model in ``folder``.

    Raises:
        ExamError: there is none, or it is not as it was packed.
    """
    path = folder / FOLDER / FACTS
    if not path.is_file():
        raise ExamError(f"no {FOLDER}/{FACTS} here: pack the model with exam=64 to have an exam")
    try:
        facts = _facts(path)
        hashes = facts.pop("hashes")
        _require_packed(facts, hashes)
        for name, sha256 in hashes.items():
            if sha256_of(path.parent / name) != sha256:
                raise ValueError(f"{name} is another file than was packed")
        arrays = _arrays(path.parent / ANSWERS)
        exam_checks.require_arrays(arrays, len(facts["positions"]), len(facts["class_names"]))
        exam = Exam(
            folder=folder,
            **facts,
            labels=arrays["labels"],
            answers=arrays["answers"],
            reference=arrays.get("reference"),
        )
    except _READING as error:
        words = " ".join(f"{error}".split()) or type(error).__name__
        raise ExamError(f"{FOLDER}: {words}; unpack the zip file again") from error
    return exam


def _facts(path: Path) -> dict[str, Any]:
    """Return the sound content of ``exam.json``, without its version."""
    if path.stat().st_size > MOST_FACTS_BYTES:
        raise ValueError(f"{path.name} is larger than {MOST_FACTS_BYTES} bytes")
    facts = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(facts, dict):
        raise TypeError(f"{path.name} is not an object")
    version = facts.pop("schema_version", None)
    if version != VERSION:
        raise ValueError(f"schema_version {version} instead of {VERSION}")
    exam_checks.require_facts(facts)
    return facts


def _arrays(path: Path) -> dict[str, Array]:
    """Return the arrays of a file, none of which is a pickle."""
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > MOST_BYTES:
        raise ValueError(f"{size} bytes in {path.name}")
    with np.load(path, allow_pickle=False) as content:
        return {name: content[name] for name in content.files}


def _require_packed(facts: dict[str, Any], hashes: dict[str, str]) -> None:
    """Refuse images that are not those of the answers, or files that are not those of the exam."""
    count = len(facts["positions"])
    is_images = facts["content"] == "images"
    if is_images and len(facts["images"]) != count:
        raise ValueError(f"{len(facts['images'])} image files for {count} answers")
    if {ANSWERS, *(facts["images"] if is_images else [INPUTS])} != set(hashes):
        raise ValueError("other files than were packed")
