"""Everything that a GPU must answer, in one command of eight minutes at most, without a network.

scripts/check_gpu                        on a machine with a GPU: writes gpu/gpu.json
scripts/check_gpu --quick                one small network, to see that all parts run there
scripts/check_gpu --dry-run              the same on a CPU: everything but the device is real
scripts/check_gpu --inventory            prints the packages of this machine
scripts/check_gpu --wheels FOLDER        on a machine with a network: what the other one lacks
scripts/check_gpu --tables gpu.json      keeps it as docs/gpu.json, writes the tables of the docs

The parts, the most valuable first, each in a process of its own with its own limit: the four
networks trained and exported, their rows measured, clocks and cuDNN's benchmark mode, training,
the trace, and the tests marked gpu. A part that fails or is stopped takes no other with it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from argument_types import existing_file

from gpu import arguments, plan
from gpu.inventory import inventory, missing_packages_named


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="scripts/check_gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=Path("gpu"), help="folder for what it writes")
    parser.add_argument("--dry-run", action="store_true", help="on the CPU")
    parser.add_argument("--quick", action="store_true", help="small, in about two minutes")
    parser.add_argument(
        "--patience", type=float, default=1.0, help="times each part's limit, on a slow machine"
    )
    parser.add_argument("--only", nargs="+", metavar="PART", help="the parts with these names")
    parser.add_argument(
        "--formats", nargs="+", default=[], help="instead of all; compilers take the most time"
    )
    parser.add_argument("--inventory", action="store_true", help="print the packages that are here")
    parser.add_argument("--wheels", type=Path, metavar="FOLDER", help="download what is missing")
    parser.add_argument(
        "--has",
        type=existing_file,
        metavar="FILE",
        help="of --wheels: the other machine's --inventory",
    )
    parser.add_argument("--python", default="3.12", help="of --wheels: the other machine's Python")
    parser.add_argument(
        "--tables", type=existing_file, metavar="JSON", help="write docs/gpu.md from it"
    )
    chosen = parser.parse_args()
    if chosen.inventory:
        print("\n".join(inventory()))
        return
    with missing_packages_named():
        if chosen.wheels:
            from gpu import wheels

            wheels.fetch(chosen.wheels, wheels.read(chosen.has), chosen.python)
        elif chosen.tables:
            from gpu import page

            results = page.without_logs(json.loads(chosen.tables.read_text(encoding="utf-8")))
            arguments.keep(page.KEPT, results)
            page.write(results)
            page.fill_source_report(results)
        else:
            sys.exit(run(chosen))


def run(chosen: argparse.Namespace) -> int:
    """Run the parts; the exit code is 1 where one of them did not end well."""
    from gpu import page  # before the parts: a package that is missing is found at once

    where = environment()
    if not chosen.dry_run and where["gpu"] is None:
        sys.exit("check_gpu: torch finds no GPU here; --dry-run runs everything but the device")
    setting = plan.setting(
        dry_run=chosen.dry_run,
        quick=chosen.quick,
        onnx="CUDA" in where["onnxruntime_providers"],
        only=tuple(chosen.formats),
    )
    out = chosen.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"environment": where, "setting": vars(setting), "parts": {}}
    for part in plan.parts(setting, out, chosen.patience):
        if chosen.only and part.name not in chosen.only:
            continue
        print(f"{part.name}: at most {part.seconds:.0f} s", flush=True)
        outcome = outcome_of(part, out)
        results["parts"][part.name] = outcome
        arguments.keep(out / "gpu.json", results)
        print(f"{part.name}: {outcome['status']} after {outcome['seconds']:.0f} s", flush=True)
        if outcome["status"] != "ok":
            print(outcome["log"][-1500:], flush=True)
    print("\n".join(page.tables(results)))
    print(f"\nwritten: {out / 'gpu.json'}")
    return int(any(each["status"] != "ok" for each in results["parts"].values()))


def outcome_of(part: plan.Part, out: Path) -> dict[str, Any]:
    """Run one part: ``status`` (ok, failed or stopped), ``seconds``, ``log`` and ``content``."""
    answer, log = out / f"{part.name}.json", out / f"{part.name}.output"
    answer.unlink(missing_ok=True)
    started = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            part.command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=plan.ROOT,
            start_new_session=True,
        )
        try:
            status = "failed" if process.wait(part.seconds) else "ok"
        except subprocess.TimeoutExpired:
            status = "stopped"
        finally:
            with contextlib.suppress(ProcessLookupError):  # nothing of the part is left
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return {
        "status": status,
        "seconds": time.monotonic() - started,
        "limit_seconds": part.seconds,
        "log": log.read_text(encoding="utf-8", errors="replace")[-6000:],
        "content": json.loads(answer.read_text(encoding="utf-8")) if answer.is_file() else None,
    }


def environment() -> dict[str, Any]:
    """The GPU, by name, and what else explains the figures."""
    import onnxruntime
    import torch

    from src.benchmark.environment import description as described
    from src.run.layout import as_dict
    from src.system.machine import usable_cores

    found = as_dict(described.describe(usable_cores()))
    found["onnxruntime_providers"] = " ".join(onnxruntime.get_available_providers())
    found["torch_cuda"] = torch.version.cuda
    return found


if __name__ == "__main__":
    main()
