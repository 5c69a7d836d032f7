"""The content of ``measurement.json``: SI units and raw samples, in the shape of a run's files.

Lightship reads it by ``src/run/exam.py``.
"""

from __future__ import annotations

import datetime as dt
import statistics
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING or __package__:  # a part of a package
    from . import accuracy, latencies, machine
    from .answers import Answers
    from .exam_files import Exam
    from .file_hash import sha256_of
    from .measure import Measurement
    from .stages import STAGES
else:  # in the folder of a model
    import accuracy
    import latencies
    import machine
    from answers import Answers
    from exam_files import Exam
    from file_hash import sha256_of
    from measure import Measurement
    from stages import STAGES

Array = np.ndarray[Any, np.dtype[Any]]
Json = dict[str, Any]

VERSION = 3  # src/run/exam.py has the history
PIXELS = {"dtype": "uint8", "layout": "NHWC", "normalised": False}  # an input


def record_of(exam: Exam, answers: Answers, measured: Measurement, seconds: float) -> Json:
    """Return the content of ``measurement.json``: SI units and raw samples."""
    environment = machine.describe(measured.threads)
    same = measured.same_file_twice
    call = latencies.call_seconds(measured.merged) if measured.merged else None
    return {
        "kind": "exam",
        "schema_version": VERSION,
        "run": exam.run,
        "model": exam.model,
        "class_names": exam.class_names,
        "checkpoint_sha256": exam.checkpoint,
        "measured_at": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),  # noqa: UP017  # Python 3.10
        "measured_seconds": seconds,
        "dataset": {
            "name": exam.dataset,
            "split": exam.split,
            "images": len(exam.labels),
            "sha256": exam.sha256,
        },
        "content": exam.content,
        "embedded": measured.loaded[0]["embedded"],
        "baseline": exam.baseline,
        "max_accuracy_drop": exam.max_drop,
        "packed_files": exam.model_files,
        "home": exam.home,
        "home_verdict": exam.measured_verdict,
        "home_p50_s": exam.measured_p50_s,
        "environment": environment,
        "answers": _home_values(exam, answers),
        "problems": answers.problems,
        "call_seconds": call and call._asdict(),
        "same_file_twice": same and same._asdict(),
        "pipeline": _pipeline_values(exam, measured),
        "rows": [_row_values(exam, answers, measured, environment)],
    }


def _row_values(exam: Exam, answers: Answers, measured: Measurement, environment: Json) -> Json:
    """Return the row as a ``benchmark.json`` has it."""
    version = environment["packages"].get(exam.runtime, "")
    files = [exam.folder / name for name in exam.model_files]
    return {
        "format": exam.format,
        "device": "cpu",
        "precision": exam.precision,
        "status": "ok",
        "reason": None,
        "size_bytes": sum(path.stat().st_size for path in files if path.is_file()),
        "files": list(exam.model_files),
        "sha256": {path.name: sha256_of(path) if path.is_file() else None for path in files},
        # As in benchmark.json, the network's own input is not written.
        **({"input": PIXELS} if measured.loaded[0]["takes_pixels"] else {}),
        "latency": [],
        "accuracy": _accuracy_values(exam, answers),
        "verdict": answers.verdict,
        **(_time_values(measured) if measured.merged else {}),
        "effective": {
            "runtime": f"{exam.runtime} {version}".strip(),
            "device": "cpu",
            "threads": environment["threads"],
        },
    }


def _time_values(measured: Measurement) -> Json:
    """Return the figures of a row that was timed."""
    cell = latencies.cell(measured.merged, warm=measured.warm)
    loads = [one["load_seconds"] for one in measured.loaded]
    return {
        "latency": [{**cell, "peak_rss_bytes": measured.peak_rss_bytes, "peak_device_bytes": None}],
        "pipeline_reason": measured.pipeline_reason,
        "load_seconds": statistics.median(loads),
        "loads_seconds": loads,
        "nice": measured.loaded[0]["nice"],
        "first_inference_seconds": measured.loaded[0]["first_seconds"],
        "idle_between_turns": measured.settled,
        "profile": {"time": {}, "nodes": {}, "operators": {}},
    }


def _accuracy_values(exam: Exam, answers: Answers) -> Json:
    """Return the accuracy here, paired with the trained network's where that is known."""
    logits, labels = answers.logits, exam.labels
    alone = {
        "images": len(labels),
        "top1": float((logits.argmax(axis=1) == labels).mean()),
        "top5": accuracy.top5_share(logits, labels),
        "ece": accuracy.calibration_error(logits, labels),
    }
    drift, changed = answers.reference_drift, answers.reference
    if drift is None or changed is None or exam.reference is None:
        return alone
    ece_before = accuracy.calibration_error(exam.reference, labels)
    return {
        **alone,
        "delta_top1": changed.delta,
        "delta_low": changed.low,
        "delta_high": changed.high,
        "mcnemar_p": changed.mcnemar_p,
        "agreement": 1 - changed.flips / len(labels),
        "lost": changed.lost,
        "gained": changed.gained,
        "images_needed": None if answers.verdict == "same" else changed.images_needed,
        "max_drop": exam.max_drop,
        "worst_class": None,
        "per_class": [],
        "logit_sqnr_db": drift.sqnr_db,
        "kl": drift.kl,
        "max_abs_logit_diff": drift.largest,
        "p99_abs_logit_diff": drift.p99,
        "rounding_error": drift.rounding_error,
        "beyond_rounding": drift.beyond_rounding,
        "delta_ece": alone["ece"] - ece_before,
        "flips": _flips(exam, logits, exam.reference),
    }


def _home_values(exam: Exam, answers: Answers) -> Json:
    """Return the comparison with the answers that the file gave where it was packed."""
    drift, changed, images = answers.drift, answers.home, len(exam.labels)
    low, high = accuracy.wilson(changed.flips, images)
    return {
        "images": images,
        "flips": _flips(exam, answers.logits, exam.answers),
        "flips_low": max(0.0, low),
        "flips_high": min(1.0, high),
        "top1_home": float((exam.answers.argmax(axis=1) == exam.labels).mean()),
        "lost": changed.lost,
        "gained": changed.gained,
        "delta_top1": changed.delta,
        "delta_low": changed.low,
        "delta_high": changed.high,
        "max_abs_logit_diff": drift.largest,
        "logit_sqnr_db": drift.sqnr_db,
        "max_probability_diff": drift.probability,
        "tolerance": exam.tolerance,
        "rounding_error": drift.rounding_error,
        "beyond_rounding": drift.beyond_rounding,
    }


def _flips(exam: Exam, logits: Array, others: Array) -> list[Json]:
    before, after = others.argmax(axis=1), logits.argmax(axis=1)
    return [
        {
            "position": exam.positions[index],
            "true": int(exam.labels[index]),
            "before": int(before[index]),
            "after": int(after[index]),
        }
        for index in np.flatnonzero(before != after).tolist()
    ]


def _pipeline_values(exam: Exam, measured: Measurement) -> Json | None:
    if not measured.pipelines:
        return None
    return {
        "decoder": exam.decoder,
        "whole": latencies.cell(measured.pipelines, warm=measured.pipeline_warm),
        "stages": latencies.stage_times(measured.pipelines, STAGES),
        "over_reference": None,
        "answers": None,
        "files_of_round": {
            str(number): turn.files for number, turn in measured.pipelines.items() if turn.files
        }
        or None,
    }
