"""The page of ``examples/browser``, installed, served on loopback and given files."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.support.browser import Page

EXAMPLE = ROOT / "examples" / "browser"
# Read in the page: what it shows for each file, by its name.
_SHOWN = """Object.fromEntries([...document.querySelectorAll("article")].map((article) => [
  article.querySelector("h2").textContent,
  {
    top: [...article.querySelectorAll("tr")].map((row) =>
      [row.cells[0].textContent, parseFloat(row.cells[1].textContent)]),
    error: article.querySelector("p.error")?.textContent ?? null,
  },
]))"""


def installed(folder: Path) -> Path:
    """Copy the page into ``folder`` and let npm fetch its runtime; skip the test if it cannot."""
    if shutil.which("npm") is None:
        pytest.skip("no npm")
    ignored = shutil.ignore_patterns("node_modules", "model", "model.zip", "package-lock.json")
    shutil.copytree(EXAMPLE, folder, ignore=ignored)
    ended = subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund"],
        cwd=folder,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode != 0:
        pytest.skip(f"npm could not install: {ended.stderr.strip().splitlines()[-1]}")
    return folder


class Handler(http.server.SimpleHTTPRequestHandler):
    """The server of ``python -m http.server``, without its log."""

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@contextmanager
def served(folder: Path, port: int = 0) -> Iterator[str]:
    """Serve a folder on loopback and yield its address; nothing answers there afterwards."""
    handler = functools.partial(Handler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def give(page: Page, paths: Sequence[Path]) -> dict[str, Any]:
    """Choose files in the page's form, and return what it shows for each, by its name."""
    evaluated = page.ask("Runtime.evaluate", expression="document.getElementById('files')")
    handle = evaluated["result"]["objectId"]
    page.ask("DOM.setFileInputFiles", files=[str(path) for path in paths], objectId=handle)
    page.wait(f"document.querySelectorAll('article').length === {len(paths)}")
    page.wait("!document.getElementById('files').disabled")
    shown: dict[str, Any] = page.run(_SHOWN)
    return shown
