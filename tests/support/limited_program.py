"""A program for tests of environments: it prints, fails, waits, or takes much memory."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path


def main() -> None:
    word, *words = sys.argv[1:]
    match word:
        case "print":
            version = importlib.import_module("numpy").__version__
            sys.stdout.write(json.dumps({"numpy": version, "words": words}))
        case "fail":
            sys.stderr.write("Traceback\n")
            sys.exit("no such layer: Gather")
        case "cannot":
            sys.stderr.write("layers: 3\nno layer for Gather\n")
            sys.exit(3)
        case "die":
            os.abort()
        case "wait":
            time.sleep(60)
        case "fill":
            content = bytearray(300_000_000)
            content[::4096] = b"1" * len(content[::4096])
            time.sleep(60)
        case "fill in a child":
            subprocess.run([sys.executable, __file__, "fill"], check=False)
        case "children":
            child = subprocess.Popen(["sleep", "60"])
            Path(words[0]).write_text(str(child.pid))
            time.sleep(60)


if __name__ == "__main__":
    main()
