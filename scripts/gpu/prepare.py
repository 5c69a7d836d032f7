"""Train each network for two epochs on the device and export it; all networks at once.

Writes, for each network: seconds, exit code, the last lines, and the formats with their status.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from gpu import arguments
from src.run import folder


def main() -> None:
    parser = arguments.parser(__doc__)
    parser.add_argument("--formats", nargs="+", required=True)
    chosen = parser.parse_args()
    chosen.runs.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    found: dict[str, Any] = {}
    with ThreadPoolExecutor(len(chosen.models)) as pool:
        trainings = {
            model: pool.submit(
                arguments.logged, command(chosen, model), chosen.runs / f"{model}.log"
            )
            for model in chosen.models
        }
        while not all("exit_code" in each for each in found.values()) or not found:
            time.sleep(1)
            for model, training in trainings.items():
                if "exit_code" in found.get(model, {}):
                    continue
                found[model] = {
                    "seconds": time.monotonic() - started,
                    **({"exit_code": training.result()} if training.done() else {}),
                    **exported(chosen.runs, model),
                }
            arguments.keep(chosen.out, found)
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
    path = root / f"{model}.log"
    log = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    run = folder.newest(root, model, having="exports/manifest.json")
    exports = run.read_manifest().formats if run else {}
    return {
        "log": log[-4000:],
        "formats": {
            name: {key: getattr(export, key) for key in ("status", "reason", "export_seconds")}
            for name, export in exports.items()
        },
    }


if __name__ == "__main__":
    main()
