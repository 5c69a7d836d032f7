#!/usr/bin/env python3
"""Pictures of a run in TensorBoard, by headless Chromium: what people will look at.

scripts/screenshots RUN [--out FOLDER] [--chromium PATH] [--webcomponents FILE]

Needs Chromium and the package playwright. The Trace view of TensorBoard's profiler plugin loads
webcomponents.js from the web; on a machine without, ``--webcomponents`` names the file that is
given in its place (webcomponents.min.js of the npm package webcomponents.js 0.7.24).
"""

from __future__ import annotations

import restart_in_environment  # noqa: F401  # continues in .venv

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, Route, sync_playwright

TABS = {
    "scalars": "timeseries",
    "images": "images",
    "text": "text",
    "hparams": "hparams",
    "profiler": "pytorch_profiler",
}
# The plugin's charts stay empty without a network; its page goes on all the same.
CHARTS = """
const nothing = new Proxy(function () {}, {
  get: (_, name) => (name === Symbol.toPrimitive ? () => "" : nothing),
  apply: () => nothing,
  construct: () => nothing,
});
window.google = {
  charts: {load() {}, setOnLoadCallback: (ready) => setTimeout(ready)},
  visualization: nothing,
};
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, default=Path("screenshots"))
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--webcomponents", type=Path)
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    with served(chosen.run) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chosen.chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: print(f"page error: {error}", file=sys.stderr))
        page.route(re.compile(r"https?://(?!127\.0\.0\.1)"), outside(chosen.webcomponents))
        for name, tab in TABS.items():
            page.goto(f"{address}#{tab}")
            page.wait_for_timeout(8000)
            page.screenshot(path=chosen.out / f"{name}.png")
            print(chosen.out / f"{name}.png")
        trace_view(page, chosen.out / "trace.png")
        browser.close()


@contextmanager
def served(run: Path) -> Iterator[str]:
    """TensorBoard's address for the folder of a run."""
    arguments = ("--logdir", str(run), "--port", "0", "--host", "127.0.0.1", "--load_fast=false")
    server = subprocess.Popen(
        [sys.executable, "-m", "tensorboard.main", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        lines = server.stderr or ()
        yield next(filter(None, (re.search(r"http://\S+:\d+/", line) for line in lines))).group()
    finally:
        os.killpg(server.pid, signal.SIGKILL)  # the plugin's own processes as well
        server.wait()


def outside(webcomponents: Path | None) -> Any:
    """What a request to the web gets: the file that was named for it, or nothing."""

    def answer(route: Route) -> None:
        if webcomponents is not None and "webcomponents" in route.request.url:
            route.fulfill(path=webcomponents, content_type="text/javascript")
        elif "charts/loader.js" in route.request.url:
            route.fulfill(body=CHARTS, content_type="text/javascript")
        else:
            route.abort()

    return answer


def trace_view(page: Page, path: Path) -> None:
    """Choose the Trace view in the plugin's own page, and take its picture."""
    frame = next(frame for frame in page.frames[1:] if "pytorch_profiler" in frame.url)
    frame.locator(".MuiSelect-root").nth(1).click()  # runs, views, workers, spans
    frame.get_by_role("option", name="Trace").click()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        viewers = [each for each in page.frames if "trace_embedding" in each.url]
        if viewers and viewers[0].locator("canvas").count():
            break
        page.wait_for_timeout(500)
    page.wait_for_timeout(5000)
    page.screenshot(path=path)
    print(path)


if __name__ == "__main__":
    main()
