"""An account of a twin with planted figures."""

from __future__ import annotations

from typing import Any

from src.run.reading import convert
from src.run.twin import Twin

SHA = "0" * 64


def values(**changes: Any) -> dict[str, Any]:
    """Return the plain values of ``twin.json``."""
    part = {"kind": "SiLU", "by": "ReLU6", "paths": ["features.0.2"]}
    unchanged = {"name": "nothing replaced", "replaced": [], "speedup": 1.0, "agreement": 1.0}
    plan = {"name": "1 SiLU by ReLU6", "replaced": [part], "speedup": 1.7, "agreement": 0.6}
    return {
        "schema_version": 1,
        "command": "python -m src.twin RUN",
        "made_at": "2026-01-01T00:00:00+00:00",
        "key": "key",
        "checkpoint_sha256": SHA,
        "tried": [unchanged, {**plan, "probe_agreement": 0.9}],
        "chosen": 1,
        "seconds": 90.0,
        "teacher": {"images": 180, "top1": 0.99, "agreement": 1.0},
        "distilled": {"images": 180, "top1": 0.97, "agreement": 0.98},
        "twin": {"images": 180, "top1": 0.98, "agreement": 0.99},
        "graph_sha256": SHA,
        "ranges": {"images": [-1.0, 1.0]},
        **changes,
    }


def record(**changes: Any) -> Twin:
    """Return the record of :func:`values`."""
    return convert(values(**changes), Twin)
