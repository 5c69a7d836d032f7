"""The tables of docs/gpu.md, from what the kit wrote."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import marked_page

from gpu.plan import ROOT
from src.report.sections import speedups
from src.run.latency import Interval
from src.run.reading import convert

PAGE = ROOT / "docs" / "gpu.md"
KEPT = ROOT / "docs" / "gpu.json"  # of the last run on a GPU
SOURCE_REPORT = ROOT / "docs" / "source-report.md"
BEGIN, END = "<!-- made by scripts/check_gpu: begin -->", "<!-- made by scripts/check_gpu: end -->"
Results = dict[str, Any]


def write(results: Results, path: Path = PAGE) -> None:
    """Put the tables between the marks of the page."""
    marked_page.fill(path, BEGIN, END, list(tables(results)))
    print(f"written: {path}")


def fill_source_report(results: Results, path: Path = SOURCE_REPORT) -> None:
    """Put TorchScript's GPU figures into the table of the source report's cells.

    They are of another machine than the other cells of the page, so no speed-up stands there.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) < 6 or not cells[1].startswith("torchscript gpu"):  # noqa: PLR2004
            continue
        row = next(
            (
                row
                for row in measurements(results).get(cells[0], {}).get("rows", ())
                if row["format"] == "torchscript" and row["device"] == "cuda"
            ),
            None,
        )
        if row is None:
            cells[5] = "not reached: see gpu.md"
        elif row["status"] != "ok":
            cells[5] = f"{row['status']}: {row['reason']}"
        else:
            timed = row["latency"][0]
            cells[3] = f"{row['size_bytes'] / 2**20:.2f}"
            cells[5] = f"{1e3 * timed['p50_s']:.2f} on {results['environment']['gpu']['name']}"
        lines[number] = f"| {' | '.join(cells)} |"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"written: {path}")


def without_logs(results: Results) -> Results:
    """The results without what the parts printed, which names the machine's paths."""
    parts = {
        name: {key: value for key, value in part.items() if key != "log"}
        for name, part in results["parts"].items()
    }
    for part in parts.values():
        if isinstance(part["content"], dict):
            part["content"] = {
                name: {key: each for key, each in value.items() if key != "log"}
                if isinstance(value, dict)
                else value
                for name, value in part["content"].items()
                if name != "log"
            }
    return {**results, "parts": parts}


def tables(results: Results) -> list[str]:
    """Everything that was answered, and what was not reached."""
    return [
        *_where(results),
        *_rows(results),
        *_training(results),
        *_clocks(results),
        *_benchmark_mode(results),
        *_trace(results),
        *_not_reached(results),
    ]


def _content(results: Results, name: str) -> Any:
    return results["parts"].get(name, {}).get("content") or {}


def _where(results: Results) -> Iterator[str]:
    found = results["environment"]
    gpu = found["gpu"] or {"name": "none: a dry run on the CPU", "cuda": "-", "cudnn": "-"}
    packages = found["packages"]
    yield (
        f"{gpu['name']}, driver {gpu.get('driver', 'unknown')}, CUDA {gpu['cuda']}, cuDNN "
        f"{gpu['cudnn']}; {found['cpu']}, {found['threads']} threads; "
        + ", ".join(f"{name} {packages[name]}" for name in ("torch", "torchvision", "lightning"))
        + f"; {results['setting']['image_size']} pixels."
    )
    yield ""


def measurements(results: Results) -> dict[str, Results]:
    """``benchmark.json`` of each network that was measured."""
    return dict(_content(results, "rows"))


def _rows(results: Results) -> Iterator[str]:
    for model, measured in measurements(results).items():
        rows = [row for row in measured["rows"] if row["device"] == results["setting"]["device"]]
        sizes = [cell["batch_size"] for row in rows for cell in row["latency"]]
        sizes = sorted(set(sizes))
        yield from (f"### {model}", "")
        heads = "".join(f" p50 ms, batch {size} | device ms | times eager |" for size in sizes)
        yield f"| format | precision | top-1 % |{heads} mJ/image, batch {sizes[-1]} |"
        yield f"|---|---|---:|{'---:|---:|---:|' * len(sizes)}---:|"
        for row in rows:
            yield _row(row, len(sizes))
        yield ""


def _row(row: dict[str, Any], sizes: int) -> str:
    head = f"| `{row['format']}` | {row['precision']} |"
    if row["status"] != "ok":
        return f"{head} {row['status']}: {row['reason'][:200]} |" + " - |" * (3 * sizes + 1)
    cells = [f"{100 * row['accuracy']['top1']:.2f}"]
    for cell in row["latency"]:
        device, gain = cell["device_p50_s"], cell["speedup"]
        unstable = f" ~{cell['unstable'][0]}" if cell["unstable"] else ""
        cells += [
            f"{1e3 * cell['p50_s']:.2f}{unstable}",
            "-" if device is None else f"{1e3 * device:.2f}",
            _gain(gain),
        ]
    joules = row["latency"][-1]["joules_per_image"] if row["latency"] else None
    cells.append("-" if joules is None else f"{1e3 * joules:.1f}")
    return f"{head} {' | '.join(cells)} |"


def _gain(gain: dict[str, Any] | None) -> str:
    return speedups.cell(None if gain is None else convert(gain, Interval)).text


def _training(results: Results) -> Iterator[str]:
    found = _content(results, "training")
    if not found.get("models"):
        return
    yield from (f"### Training, batch {found['batch']}, {found['image_size']} pixels", "")
    yield "| network | setting | images/s | times as chosen | peak memory, GB |"
    yield "|---|---|---:|---:|---:|"
    for model, variants in found["models"].items():
        [first, *_] = variants.values()
        base = statistics.median(first["images_per_second"])
        for name, each in variants.items():
            rate, peak = statistics.median(each["images_per_second"]), each["peak_bytes"]
            blocks = ", ".join(f"{value / base:.2f}" for value in each["images_per_second"])
            memory = "-" if peak is None else f"{peak / 1e9:.2f}"
            yield f"| {model} | {name} | {rate:.0f} | {rate / base:.2f} ({blocks}) | {memory} |"
    if "loader" in found:
        yield from (
            "",
            f"The default data loader delivers {found['loader']:.0f} images/s of the digits here.",
        )
    yield ""


def _clocks(results: Results) -> Iterator[str]:
    found = _content(results, "timing").get("unsynchronised")
    if not found:
        return
    yield from ("### One call of eager in fp32, by three clocks", "")
    yield "| network | batch | host clock, not synchronised, ms | synchronised, ms | events, ms |"
    yield "|---|---:|---:|---:|---:|"
    for model, batches in found.items():
        for size, clocks in batches.items():
            times = (clocks[name] for name in ("unsynchronised", "synchronised", "events"))
            yield f"| {model} | {size} | {' | '.join(f'{1e3 * each:.3f}' for each in times)} |"
    yield ""


def _benchmark_mode(results: Results) -> Iterator[str]:
    found = _content(results, "timing").get("cudnn_benchmark")
    if not found:
        return
    yield from ("### cuDNN's benchmark mode, times as fast as without it", "")
    yield "| network | precision | batch | off, ms | on, ms | times |"
    yield "|---|---|---:|---:|---:|---:|"
    for model, precisions in found.items():
        for precision, batches in precisions.items():
            for size, modes in batches.items():
                off, on = (statistics.median(modes[mode]) for mode in ("off", "on"))
                yield (
                    f"| {model} | {precision} | {size} | {1e3 * off:.3f} | {1e3 * on:.3f} | "
                    f"{off / on:.2f} |"
                )
    yield ""


def _trace(results: Results) -> Iterator[str]:
    found = _content(results, "trace")
    if not found:
        return
    yield from ("### A training step in the profiler's trace", "")
    yield "| network | step, ms | on the host, ms | work on the device, ms |"
    yield "|---|---:|---|---|"
    for model, each in found.items():
        sides = (
            ", ".join(f"{name} {1e3 * value:.1f}" for name, value in each[side].items()) or "-"
            for side in ("regions", "device")
        )
        yield f"| {model} | {1e3 * each['step_seconds']:.1f} | {' | '.join(sides)} |"
    yield ""


def _not_reached(results: Results) -> Iterator[str]:
    yield "| part | outcome | seconds | limit |"
    yield "|---|---|---:|---:|"
    for name, part in results["parts"].items():
        outcome = part["status"]
        if name == "tests" and part["content"]:
            counts = (f"{part['content'][word]} {word}" for word in ("passed", "failed", "skipped"))
            outcome += f" ({', '.join(counts)})"
        yield f"| {name} | {outcome} | {part['seconds']:.0f} | {part['limit_seconds']:.0f} |"
