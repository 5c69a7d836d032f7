"""Content of a ``benchmark.json`` with planted figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any


def latency(batch_size: int, p50: float, **changes: Any) -> dict[str, Any]:
    """Return the timing at a batch size: ten rounds, or those in ``seconds``, two per process."""
    seconds = changes.get("seconds", {str(number): [p50] for number in range(10)})
    process_of_round = {number: int(number) // 2 for number in seconds}
    return {
        "batch_size": batch_size,
        "samples": 100,
        "rounds": len(seconds),
        "processes": len(set(process_of_round.values())),
        "process_of_round": process_of_round,
        "mean_s": p50,
        "p50_s": p50,
        "p90_s": p50 * 1.1,
        "p99_s": None,
        "iqr_s": 0.0,
        "images_per_second": batch_size / p50,
        "busy_cores": 1.9,
        "device_p50_s": None,
        "joules_per_image": None,
        "peak_rss_bytes": 200_000_000,
        "peak_device_bytes": None,
        "stable": True,
        "unstable": [],
        "disturbance": None,
        "speedup": {
            "value": 2.0,
            "low": 1.9,
            "high": 2.1,
            "processes": min(5, len(set(process_of_round.values()))),
        },
        "speedup_same_runtime": None,
        "seconds": seconds,
        **changes,
    }


def row(name: str, **changes: Any) -> dict[str, Any]:
    """Return a measured row."""
    return {
        "format": name,
        "device": "cpu",
        "precision": "fp32",
        "status": "ok",
        "reason": None,
        "details": None,
        "usage": f'open("{{folder}}/model")  # {name}',
        "runs_with": ["torch"],
        "files": ["model"],
        "sha256": {"model": f"sha of {name}"},
        "size_bytes": 12_345_678,
        "load_seconds": 0.5,
        "first_inference_seconds": 0.045,
        "effective": {"runtime": "fast 1.0"},
        "profile": {
            "time": {"fp32": 0.25, "int8": 0.75},
            "nodes": {"fp32": 3, "int8": 9},
            "operators": {"QLinearConv": 0.75, "Gelu": 0.25},
        },
        "idle_between_turns": True,
        "latency": [latency(1, 0.0123), latency(8, 0.05)],
        "accuracy": {
            "images": 540,
            "top1": 0.9876,
            "top5": 1.0,
            "ece": 0.02,
            "delta_top1": -0.0123,
            "delta_low": -0.0234,
            "delta_high": 0.0012,
            "mcnemar_p": 0.07,
            "agreement": 0.99,
            "lost": 8,
            "gained": 1,
            "delta_ece": 0.001,
            "worst_class": {"name": "7", "index": 7, "images": 54, "delta": -0.05},
            "per_class": [
                {"name": "0", "index": 0, "images": 54, "before": 1.0, "after": 1.0},
                {"name": "7", "index": 7, "images": 54, "before": 1.0, "after": 0.95},
            ],
            "max_abs_logit_diff": 0.5,
            "p99_abs_logit_diff": 0.4,
            "logit_sqnr_db": None,
            "kl": 0.001,
            "rounding_error": 1.5e-6,
            "beyond_rounding": 0,
            "images_needed": 1234,
            "flips": [],
        },
        "verdict": "inconclusive",
        **changes,
    }


def pipeline(decoder: str = "pillow", **changes: Any) -> dict[str, Any]:
    """Return the time from an image file to its label: 10 ms, of which decoding takes 6."""
    seconds = {"decode": 0.006, "resize": 0.002, "convert": 0.0005, "infer": 0.001, "label": 0.0005}
    whole = latency(1, 0.01, busy_cores=1.5)
    for name in ("peak_rss_bytes", "peak_device_bytes"):
        del whole[name]
    return {
        "decoder": decoder,
        "whole": whole,
        "stages": {
            stage: {
                "mean_s": mean,
                "p50_s": mean,
                "seconds": {str(number): [mean] for number in range(10)},
            }
            for stage, mean in seconds.items()
        },
        "over_reference": None,
        "answers": None,
        "files_of_round": {str(number): [number] for number in range(10)},
        **changes,
    }


def drafted(**changes: Any) -> dict[str, Any]:
    """Return the same with libjpeg's smaller images: twice as fast, and 2 answers change."""
    answers = {
        "images": 540,
        "otherwise": 500,
        "top1": 0.98,
        "delta_top1": -2 / 540,
        "delta_low": -0.0135,
        "delta_high": 0.0037,
        "mcnemar_p": 0.5,
        "flips": 3,
        "lost": 2,
        "gained": 0,
        "images_needed": None,
        "verdict": "pass",
    }
    gain = {"value": 2.0, "low": 1.9, "high": 2.1, "processes": 5}
    answers |= changes.pop("answers", {})
    in_all = {**answers, **changes.pop("against_baseline", {})}
    return (
        pipeline("pillow_draft", over_reference=gain, answers=answers, against_baseline=in_all)
        | changes
    )


def embedded(folder: str, p50: float = 0.012, **changes: Any) -> dict[str, Any]:
    """Return a file with its preprocessing inside: it answers as :func:`drafted` does."""
    inside = drafted(decoder="pillow")
    inside["whole"] |= {
        name: value for name, value in latency(1, p50).items() if "peak" not in name
    }
    return {
        "folder": folder,
        "status": "ok",
        "reason": None,
        "sha256": {"model.onnx": f"sha of {folder}"},
        "size_bytes": 12_400_000,
        "pipeline": inside,
        "flipped_low": 0.001,
        "flipped_high": 0.016,
        "against_baseline": inside["answers"] | {"delta_top1": -0.005, "verdict": "pass"},
        **changes,
    }


def there(instruction_set: str = "avx2", **changes: Any) -> dict[str, Any]:
    """Return the answers of a row with the kernels for another instruction set."""
    return {
        "instruction_set": instruction_set,
        "status": "ok",
        "reason": None,
        "accuracy": row("onnx_int8")["accuracy"],
        "verdict": "fail",
        "changed": 12,
        **changes,
    }


IMAGE_SAMPLE = {
    "split": "test",
    "images": 64,
    "are_files": True,
    "kinds": {"JPEG": 60, "PNG": 4},
    "bytes_p50": 152_000,
    "width_p50": 1024,
    "height_p50": 768,
}
FAILED = {"status": "failed", "reason": "it <b>broke</b> | badly", "latency": [], "accuracy": None}


def twenty() -> list[dict[str, Any]]:
    """Return twenty rows of six runtimes, mixed; six of them have no figures."""
    skipped = {"status": "skipped", "latency": [], "accuracy": None}
    absent = skipped | {"files": [], "sha256": {}, "size_bytes": None}
    no_gpu = skipped | {"reason": "no CUDA device: this system has no driver of a GPU"}
    rows = [
        row("eager"),
        row("torchscript"),
        row("onnx_fp32", runs_with=["onnxruntime"]),
        row("onnx_int8_dynamic", runs_with=["onnxruntime"], precision="int8", size_bytes=3_210_000),
        row("onnx_int8", runs_with=["onnxruntime"], precision="int8", size_bytes=3_200_000),
        row("openvino_fp32", runs_with=["openvino"]),
        row("openvino_bf16", runs_with=["openvino"], precision="bf16"),
        row("openvino_int8", runs_with=["openvino"], precision="int8", size_bytes=3_250_000),
        row("torch_export"),
        row("eager_fp16", device="cuda", **no_gpu),
        row("onnx_fp16", device="cuda", runs_with=["onnxruntime"], **no_gpu),
        row("torch_compile", reason="not installed: a C++ compiler", **absent),
        row("mnn", runs_with=["MNN"]),
        row("ncnn", runs_with=["ncnn"], reason="ncnn has no layer for Gather", **absent),
        row("executorch", runs_with=["executorch"], **FAILED),
        row("executorch_int8", runs_with=["executorch"], precision="int8", **FAILED),
        row("onnx_openvino", runs_with=["onnxruntime"]),
        row("onnx_fp32", device="browser", runs_with=["onnxruntime"]),
        row("onnx_int8", device="browser", runs_with=["onnxruntime"], precision="int8"),
        row("onnx_int8_twin", runs_with=["onnxruntime"], precision="int8", verdict="fail"),
    ]
    for number, measured in enumerate(rows):
        measured["latency"] = [
            latency(size, size * (0.02 - 0.0007 * number)) for size in (1, 8)
        ] * (measured["status"] == "ok")
    return rows


def results(*rows: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a ``benchmark.json``; the first measured row is recommended."""
    return {
        "schema_version": 6,
        "run": "planted/version_0",
        "model": "planted",
        "parameters": 1_000_000,
        "macs": 2_000_000,
        "input_shape": [3, 64, 64],
        "num_classes": 10,
        "command": "python -m src.train model=planted",
        "training": {
            "train_loss": {"epochs": [0.5, 1.0, 1.5, 2.0], "values": [2.0, 1.5, 1.0, 0.5]},
            "val_loss": {"epochs": [1.0, 2.0], "values": [1.2, 0.7]},
            "val_top1": {"epochs": [1.0, 2.0], "values": [0.8, 0.9]},
        },
        "checkpoint": {"path": "checkpoints/best.ckpt", "sha256": "abc", "epoch": 3},
        "calibration": {"split": "train", "images": 128},
        "dataset": {
            "name": "digits",
            "split": "test",
            "images": 540,
            "sha256": "a" * 64,
            "also_in_calibration": 0,
        },
        "class_names": [str(digit) for digit in range(10)],
        "baseline": "eager",
        "options": {"max_accuracy_drop": 0.01, "objective": "latency"},
        "recommendation": {
            "cpu": {
                "format": _first_measured(rows),
                "objective": "latency",
                "batch_size": 1,
                "equals": [],
                "inconclusive": [],
                "chosen_from": 1,
                "tested": 0,
            }
        },
        "recommended": {"cpu": _first_measured(rows)},
        "measured_at": "2026-01-02T03:04:05+00:00",
        "measured_seconds": 61.2,
        "environment": {
            "cpu": "a CPU",
            "isa": [],
            "int8_dot_product": True,
            "usable_cores": 2,
            "machine_cores": 4,
            "virtual_machine": True,
            "frequency_governor": None,
            "memory_bytes": 8_000_000_000,
            "container": {"cores": None, "memory_bytes": None},
            "threads": 2,
            "gpu": None,
            "system": "Linux",
            "python": "3.11",
            "packages": {"torch": "2.15"},
            "git_commit": "c0ffee",
        },
        "rows": list(rows),
        "image_sample": dict(IMAGE_SAMPLE) if any(row.get("pipeline") for row in rows) else None,
    }


def _first_measured(rows: Sequence[dict[str, Any]]) -> str | None:
    names = (row["format"] for row in rows if (row["device"], row["status"]) == ("cpu", "ok"))
    return next(names, None)


def of_version_5(measured: dict[str, Any]) -> dict[str, Any]:
    """Return the content as version 5 of the file had it."""
    older: dict[str, Any] = json.loads(json.dumps(measured))
    older["schema_version"] = 5
    for row_content in older["rows"]:
        row_content.pop("decoders_left_out", None)
        for figures in row_content.get("pipeline", []):
            for name in ("flips_low", "flips_high"):
                (figures["answers"] or {}).pop(name, None)
    return older


def of_version_4(measured: dict[str, Any]) -> dict[str, Any]:
    """Return the content as version 4 of the file had it."""
    older = of_version_5(measured)
    older["schema_version"] = 4
    return older


def of_version_3(measured: dict[str, Any]) -> dict[str, Any]:
    """Return the content as version 3 of the file had it."""
    older = of_version_4(measured)
    older["schema_version"] = 3
    for row_content in older["rows"]:
        row_content.pop("instruction_sets", None)
    return older


def of_version_2(measured: dict[str, Any]) -> dict[str, Any]:
    """Return the content as version 2 of the file had it."""
    older = of_version_3(measured)
    older["schema_version"] = 2
    older.pop("image_sample")
    for row_content in older["rows"]:
        row_content.pop("pipeline", None)
    return older


def of_version_1(measured: dict[str, Any]) -> dict[str, Any]:
    """Return the content as version 1 of the file had it."""
    older = of_version_2(measured)
    older["schema_version"] = 1
    for name in ("sha256", "also_in_calibration"):
        older["dataset"].pop(name)
    for advice in older["recommendation"].values():
        advice.pop("chosen_from")
        advice.pop("tested")
    for row_content in older["rows"]:
        row_content |= {"peak_rss_bytes": 200_000_000, "peak_device_bytes": None}
        for cell in row_content["latency"]:
            cell.pop("peak_rss_bytes")
            cell.pop("peak_device_bytes")
        if row_content["accuracy"]:
            row_content["accuracy"] |= {"verdict": row_content["verdict"], "max_drop": 0.01}
            row_content["accuracy"].pop("rounding_error")
            row_content["accuracy"].pop("beyond_rounding")
    return older
