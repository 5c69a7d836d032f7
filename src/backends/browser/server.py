"""Serves one page on loopback: the exported file, its images and its tasks."""

from __future__ import annotations

import json
import queue
import secrets
import threading
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec

from src.backends.browser.packages import DIST, PAGE

MOST_BYTES = 1 << 26  # of a result or of logits
_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; "
    "connect-src 'self'",
    # An isolated page has a clock of 5 microseconds, else 100: https://w3c.github.io/hr-time/
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
    input: str = ""  # the type of the file's input
    seconds: list[float] = []
    elapsed_seconds: float = 0.0
    task_seconds: float = 0.0  # the same with the call before the first timed one
    warm: bool = False


class Server(ThreadingHTTPServer):
    """Serves the page of one file; its other paths are secret.

    Args:
        runtime: the files of onnxruntime-web by name.
        model: the exported file.
    """

    daemon_threads = True

    def __init__(self, runtime: Mapping[str, Path], model: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self._token = secrets.token_hex(16)
        own = f"/{self._token}/"
        self.files = {
            own: PAGE / "index.html",
            f"{own}model.onnx": model,
            "/benchmark.js": PAGE / "benchmark.js",
            "/runtime.js": PAGE / "runtime.js",
            **{f"/{DIST}/{name}": path for name, path in runtime.items()},
        }
        self.images_path, self.logits_path = f"{own}images", f"{own}logits"
        self.next_path = f"{own}next"
        self.images = b""
        self.logits = b""
        self.results: queue.Queue[Result] = queue.Queue()
        self.tasks: queue.Queue[bytes] = queue.Queue()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        """Address of the page."""
        return f"http://127.0.0.1:{self.server_port}/{self._token}/"

    def give(self, kind: str, options: Mapping[str, float | str | Sequence[int]]) -> None:
        """Give the page its next task."""
        self.tasks.put(json.dumps({"kind": kind, **options}).encode())

    def close(self) -> None:
        """Stop serving."""
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """Answers for the paths in a list; no path of a request is a path of the disk."""

    server: Server
    protocol_version = "HTTP/1.1"  # one connection for all requests

    def do_GET(self) -> None:
        """Send a file, or the images."""
        if self.path == self.server.images_path:
            self._send(self.server.images, "application/octet-stream")
            return
        path = self.server.files.get(self.path)
        if path is None:
            self.send_error(404)
            return
        self._send(path.read_bytes(), _TYPES.get(path.suffix, "application/octet-stream"))

    def do_POST(self) -> None:
        """Take logits, or take a result and send the next task, when there is one."""
        length = self.headers.get("Content-Length", "")
        paths = (self.server.logits_path, self.server.next_path)
        if self.path not in paths or not (length.isdecimal() and 0 < int(length) <= MOST_BYTES):
            self.close_connection = True  # the body is not read
            self.send_error(404)
            return
        content = self.rfile.read(int(length))
        if self.path == self.server.logits_path:
            self.server.logits = content
            self._send(b"", "application/octet-stream")
            return
        try:
            self.server.results.put(msgspec.json.decode(content, type=Result))
        except msgspec.DecodeError as error:
            self.server.results.put(Result(error=f"a result that cannot be read: {error}"))
        self._send(self.server.tasks.get(), "application/json")

    def _send(self, content: bytes, kind: str) -> None:
        self.send_response(200)
        for name, value in {**HEADERS, "Content-Type": kind}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Print nothing."""
