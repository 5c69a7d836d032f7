"""TensorBoard in a process of its own, with the plugin as an installation has it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

LOADER = ROOT / "src" / "tensorboard_plugin" / "distribution" / "lightship_tensorboard"
# As `python -m tensorboard.main`, in an environment that lies in no clone.
OUTSIDE = (
    "import sys; sys.prefix = '/nowhere/env'; from tensorboard.main import run_main; run_main()"
)


def install(folder: Path, address: str | None) -> Path:
    """Make a folder for PYTHONPATH in which the loader is installed; return it.

    Args:
        folder: to make.
        address: recorded as the origin of the installation; None for no record.
    """
    shutil.copytree(LOADER, folder / "lightship_tensorboard")
    record = folder / "lightship-0.1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: lightship\nVersion: 0.1.0\n")
    (record / "entry_points.txt").write_text(
        "[tensorboard_plugins]\nlightship = lightship_tensorboard:LightshipLoader\n"
    )
    if address is not None:
        (record / "direct_url.json").write_text(json.dumps({"url": address, "dir_info": {}}))
    return folder


@dataclass(frozen=True)
class TensorBoard:
    """A running server: its address, and what it wrote until it listened."""

    address: str
    log: str

    def json(self, path: str) -> Any:
        """Return the JSON of an answer."""
        with urllib.request.urlopen(f"{self.address}{path}", timeout=60) as answer:  # noqa: S310  # a local server
            return json.loads(answer.read())


@contextlib.contextmanager
def tensorboard(
    logdir: Path, *, site: Path, cwd: Path, program: tuple[str, ...] = ("-m", "tensorboard.main")
) -> Iterator[TensorBoard]:
    """Run TensorBoard; stop it at the end.

    Args:
        logdir: to show.
        site: see :func:`install`.
        cwd: folder that it is started in.
        program: words for Python.
    """
    words = ("--logdir", str(logdir), "--port", "0", "--host", "127.0.0.1", "--load_fast=false")
    with subprocess.Popen(
        [sys.executable, *program, *words],
        cwd=cwd,
        env=environment(site),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as server:
        assert server.stderr is not None
        try:
            lines = []
            for line in server.stderr:
                lines.append(line)
                if match := re.search(r"http://\S+:\d+/", line):
                    yield TensorBoard(match.group(), "".join(lines))
                    return
            raise AssertionError("TensorBoard ended:\n" + "".join(lines))
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)


def environment(site: Path) -> Mapping[str, str]:
    """Return the variables for a Python that has only ``site`` on its path besides its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**clean, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
