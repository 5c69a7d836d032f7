"""How near files in int8 come to what the processor can multiply in int8.

python scripts/int8_peak.py [--root FOLDER]

The peak is the highest rate that ONNX Runtime or OpenVINO reaches with wide 1x1 convolutions in
int8, on all cores: what these machines do on paper, no runtime does. With --root, where
scripts/compare_runtimes kept its runs, a table follows: the time that each network's products
would take at that rate, and how many times that its int8 files took. Both runtimes are taken in
turn, each in a process of its own.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from src import machine, runs
from src.formats._onnx_session import INPUT, OUTPUT

LAYERS, CHANNELS, SIDE = 6, 1024, 32
OPERATIONS = 2 * LAYERS * CHANNELS**2 * SIDE**2  # of a call; a product and a sum are two
ROUNDS = 5
SECONDS = 1.0  # of a round
LEAST_SHARE = 0.8  # of the time, that has to be int8
FILES = ("onnx_int8", "openvino_int8")
# ONNX Runtime has two kernels, chosen by the zero point of the weights: see docs/performance.md.
VARIANTS = {
    "ONNX Runtime": ("onnxruntime", 0),
    "ONNX Runtime, general product": ("onnxruntime", 1),
    "OpenVINO": ("openvino", 0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, help="where scripts/compare_runtimes kept its runs")
    parser.add_argument("--measure", choices=VARIANTS, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.measure:
        print(rate(*VARIANTS[chosen.measure]))
        return
    rates: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for _ in range(ROUNDS):
        for name, found in rates.items():
            command = [sys.executable, __file__, "--measure", name]
            ended = subprocess.run(command, check=True, capture_output=True, text=True)
            found.append(float(ended.stdout.split()[-1]))
    print(f"{machine.cpu_model()}, {machine.usable_cores()} threads\n")
    print("| 1x1 convolutions in int8 | TOP/s, median of 5 | least to most |\n|---|---:|---:|")
    for name, found in rates.items():
        print(
            f"| {name} | {statistics.median(found) / 1e12:.2f} | "
            f"{min(found) / 1e12:.2f} to {max(found) / 1e12:.2f} |"
        )
    peak = max(statistics.median(found) for found in rates.values())
    if chosen.root:
        print("\n" + "\n".join(table(chosen.root, peak)))


def table(root: Path, peak: float) -> list[str]:
    """What the files of the newest run of each network took, over what the peak would.

    Args:
        root: of the runs.
        peak: operations a second.
    """
    lines = [
        "| network | at the peak, ms | "
        + " | ".join(f"`{name}`, times that" for name in FILES)
        + " |",
        "|---|---:|" + "---:|" * len(FILES),
    ]
    for folder in sorted((root / runs.LOG_FOLDER).iterdir()):
        run = runs.newest(root, folder.name, having="benchmark.json")
        if run is None:
            continue
        found = runs.read_results(run.benchmark)
        least = 2 * found["macs"] / peak
        rows = {row["format"]: row for row in found["rows"] if row["status"] == "ok"}
        times = [
            f"{rows[name]['latency'][0]['p50_s'] / least:.1f}" if name in rows else "-"
            for name in FILES
        ]
        lines.append(f"| {folder.name} | {least * 1e3:.2f} | {' | '.join(times)} |")
    return lines


def rate(runtime: str, zero: int) -> float:
    """Operations a second: the median of the calls of a round.

    Args:
        runtime: "onnxruntime" or "openvino".
        zero: the zero point of the weights.
    """
    image = np.random.default_rng(0).random((1, CHANNELS, SIDE, SIDE), np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        write(path, zero)
        if runtime == "openvino":
            import openvino

            from src.formats._openvino_session import OpenVinoRuntime

            graph = openvino.convert_model(path)
            call = OpenVinoRuntime(graph, "cpu", machine.usable_cores(), "f32")
        else:
            from src.formats._onnx_session import OnnxRuntime

            call = OnnxRuntime(path, "cpu", machine.usable_cores())
        share = call.profile(image).time.get("int8", 0.0)
        if share < LEAST_SHARE:
            raise RuntimeError(f"{runtime} spends {share:.0%} of the time in int8: no peak of int8")
        taken: list[float] = []
        while sum(taken) < SECONDS:
            started = time.perf_counter()
            call(image)
            taken.append(time.perf_counter() - started)
    return OPERATIONS / statistics.median(taken)


def write(path: Path, zero: int) -> None:
    """A chain of 1x1 convolutions in int8, quantized and dequantized in between."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(1)
    constants = {
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
