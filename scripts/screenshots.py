#!/usr/bin/env python3
"""Take pictures of a run: its page, its table on a terminal, and TensorBoard.

scripts/screenshots.py RUN [--of report console tensorboard lightship] [--out FOLDER]
                       [--chromium PATH]

report and console are for the README, lightship (the tab of that name) for docs/profiling.md: at
most 150 kB each. They show the light theme. tensorboard takes TensorBoard's own tabs.

It needs Chromium, and fetches the package playwright.
"""

from __future__ import annotations

import restart_in_environment  # noqa: F401  # continues in .venv

import argparse
import importlib.util
import io
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from PIL import Image
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PLAYWRIGHT = "playwright>=1.50"
PARTS = ("report", "console", "tensorboard", "lightship")
TERMINAL_COLUMNS = 132
MAX_BYTES = 150_000  # of a picture in the README
COLORS = (256, 64, 16)  # of its palette, until it is small enough
TERMINAL_PAGE = """<body style="margin: 0; background: white">
<pre style="display: inline-block; width: {columns}ch; margin: 0; padding: 16px;
  font: 14px/1.3 'DejaVu Sans Mono', Menlo, monospace; white-space: pre-wrap">{code}</pre>"""
TABS = {
    "scalars": "timeseries",
    "images": "images",
    "text": "text",
    "hparams": "hparams",
}
VIEWS = ("overview", "operators", "trace", "files")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="a finished run's folder")
    parser.add_argument("--of", nargs="+", choices=PARTS, default=PARTS, help="all by default")
    parser.add_argument("--out", type=Path, default=Path("screenshots"), help="folder")
    parser.add_argument("--chromium", default="/usr/bin/chromium", help="path of the program")
    chosen = parser.parse_args()
    if not (chosen.run / "benchmark.json").is_file():
        sys.exit(f"error: run: expected a folder with benchmark.json, found {chosen.run}")
    fetch_playwright()
    from playwright.sync_api import sync_playwright

    chosen.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chosen.chromium, args=["--no-sandbox"])
        if "console" in chosen.of:  # before the page, which it makes anew
            take_console(browser, chosen.run, chosen.out / "console.png")
        if "report" in chosen.of:
            take_report(browser, chosen.run, chosen.out / "report.png")
        if "tensorboard" in chosen.of:
            take_tensorboard(browser, chosen.run, chosen.out)
        if "lightship" in chosen.of:
            take_lightship(browser, chosen.run, chosen.out)
        browser.close()


def fetch_playwright() -> None:
    """Install playwright into the environment where it is missing."""
    if importlib.util.find_spec("playwright") is None:
        environment = Path(__file__).resolve().with_name("environment")
        subprocess.run(["bash", environment, "--install", PLAYWRIGHT], check=True)
        importlib.invalidate_caches()


def take_console(browser: Browser, run: Path, path: Path) -> None:
    """Take the lines that the report stage prints on a terminal.

    The last line is left out, because it names a folder of this machine.
    """
    shown = printed_on_a_terminal([sys.executable, "-m", "src.report", str(run)])
    shown = shown[: shown.rindex("Run folder:")].rstrip()
    console = Console(width=TERMINAL_COLUMNS, record=True, file=io.StringIO())
    console.print(Text.from_ansi(shown), soft_wrap=True)
    code = console.export_html(inline_styles=True, code_format="{code}")
    page = browser.new_page(viewport={"width": 1400, "height": 200})
    page.set_content(TERMINAL_PAGE.format(columns=TERMINAL_COLUMNS, code=code))
    take(page.locator("pre").screenshot, path)
    page.close()


def printed_on_a_terminal(command: Sequence[str]) -> str:
    """Return the lines that a command prints on a terminal of :data:`TERMINAL_COLUMNS`."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(TERMINAL_COLUMNS)}
    content = b""
    with subprocess.Popen(command, env=environment, stdout=theirs) as process:
        os.close(theirs)
        with suppress(OSError):  # a terminal whose other side is closed
            while piece := os.read(ours, 65_536):
                content += piece
    os.close(ours)
    if process.returncode:
        sys.exit(process.returncode)
    return content.decode().replace("\r\n", "\n")


def take_report(browser: Browser, run: Path, path: Path) -> None:
    """Take the first screen of the run's page."""
    page = browser.new_page(viewport={"width": 1240, "height": 1000}, color_scheme="light")
    page.goto((run / "report.html").resolve().as_uri())
    take(page.screenshot, path)
    page.close()


def take(screenshot: Callable[..., bytes], path: Path) -> None:
    """Store a picture with as many colours as :data:`MAX_BYTES` allows."""
    screenshot(path=path)
    whole = Image.open(path).convert("RGB")
    for count in COLORS:
        whole.quantize(count, dither=Image.Dither.NONE).save(path, optimize=True)
        if path.stat().st_size <= MAX_BYTES:
            break
    print(path)


def take_tensorboard(browser: Browser, run: Path, out: Path) -> None:
    """Take the tabs of TensorBoard that a run fills."""
    with served(run) as address:
        page = watched(browser.new_page(viewport={"width": 1400, "height": 1000}))
        for name, tab in TABS.items():
            page.goto(f"{address}#{tab}")
            page.wait_for_timeout(8000)
            page.screenshot(path=out / f"{name}.png")
            print(out / f"{name}.png")


def take_lightship(browser: Browser, run: Path, out: Path) -> None:
    """Take each view of the tab Lightship, with the runs beside this one in the list."""
    logs = run.resolve().parent.parent
    chosen = quote(str(run.resolve().relative_to(logs)), safe="")
    with served(logs) as address:
        for view in VIEWS:
            page = watched(
                browser.new_page(viewport={"width": 1240, "height": 820}, color_scheme="light")
            )
            page.goto(f"{address}data/plugin_entry.html?name=lightship#view={view}&run={chosen}")
            page.wait_for_timeout(8000)
            take(page.screenshot, out / f"lightship-{view}.png")
            page.close()


def watched(page: Page) -> Page:
    """Report each error of a page and each request to another machine."""
    page.set_default_timeout(30_000)
    page.on("pageerror", lambda error: print(f"page error: {error}", file=sys.stderr))
    page.on(
        "console",
        lambda shown: shown.type == "error" and print(f"console: {shown.text}", file=sys.stderr),
    )
    page.route(
        re.compile(r"https?://(?!127\.0\.0\.1)"),
        lambda route: (print(f"asked for {route.request.url}", file=sys.stderr), route.abort()),
    )
    return page


@contextmanager
def served(run: Path) -> Iterator[str]:
    """Serve the folder of a run by TensorBoard, and give its address."""
    arguments = ("--logdir", str(run), "--port", "0", "--host", "127.0.0.1", "--load_fast=false")
    server = subprocess.Popen(
        [sys.executable, "-m", "tensorboard.main", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        lines = server.stderr or ()
        yield next(filter(None, (re.search(r"http://\S+:\d+/", line) for line in lines))).group()
    finally:
        os.killpg(server.pid, signal.SIGKILL)  # the plugin's own processes as well
        server.wait()


if __name__ == "__main__":
    main()
