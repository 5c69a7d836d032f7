"""Read what the profiler recorded of the trainings: seconds of each part of a step, on both sides.

Writes, for each network: the medians of its training windows, ``host`` and ``device`` seconds by
region of the step, and the size of the traces.
"""

from __future__ import annotations

import json
import statistics
import sys
from typing import Any

from gpu import arguments
from src.run import folder


def main() -> None:
    chosen = arguments.parser(__doc__).parse_args()
    found: dict[str, Any] = {}
    for model in chosen.models:
        run = folder.newest(chosen.runs, model, having="profile/rank0.json")
        if run is None:
            continue
        content = json.loads((run.profile / "rank0.json").read_text(encoding="utf-8"))
        windows = [each for each in content["windows"] if each["stage"] == "train"]
        found[model] = {
            "windows": len(windows),
            "bytes": sum(each["bytes"] for each in windows),
            "step_seconds": statistics.median(
                second for each in windows for second in each["step_seconds"]
            ),
            **{
                side: medians([each[side] for each in windows if each.get(side)])
                for side in ("regions", "device")
            },
            "notes": content["notes"],
        }
        arguments.keep(chosen.out, found)
    missing = [model for model in chosen.models if model not in found]
    if missing:
        sys.exit(f"no profile of {', '.join(missing)}")
    if chosen.device == "cuda" and not all(each["device"] for each in found.values()):
        sys.exit("a trace has no work on the device")


def medians(windows: list[dict[str, float]]) -> dict[str, float]:
    """The median of each region over the windows, in seconds."""
    names = dict.fromkeys(name for window in windows for name in window)
    return {
        name: statistics.median(window[name] for window in windows if name in window)
        for name in names
    }


if __name__ == "__main__":
    main()
