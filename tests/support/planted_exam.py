"""An exam and its measurement with planted answers and times, as the shipped program writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from src.shipped import exam_record
from src.shipped.answers import Answers
from src.shipped.exam_files import Exam
from src.shipped.file_hash import sha256_of
from src.shipped.latencies import Disturbance, Turn
from src.shipped.measure import Measurement
from src.shipped.stages import STAGES

CLASSES = [str(digit) for digit in range(10)]
HOME = {
    "cpu": "a CPU",
    "isa": ["AVX2"],
    "architecture": "x86_64",
    "usable_cores": 2,
    "threads": 2,
    "system": "Linux",
    "python": "3.12.0",
    "packages": {"onnxruntime": "1.32.0"},
}


def exam(folder: Path, images: int = 64, **changes: Any) -> Exam:
    """An exam of an fp32 file that has the right class for all images but the first two."""
    (folder / "model.onnx").write_bytes(b"a model")
    generator = np.random.default_rng(0)
    labels = np.arange(images) % len(CLASSES)
    answers = generator.normal(0, 1, (images, len(CLASSES)))
    answers[np.arange(images), labels] += 8
    answers[:2] = np.roll(answers[:2], 1, axis=1)
    answers = answers.astype(np.float32)
    values: dict[str, Any] = {
        "folder": folder,
        "run": "planted/version_0",
        "model": "planted",
        "format": "onnx_fp32",
        "runtime": "onnxruntime",
        "precision": "fp32",
        "checkpoint": "abc",
        "class_names": CLASSES,
        "dataset": "digits",
        "split": "test",
        "content": "images",
        "decoder": "pillow",
        "batch": 64,
        "tolerance": 1e-3,
        "max_drop": 0.01,
        "baseline": "eager",
        "measured_verdict": "same",
        "measured_p50_s": 0.002,
        "model_files": {"model.onnx": sha256_of(folder / "model.onnx")},
        "sha256": "e" * 64,
        "images": [f"{number:03}.png" for number in range(images)],
        "positions": list(range(0, 2 * images, 2)),
        "home": HOME,
        "labels": labels,
        "answers": answers,
        "reference": answers.copy(),
    }
    return Exam(**(values | changes))


def flipped(logits: Any, count: int) -> Any:
    """Return logits whose last ``count`` images have another class, by a wide margin."""
    others = logits.copy()
    if count:
        others[-count:] = np.roll(others[-count:], 1, axis=1)
    return others


def measurement(
    seconds: float = 0.002, processes: int = 3, *, embedded: bool = False
) -> Measurement:
    """Return rounds of two processes a session, and of the pipeline."""
    measured = Measurement(threads=2, peak_rss_bytes=80_000_000)
    generator = np.random.default_rng(1)
    quiet = Disturbance(0.1, 0.0, 0.0, None)
    for process in range(processes):
        for offset, name in enumerate(measured.rounds):
            measured.loaded.append(
                {
                    "load_seconds": 0.1,
                    "first_seconds": 0.01,
                    "embedded": embedded,
                    "takes_pixels": False,
                    "nice": 0,
                }
            )
            level = seconds * float(np.exp(generator.normal(0, 0.01)))
            for number in range(3 * process, 3 * process + 3):
                calls = (level * np.exp(generator.normal(0, 0.02, 40))).tolist()
                measured.rounds[name][number] = Turn(calls, sum(calls), sum(calls), process, quiet)
            parts = {stage: [level / 5] * 4 for stage in STAGES}
            measured.pipelines[2 * process + offset] = Turn(
                [level] * 4, 4 * level, 4 * level, 2 * process + offset, quiet, parts, [0, 1, 2, 3]
            )
    return measured


def record(
    folder: Path,
    flips: int = 0,
    seconds: float = 0.002,
    *,
    embedded: bool = False,
    **changes: Any,
) -> dict[str, Any]:
    """Return the content of a ``measurement.json`` of a machine that flips some answers."""
    taken = exam(folder, **changes)
    answers = Answers.of(taken, flipped(taken.answers, flips), taken.class_names)
    return exam_record.record_of(taken, answers, measurement(seconds, embedded=embedded), 12.5)
