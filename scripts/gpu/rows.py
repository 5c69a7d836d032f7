"""Measure the exported files of one network on the device: the product's own measurement.

Writes ``benchmark.json`` as ``results``.
"""

from __future__ import annotations

import sys

from gpu import arguments
from src import machine, runs


def main() -> None:
    parser = arguments.parser(__doc__)
    parser.add_argument("--seconds", type=float, required=True, help="of timing")
    parser.add_argument("--batch-sizes", type=int, nargs="+", required=True)
    chosen = parser.parse_args()
    [model] = chosen.models
    run = runs.newest(chosen.runs, model, having="exports/manifest.json")
    if run is None:
        sys.exit(f"{model}: nothing was exported")
    log = chosen.out.with_suffix(".log")
    code = arguments.logged(
        [
            *(sys.executable, "-m", "src.benchmark", str(run.folder), "again=true"),
            f"devices=[{chosen.device}]",
            f"batch_sizes=[{','.join(map(str, chosen.batch_sizes))}]",
            *(f"max_seconds={chosen.seconds}", "samples=50", "turn_seconds=0.05"),
            *(f"loads_at_once={machine.usable_cores()}", "warmup_seconds=1"),
        ],
        log,
    )
    text = log.read_text(encoding="utf-8", errors="replace")[-4000:]
    results = run.read_benchmark() if run.benchmark.is_file() else None
    arguments.keep(chosen.out, {"exit_code": code, "log": text, "results": results})
    sys.exit(code)


if __name__ == "__main__":
    main()
