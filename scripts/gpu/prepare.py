"""Train each network for two epochs on the device and export it; all networks at once.

Writes, for each network: seconds, exit code, the last lines, and the formats with their status.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from gpu import arguments
from src import runs


def main() -> None:
    parser = arguments.parser(__doc__)
    parser.add_argument("--formats", nargs="+", required=True)
    chosen = parser.parse_args()
    chosen.runs.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    trainings = {
        model: subprocess.Popen(
            command(chosen, model),
            stdout=(chosen.runs / f"{model}.log").open("wb"),
            stderr=subprocess.STDOUT,
        )
        for model in chosen.models
    }
    found: dict[str, Any] = {}
    while len(found) < len(trainings):
        for model, process in trainings.items():
            if model not in found and process.poll() is not None:
                found[model] = {
                    "seconds": time.monotonic() - started,
                    "exit_code": process.returncode,
                    **exported(chosen.runs, model),
                }
                arguments.keep(chosen.out, found)
        time.sleep(0.2)
    if any(each["exit_code"] for each in found.values()):
        sys.exit(1)


def command(chosen: Any, model: str) -> list[str]:
    """The training of one network, with the profiler on, and its exports."""
    gpu = chosen.device == "cuda"
    return [
        *(sys.executable, "-m", "src.train", "experiment=source_report", f"model={model}"),
        *(f"data.image_size={chosen.image_size}", "data.batch_size=32"),
        *("trainer=gpu" if gpu else "trainer=cpu", "benchmark.enabled=false"),
        *(f"export.formats=[{','.join(chosen.formats)}]", "export.preflight=false"),
        f"trainer.default_root_dir={chosen.runs}",
    ]


def exported(root: Path, model: str) -> dict[str, Any]:
    """What became of each format, and the end of the training's output."""
    log = (root / f"{model}.log").read_text(encoding="utf-8", errors="replace")
    run = runs.newest(root, model, having="exports/manifest.json")
    entries = run.read_manifest()["formats"] if run else {}
    return {
        "log": log[-4000:],
        "formats": {
            name: {key: entry.get(key) for key in ("status", "reason", "export_seconds")}
            for name, entry in entries.items()
        },
    }


if __name__ == "__main__":
    main()
