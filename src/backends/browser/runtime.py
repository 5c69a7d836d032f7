"""An ONNX file in a web page as a runtime: WebAssembly, one thread."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from src.backends.base import Profile
from src.backends.browser import chromium, packages
from src.backends.browser.server import Result, Server
from src.backends.self_timed import OwnTurn, SelfTimed
from src.errors import LightshipError
from src.run.file_input import NORMALISED, PIXELS, Batch
from src.run.row import Settings

_ANSWER_SECONDS = 3600.0  # the parent of the worker ends it sooner: benchmark.timeout_seconds
_SETTLE_SECONDS = 0.02  # caches were another process's in the meantime


class BrowserRuntime(SelfTimed):
    """A file that a page of headless Chromium has loaded. It answers one image at a time.

    Args:
        path: the ONNX file.

    Raises:
        Unavailable: there is no Chromium, or onnxruntime-web cannot be fetched.
        LightshipError: the page, the browser or the file fails.
    """

    def __init__(self, path: Path) -> None:
        program = chromium.program()
        self._held: Batch | None = None
        self._empty_bytes: int | None = None
        with contextlib.ExitStack() as opened:
            self._server = Server(packages.files(), path)
            opened.callback(self._server.close)
            self._browser = chromium.Chromium(program, self._server.address)
            opened.callback(self._browser.close)
            self.settings = self._opened()
            self._opened_parts = opened.pop_all()

    def _opened(self) -> Settings:
        """Wait for the page, load the file in it, and return what they report.

        Raises:
            LightshipError: the page, the browser or the file fails, or the clock is a coarse one.
        """
        page = self._result()
        if not page.isolated:
            raise LightshipError(
                "browser: expected an isolated page, for its clock; found none; install a newer "
                "Chromium"
            )
        self._empty_bytes = self._browser.page_bytes("VmRSS")
        loaded = self._ask("load")
        self._browser.raise_page(os.getpriority(os.PRIO_PROCESS, 0))
        return {
            "runtime": f"onnxruntime-web {page.version}",
            "device": "browser",
            "input": str(PIXELS if loaded.input == "uint8" else NORMALISED),
            "threads": 1,
            "browser": _browser_in(page.agent),
        }

    def __call__(self, images: Batch) -> NDArray[np.float32]:
        """Return logits (N, K), one call of the page an image."""
        self._send(images)
        self._ask("answer")
        return self._logits(len(images))

    def synchronize(self) -> None:
        """Do nothing: a task ends when its logits are in the page's memory."""

    def device_seconds(self, images: Batch) -> float | None:
        """Return None: the page runs on the CPU."""
        return None

    def profile(self, images: Batch, trace: Path | None = None) -> Profile:
        """Return an empty profile.

        Raises:
            LightshipError: a trace is asked for.
        """
        if trace is not None:
            raise LightshipError("onnxruntime-web's calls cannot be traced by operator")
        return Profile()

    def hold(self, images: Batch) -> None:
        """See :class:`SelfTimed`."""
        if self._held is not images:
            self._send(images)
            self._ask("hold")
            self._held = images

    def once(self) -> tuple[float, NDArray[np.float32]]:
        """See :class:`SelfTimed`."""
        [seconds] = self._ask("once").seconds
        return seconds, self._logits(self._images_held())

    def warm_up(self, tolerance: float, max_seconds: float) -> bool:
        """See :class:`SelfTimed`."""
        return self._ask("warm_up", {"tolerance": tolerance, "max_seconds": max_seconds}).warm

    def time(self, samples: int, max_seconds: float) -> tuple[OwnTurn, NDArray[np.float32]]:
        """See :class:`SelfTimed`."""
        self._ask("settle", {"max_seconds": _SETTLE_SECONDS})
        before = self._browser.cpu_seconds()
        result = self._ask("time", {"samples": samples, "max_seconds": max_seconds})
        used = self._browser.cpu_seconds() - before
        # The system counts the CPU time of the whole task, which has a call that is not timed.
        share = result.elapsed_seconds / max(result.task_seconds, result.elapsed_seconds)
        turn = OwnTurn(result.seconds, result.elapsed_seconds, max(used, 0.0) * share)
        return turn, self._logits(self._images_held())

    def cpu_seconds(self) -> float:
        """See :class:`SelfTimed`."""
        return self._browser.cpu_seconds()

    def nice(self) -> int:
        """See :class:`SelfTimed`."""
        return self._browser.page_nice()

    def peak_bytes(self) -> int | None:
        """Return the peak of the page's process above that of the page without the file."""
        peak = self._browser.page_bytes("VmHWM")
        return None if peak is None or self._empty_bytes is None else peak - self._empty_bytes

    def close(self) -> None:
        """End the browser. It also ends with this process."""
        self._opened_parts.close()

    def _images_held(self) -> int:
        if self._held is None:
            raise RuntimeError("no batch is held")
        return len(self._held)

    def _send(self, images: Batch) -> None:
        """Put images where the page fetches them."""
        self._held = None
        contiguous = np.ascontiguousarray(images)
        self._server.images = contiguous.tobytes()
        self._ask("fetch", {"dtype": images.dtype.name, "shape": list(images.shape)})

    def _logits(self, images: int) -> NDArray[np.float32]:
        """Return the logits that the page has sent last, (N, K)."""
        return np.frombuffer(self._server.logits, dtype="<f4").reshape(images, -1)

    def _ask(
        self, kind: str, options: Mapping[str, float | str | Sequence[int]] | None = None
    ) -> Result:
        self._server.give(kind, options or {})
        return self._result()

    def _result(self) -> Result:
        """Wait for the result of a task.

        Raises:
            LightshipError: it fails, or the browser ends.
        """
        deadline = time.monotonic() + _ANSWER_SECONDS
        while time.monotonic() < deadline:
            try:
                result = self._server.results.get(timeout=1)
            except queue.Empty:
                if (code := self._browser.exit_code) is not None:
                    words = self._browser.last_words()
                    raise LightshipError(
                        f"the browser ended with exit code {code}{f': {words}' if words else ''}"
                    ) from None
                continue
            if result.error is not None:
                raise LightshipError(f"browser: {result.error}")
            return result
        raise LightshipError(f"browser: no answer within {_ANSWER_SECONDS:g} s")


def _browser_in(agent: str) -> str:
    """Return the name and version in the page's user agent, as in "Chrome 150.0.0.0"."""
    match = re.search(r"(Chrom\w+)/([\d.]+)", agent)
    return f"{match[1]} {match[2]}" if match else "unknown"
