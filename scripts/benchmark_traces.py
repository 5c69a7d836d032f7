#!/usr/bin/env python3
"""Time what TensorBoard's plugin reads of traces, on traces of a given size.

scripts/benchmark_traces.py TRACE [--megabytes 200] [--windows 10] [--keep FOLDER]

TRACE is a .pt.trace.json.gz that torch's profiler wrote. Its events are repeated, with later times
and further numbers, until each window has its share of the megabytes (compressed). It prints the
seconds, the seconds of the processor and the peak memory of each answer on one window, each in a
process of its own.
"""

from __future__ import annotations

import restart_in_environment  # noqa: F401  # continues in .venv

import argparse
import gzip
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from src.profiling.spans import read_spans

MEGABYTE = 10**6
SUFFIX = ".pt.trace.json.gz"
_NUMBERS = re.compile(rb'("ts": ?|"External id": ?|"correlation": ?|"Python id": ?|"id": ?)(\d+)')


def write(source: Path, target: Path, size: int) -> None:
    """Write a trace of about ``size`` bytes by repeating the events of another one."""
    content = gzip.decompress(source.read_bytes())
    start = content.index(b"[", content.index(b'"traceEvents"')) + 1
    end = content.rindex(b"]")
    spans = read_spans(source)
    last = max(spans.end.max(initial=0), spans.moment.max(initial=0))
    period = int(last) // 1000 + 1000  # microseconds
    with gzip.open(target, "wb", compresslevel=6) as file:
        file.write(content[:start])
        repetition = 0
        while True:
            file.write(b"".join(_shifted(content[start:end], repetition, period)))
            file.flush()
            repetition += 1
            if target.stat().st_size * (1 + 0.5 / repetition) >= size:
                break
            file.write(b",")
        file.write(content[end:])


def _shifted(events: bytes, repetition: int, period: int) -> Iterator[bytes]:
    position = 0
    for match in _NUMBERS.finditer(events):
        yield events[position : match.start(2)]
        shift = period if match[1].startswith(b'"ts"') else 10**7
        yield b"%d" % (int(match[2]) + repetition * shift)
        position = match.end(2)
    yield events[position:]


def _table(by: str) -> Callable[[Path], str]:
    def answer(path: Path) -> str:
        import msgspec

        from src.profiling.operator_table import operator_table

        table = operator_table(path, by)
        return f"{len(table.operators)} rows, {len(msgspec.json.encode(table)):,} bytes"

    return answer


def _timeline(path: Path) -> str:
    from src.profiling.timeline import speedscope

    return f"{len(speedscope(path)):,} bytes compressed"


def _summary(path: Path) -> str:
    from src.profiling.summary import summarize
    from src.profiling.trace import Trace

    return f"{len(summarize(Trace.read(path), 'train').step_seconds)} steps"


ANSWERS: dict[str, Callable[[Path], str]] = {
    "operators by name": _table("name"),
    "operators by shapes": _table("shapes"),
    "operators by stack": _table("stack"),
    "timeline": _timeline,
    "summary": _summary,
}


def measure(name: str, path: Path) -> None:
    """Make one answer and print its seconds and the memory of this process."""
    started, cpu_started = time.perf_counter(), time.process_time()
    result = ANSWERS[name](path)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu_started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    resident = pages * resource.getpagesize()
    print(
        f"{name:20} {seconds:6.2f} s  processor {cpu:6.2f} s  peak {peak / MEGABYTE:6.0f} MB  "
        f"afterwards {resident / MEGABYTE:6.0f} MB  {result}",
        flush=True,
    )


def main() -> None:
    """Make the traces and measure each answer."""
    parser = argparse.ArgumentParser(
        "scripts/benchmark_traces.py", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("trace", type=Path)
    parser.add_argument("--megabytes", type=int, default=200, help="of all windows together")
    parser.add_argument("--windows", type=int, default=10)
    parser.add_argument("--keep", type=Path, help="folder for the traces; used again if they exist")
    parser.add_argument("--answer", choices=ANSWERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.answer:
        measure(options.answer, options.trace)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        size = options.megabytes * MEGABYTE // options.windows
        paths = [folder / f"train-rank0.{number}{SUFFIX}" for number in range(options.windows)]
        if not paths[0].exists():
            write(options.trace, paths[0], size)
        for path in paths[1:]:
            if not path.exists():
                path.write_bytes(paths[0].read_bytes())
        started = time.perf_counter()
        total = sum(path.stat().st_size for path in folder.glob(f"*{SUFFIX}"))
        seconds = time.perf_counter() - started
        print(f"{'listing':20} {seconds:6.2f} s  {total / MEGABYTE:.0f} MB in {len(paths)} windows")
        for name in ANSWERS:
            command = [sys.executable, __file__, str(paths[0]), "--answer", name]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
