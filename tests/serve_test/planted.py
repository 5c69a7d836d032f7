"""Content of a ``serve_test.json`` with planted figures."""

from __future__ import annotations

from typing import Any

from tests.report.planted import results


def probe(rate: float, p99: float, verdict: str = "held", **changes: Any) -> dict[str, Any]:
    """Return a probe of ten requests, of which the first two are the warm-up."""
    return {
        "run": 0,
        "attempt": 0,
        "rate": rate,
        "seconds": 1.0,
        "warm_up": 2,
        "p50_s": p99 / 2,
        "p99_s": p99,
        "lag_p99_s": 1e-4,
        "backlog": 1,
        "is_cut": False,
        "verdict": verdict,
        "batches": {"1": 4, "3": 2},
        "latencies_s": [p99 / 2] * 9 + [p99],
        **changes,
    }


def configuration(window: float, rate: float, **changes: Any) -> dict[str, Any]:
    """Return a configuration that held a rate in two runs, and did not hold a tenth more."""
    probes = [
        probe(rate, 0.018),
        probe(1.1 * rate, 0.025, "late"),
        probe(2 * rate, 0.3, "saturated"),
    ]
    return {
        "threads": 1,
        "streams": 1,
        "window_s": window,
        "largest_batch": 16 if window else 1,
        "call_s": 0.002,
        "batch_call_s": 0.016,
        "probes": probes,
        "bounds": [{"run": run, "held": rate, "failed": 1.05 * rate} for run in (0, 1)],
        "highest": {"value": rate, "low": 0.95 * rate, "high": 1.1 * rate, "processes": 2},
        **changes,
    }


def serve_test(*configurations: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return the content of a file, by default with and without batching."""
    return {
        "schema_version": 1,
        "run": "resnet34/version_0",
        "command": "python -m src.serve_test RUN",
        "measured_at": "2026-11-26T12:00:00+00:00",
        "format": "onnx",
        "device": "cpu",
        "sha256": {"model": "a hash"},
        "key": "k",
        "environment": results()["environment"],
        "worker_cores": 1,
        "own_core": True,
        "samples": 800,
        "runs": 3,
        "p99_limit_s": 0.02,
        "is_complete": True,
        "configurations": list(configurations)
        or [configuration(0.0, 220.0), configuration(0.004, 310.0)],
        "chosen": 1,
        "gain": {"value": 1.41, "low": 1.3, "high": 1.5, "processes": 3},
        "notes": [],
        **changes,
    }
