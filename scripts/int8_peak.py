#!/usr/bin/env python3
"""Measure how near int8 files come to the processor's int8 peak.

scripts/int8_peak.py [--root FOLDER]

The peak is the highest rate that ONNX Runtime or OpenVINO reaches with wide 1x1 convolutions in
int8; no runtime reaches the rate on the processor's data sheet. It is measured with one thread and
with all: two hardware threads of one core share its matrix unit, and together are hardly faster
than one. With --root, the folder of runs of scripts/compare_runtimes.py, a table follows: the time
that each network's products would take at that rate, the time of its files, and their ratio. All
are measured in turn, each in a process of its own.

It takes half a minute, and four minutes with --root.
"""

from __future__ import annotations

import restart_in_environment  # noqa: F401  # continues in .venv

import argparse
import functools
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from src import formats
from src.backends.base import Runtime
from src.backends.onnx.runtime import INPUT, OUTPUT, OnnxRuntime
from src.quantization.evaluation import seconds_of_a_call
from src.run import folder as runs
from src.system import machine

LAYERS, CHANNELS, SIDE = 6, 1024, 32
OPERATIONS = 2 * LAYERS * CHANNELS**2 * SIDE**2  # of a call; a product and a sum are two
ROUNDS = 5
_seconds_of_a_round = functools.partial(seconds_of_a_call, warm_up_calls=5, timed_seconds=1.0)
LEAST_SHARE = 0.8  # of the time, that has to be int8
FILES = ("onnx_fp32", "onnx_int8", "openvino_int8")
# ONNX Runtime has two kernels, chosen by the zero point of the weights: see docs/performance.md.
VARIANTS = {
    "ONNX Runtime": ("onnxruntime", 0),
    "ONNX Runtime, general product": ("onnxruntime", 1),
    "OpenVINO": ("openvino", 0),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, help="where scripts/compare_runtimes.py kept its runs")
    parser.add_argument("--peak", choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--file", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.peak:
        print(seconds_of_chain(*VARIANTS[chosen.peak], chosen.threads))
        return
    if chosen.file:
        print(seconds_of_file(runs.Run.open(chosen.file[0]), chosen.file[1]))
        return
    found = newest_runs(chosen.root) if chosen.root else []
    cores = machine.usable_cores()
    peaks = [(name, threads) for name in VARIANTS for threads in sorted({1, cores})]
    commands = {
        (name, str(threads)): ["--peak", name, "--threads", str(threads)] for name, threads in peaks
    } | {(run.name, name): ["--file", str(run.folder), name] for run in found for name in FILES}
    seconds = in_turn(commands)
    print(f"{machine.cpu_model()}, {cores} threads\n")
    print("| 1x1 convolutions in int8 | threads | TOP/s | of the rounds | times one thread |")
    print("|---|---:|---:|---:|---:|")
    rates: dict[tuple[str, int], float] = {}
    for name, threads in peaks:
        of_rounds = [OPERATIONS / each / 1e12 for each in seconds[name, str(threads)]]
        rates[name, threads] = statistics.median(of_rounds)
        print(
            f"| {name} | {threads} | {rates[name, threads]:.2f} | {min(of_rounds):.2f} to "
            f"{max(of_rounds):.2f} | {rates[name, threads] / rates[name, 1]:.2f} |"
        )
    peak = 1e12 * max(rates.values())
    if found:
        print("\n" + "\n".join(table(found, seconds, peak)))


def newest_runs(root: Path) -> list[runs.Run]:
    """The newest exported run of each network below ``root``."""
    each = (
        runs.newest(root, folder.name, having="exports/manifest.json")
        for folder in sorted((root / runs.LOG_FOLDER).glob("*"))
    )
    found = [run for run in each if run is not None]
    if not found:
        sys.exit(
            f"error: --root: expected runs of scripts/compare_runtimes.py, found none in {root}; "
            f"make them with scripts/compare_runtimes.py --root {root}"
        )
    return found


def in_turn(commands: dict[tuple[str, str], list[str]]) -> dict[tuple[str, str], list[float]]:
    """What each command prints, once a round."""
    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in commands}
    for _ in range(ROUNDS):
        for key, arguments in commands.items():
            command = [sys.executable, __file__, *arguments]
            ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            seconds[key].append(float(ended.stdout.split()[-1]))
    return seconds


def table(
    found: list[runs.Run], seconds: dict[tuple[str, str], list[float]], peak: float
) -> list[str]:
    """What files took, over what their networks' products would take at the peak.

    Args:
        found: the runs.
        seconds: of a call, of each run's name and file, a round each.
        peak: operations a second.
    """
    columns = " | ".join(f"`{name}`, ms (times that)" for name in FILES)
    lines = [f"| network | at the peak, ms | {columns} |", "|---|---:|" + "---:|" * len(FILES)]
    for run in found:
        manifest = run.read_manifest()
        least = 2 * manifest.macs / peak
        taken = {name: statistics.median(seconds[run.name, name]) for name in FILES}
        cells = " | ".join(f"{1e3 * each:.2f} ({each / least:.1f})" for each in taken.values())
        lines.append(f"| {manifest.model} | {1e3 * least:.2f} | {cells} |")
    return lines


def seconds_of_chain(runtime: str, zero: int, threads: int) -> float:
    """Seconds of a call of the chain of convolutions.

    Args:
        runtime: "onnxruntime" or "openvino".
        zero: the zero point of the weights.
        threads: of the runtime.
    """
    image = np.random.default_rng(0).random((1, CHANNELS, SIDE, SIDE), np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        write(path, zero)
        call: Runtime
        if runtime == "openvino":
            import openvino

            from src.backends.openvino.runtime import OpenVinoRuntime

            graph = openvino.convert_model(path)
            call = OpenVinoRuntime(graph, "cpu", threads, "f32")
        else:
            call = OnnxRuntime(path, "cpu", threads)
        share = call.profile(image).time.get("int8", 0.0)
        if share < LEAST_SHARE:
            raise RuntimeError(f"{runtime} spends {share:.0%} of the time in int8: no peak of int8")
        return _seconds_of_a_round(call, image)


def seconds_of_file(run: runs.Run, name: str) -> float:
    """Seconds of a call of a run's file, for one image."""
    shape = run.read_manifest().input_shape
    image = np.random.default_rng(0).random((1, *shape[-3:]), np.float32)
    runtime = formats.get(name).load(run.exports / name, "cpu", machine.usable_cores())
    return _seconds_of_a_round(runtime, image)


def write(path: Path, zero: int) -> None:
    """A chain of 1x1 convolutions in int8, quantized and dequantized in between."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(1)
    constants: dict[str, np.ndarray] = {
        "scale": np.array(1 / 255, np.float32),
        "zero": np.array(0, np.uint8),
        "weight_scale": np.array(1 / 127 / CHANNELS, np.float32),
        "weight_zero": np.array(zero, np.int8),
    }
    nodes = [helper.make_node("QuantizeLinear", [INPUT, "scale", "zero"], ["q0"])]
    for layer in range(LAYERS):
        weights = rng.integers(-127, 128, (CHANNELS, CHANNELS, 1, 1), np.int8)
        constants[f"w{layer}"] = weights
        nodes += [
            helper.make_node("DequantizeLinear", [f"q{layer}", "scale", "zero"], [f"x{layer}"]),
            helper.make_node(
                "DequantizeLinear", [f"w{layer}", "weight_scale", "weight_zero"], [f"v{layer}"]
            ),
            helper.make_node("Conv", [f"x{layer}", f"v{layer}"], [f"y{layer}"], name=f"c{layer}"),
            helper.make_node("QuantizeLinear", [f"y{layer}", "scale", "zero"], [f"q{layer + 1}"]),
        ]
    nodes.append(helper.make_node("DequantizeLinear", [f"q{LAYERS}", "scale", "zero"], ["last"]))
    nodes.append(helper.make_node("GlobalMaxPool", ["last"], [OUTPUT]))
    shape = [1, CHANNELS, SIDE, SIDE]
    graph = helper.make_graph(
        nodes,
        "peak",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [1, CHANNELS, 1, 1])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = [helper.make_opsetid("", 20)]
    onnx.save_model(helper.make_model(graph, opset_imports=opset, ir_version=10), path)


if __name__ == "__main__":
    main()
