"""What profiling costs: time outside its windows, memory and disk over many epochs.

python scripts/benchmark_profiling.py [--pairs 5] [--epochs 50]

Time: trainings with the light profile and with none, in processes of their own, in the order
A B B A; the ratio of the seconds a step that TensorBoard's scalars give, profiled steps left out.
Memory and disk: one long training with the full profile; the resident set at each epoch's end.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from src.benchmark.process import resident_bytes

TRAINING = (
    *("model=resnet34", "data.image_size=32", "export.enabled=false"),
    *("benchmark.enabled=false",),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5, help="of trainings, with and without")
    parser.add_argument("--epochs", type=int, default=50, help="of the long training")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        cost(Path(name) / "cost", chosen.pairs)
        growth(Path(name) / "growth", chosen.epochs)


def cost(folder: Path, pairs: int) -> None:
    """Print how much longer a step takes with the light profile on, outside its windows."""
    ratios = []
    for pair in range(pairs):
        order = ("light", "none") if pair % 2 == 0 else ("none", "light")
        seconds = {kind: step_seconds(folder / f"{pair}-{kind}", kind) for kind in order}
        ratios.append(seconds["light"] / seconds["none"])
        print(f"pair {pair + 1}: {ratios[-1]:.3f}", flush=True)
    print(
        f"a step with the light profile over one without: median {statistics.median(ratios):.3f}, "
        f"from {min(ratios):.3f} to {max(ratios):.3f} ({pairs} pairs)\n",
        flush=True,
    )


def step_seconds(root: Path, profiler: str) -> float:
    """The median of a training's logged seconds a step, the first epoch left out."""
    command = train(root, f"profiler={profiler}", "trainer.max_epochs=4")
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    [run] = root.glob("lightning_logs/*/version_0")
    events = EventAccumulator(str(run), size_guidance={"scalars": 0}).Reload()
    logged = events.Scalars("throughput/step_seconds")
    return statistics.median(event.value for event in logged[len(logged) // 4 :])


def growth(root: Path, epochs: int) -> None:
    """Print the resident set and the size of the traces over a long training, fully profiled."""
    command = train(root, "profiler=tensorboard", f"trainer.max_epochs={epochs}")
    resident: dict[int, int] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as training:
        assert training.stdout is not None  # noqa: S101  # it is a pipe
        for line in training.stdout:
            if found := re.match(r"epoch (\d+)/", line):
                resident[int(found[1])] = resident_bytes(training.pid)
    if training.returncode:
        sys.exit("the training failed")
    for epoch in sorted({1, 2, epochs // 2, epochs}):
        print(f"resident set after epoch {epoch}: {resident[epoch] / 1e6:.0f} MB")
    print(f"after epoch {epochs} over epoch 2: {resident[epochs] / resident[2]:.3f}")
    traces = [path.stat().st_size for path in root.rglob("profile/*.pt.trace.json.gz")]
    print(f"traces: {len(traces)}, {sum(traces) / 1e6:.1f} MB of 200 MB allowed")


def train(root: Path, *options: str) -> list[str]:
    """The command of a training whose run is below ``root``."""
    root.mkdir(parents=True)
    arguments = [*TRAINING, *options, f"trainer.default_root_dir={root}"]
    return [sys.executable, "-u", "-m", "src.train", *arguments]


if __name__ == "__main__":
    main()
