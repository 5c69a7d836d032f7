"""Run the tests that are marked ``gpu``: those that were passed, and what failed."""

from __future__ import annotations

import re
import subprocess
import sys

from gpu import arguments
from gpu.plan import ROOT


def main() -> None:
    chosen = arguments.parser(__doc__).parse_args()
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-p", "no:cacheprovider", "tests/gpu"]
    if chosen.device == "cpu":
        command.append("--collect-only")  # they need the device
    ended = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    outcomes = {
        word: int(found[1]) if (found := re.search(rf"(\d+) {word}", ended.stdout)) else 0
        for word in ("passed", "failed", "skipped", "error")
    }
    arguments.keep(
        chosen.out, {"exit_code": ended.returncode, **outcomes, "log": ended.stdout[-9000:]}
    )
    sys.exit(ended.returncode)


if __name__ == "__main__":
    main()
