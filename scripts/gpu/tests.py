"""Run the tests that are marked ``gpu``: those that were passed, and what failed."""

from __future__ import annotations

import importlib.util
import os
import re
import sys

from gpu import arguments
from gpu.plan import ROOT
from src.system.machine import usable_cores

CORES = 8  # from which on several processes are worth their start


def main() -> None:
    chosen = arguments.parser(__doc__).parse_args()
    command = [
        *(sys.executable, "-m", "pytest", "-m", "gpu", "-p", "no:cacheprovider", "tests/gpu"),
        # Not an error: other versions than the locked ones warn of other things.
        *("-W", "default", "--durations=25"),
    ]
    if importlib.util.find_spec("xdist") and usable_cores() >= CORES:
        # Each process compiles and loads by itself; nothing is timed here.
        command += ["-p", "xdist.plugin", "-n", str(usable_cores() * 3 // 4), "--dist", "worksteal"]
    if chosen.device == "cpu":
        command.append("--collect-only")  # they need the device
    # Other plugins that are there have warnings and options of their own.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.chdir(ROOT)
    log = chosen.out.with_suffix(".log")
    code = arguments.logged(command, log)
    text = log.read_text(encoding="utf-8")
    outcomes = {
        word: int(found[1]) if (found := re.search(rf"(\d+) {word}", text)) else 0
        for word in ("passed", "failed", "skipped", "error")
    }
    arguments.keep(chosen.out, {"exit_code": code, **outcomes, "log": text[-9000:]})
    sys.exit(code)


if __name__ == "__main__":
    main()
