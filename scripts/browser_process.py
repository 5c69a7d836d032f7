"""One exported file in one process of Chromium, which asks a server on loopback for its tasks."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import secrets
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from src.errors import LightshipError, UsageError

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "browser"
PAGE = Path(__file__).resolve().parent / "browser_page"
RUNTIME = "node_modules/onnxruntime-web/dist"
RUNTIME_FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-default-apps", "--disable-extensions", "--disable-dev-shm-usage"),
)
MOST_BYTES = 1 << 26  # of a result
ANSWER_SECONDS = 600.0
TYPES = {".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript"}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; "
    "connect-src 'self'",
    # An isolated page has a clock of 5 microseconds.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cache-Control": "no-store",
}


class Result(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Answer of the page: the result of a task, or its description when it starts."""

    error: str | None = None
    isolated: bool = False
    version: str = ""
    agent: str = ""
    seconds: list[float] = []
    elapsed_seconds: float = 0.0
    warm: bool = False
    logits: list[list[float]] = []


class Server(ThreadingHTTPServer):
    """Serves the page, and to each browser its file, its images and its tasks."""

    daemon_threads = True

    def __init__(self, packages: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {
            "/benchmark.js": PAGE / "benchmark.js",
            "/runtime.js": EXAMPLE / "runtime.js",
            **{f"/{RUNTIME}/{name}": packages / RUNTIME / name for name in RUNTIME_FILES},
        }
        self.browsers: dict[str, Browser] = {}
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """Answers for the paths in a list; no path of a request is a path of the disk."""

    server: Server

    def do_GET(self) -> None:
        """Send a file, or the images."""
        _, token, *rest = self.path.split("/")
        browser = self.server.browsers.get(token)
        if browser is not None and rest == ["images"]:
            self._send(browser.images.tobytes(), "application/octet-stream")
            return
        files = {"": PAGE / "index.html", "model.onnx": browser.model} if browser else {}
        path = files.get("/".join(rest)) or self.server.files.get(self.path)
        if path is None:
            self.send_error(404)
            return
        kind = "application/wasm" if path.suffix == ".wasm" else TYPES.get(path.suffix)
        self._send(path.read_bytes(), kind or "application/octet-stream")

    def do_POST(self) -> None:
        """Take a result and send the next task, when there is one."""
        _, token, *rest = self.path.split("/")
        browser = self.server.browsers.get(token)
        length = int(self.headers.get("Content-Length", "0"))
        if browser is None or rest != ["next"] or not 0 < length <= MOST_BYTES:
            self.send_error(404)
            return
        try:
            browser.results.put(msgspec.json.decode(self.rfile.read(length), type=Result))
        except msgspec.DecodeError as error:
            browser.results.put(Result(error=f"a result that cannot be read: {error}"))
        self._send(browser.tasks.get(), "application/json")

    def _send(self, content: bytes, kind: str) -> None:
        self.send_response(200)
        for name, value in {**HEADERS, "Content-Type": kind}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


class Browser:
    """Chromium with one page, which has loaded one exported file.

    Args:
        program: path of Chromium.
        server: serves the page.
        model: the exported file.
        images: its input for each image, (N, ...).
        profile: an empty folder for the browser's own files.
    """

    def __init__(
        self, program: str, server: Server, model: Path, images: NDArray[np.generic], profile: Path
    ) -> None:
        self.model, self.images, self._profile = model, images, profile
        self.results: queue.Queue[Result] = queue.Queue()
        self.tasks: queue.Queue[bytes] = queue.Queue()
        token = secrets.token_hex(16)
        server.browsers[token] = self
        address = f"http://127.0.0.1:{server.server_port}/{token}/"
        self._process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={profile}", address],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """End all processes of the browser."""
        with contextlib.suppress(ProcessLookupError):  # it may have ended by itself
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        shutil.rmtree(self._profile, ignore_errors=True)

    def opened(self) -> Result:
        """Wait for the page, and load the file in it.

        Raises:
            LightshipError: the page, the browser or the file fails, or the clock is a coarse one.
        """
        page = self._result()
        if not page.isolated:
            raise LightshipError("browser: expected an isolated page, for its clock; found none")
        shape = list(self.images.shape[1:])
        self.ask("load", {"dtype": self.images.dtype.name, "shape": shape})
        return page

    def ask(self, kind: str, options: Mapping[str, float | str | Sequence[int]]) -> Result:
        """Send a task and return its result.

        Raises:
            LightshipError: it fails, or the browser ends.
        """
        self.tasks.put(json.dumps({"kind": kind, **options}).encode())
        return self._result()

    def cpu_seconds(self) -> float:
        """Return the CPU time that all processes of the browser have used so far."""
        return sum(map(_cpu_seconds, _session(self._process.pid)))

    def _result(self) -> Result:
        deadline = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < deadline:
            try:
                result = self.results.get(timeout=1)
            except queue.Empty:
                if self._process.poll() is not None:
                    raise LightshipError(
                        f"browser: it ended with exit code {self._process.returncode}"
                    ) from None
                continue
            if result.error is not None:
                raise LightshipError(f"browser: {result.error}")
            return result
        raise LightshipError(f"browser: no answer within {ANSWER_SECONDS:g} s")


def program() -> str:
    """Return the path of Chromium.

    Raises:
        UsageError: none is on the PATH.
    """
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is None:
        raise UsageError(
            "chromium",
            expected=f"one of {', '.join(PROGRAMS)} on the PATH",
            found="none",
            remedy="install Chromium",
        )
    return found


def packages(scratch: Path) -> Path:
    """Return the folder with ``node_modules``: the example's own, or a new one in ``scratch``.

    Raises:
        UsageError: there is no npm.
        LightshipError: npm could not install.
    """
    if (EXAMPLE / RUNTIME / RUNTIME_FILES[0]).is_file():
        return EXAMPLE
    if shutil.which("npm") is None:
        raise UsageError(
            "npm", expected="it on the PATH", found="none", remedy="install Node.js and npm"
        )
    shutil.copy(EXAMPLE / "package.json", scratch)
    ended = subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund"],
        cwd=scratch,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode != 0:
        reason = ended.stderr.strip().splitlines() or ["no reason"]
        raise LightshipError(f"npm could not install onnxruntime-web: {reason[-1]}")
    return scratch


def _session(leader: int) -> list[list[str]]:
    """Return the fields of ``/proc/PID/stat`` after the name, for each process of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        if int(fields[3]) == leader:
            found.append(fields)
    return found


def _cpu_seconds(fields: list[str]) -> float:
    """Return user and system time, also of children that have ended."""
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
