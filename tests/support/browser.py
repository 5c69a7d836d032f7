"""Chromium without a window, driven by its DevTools protocol over two pipes.

https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS = 30.0  # to wait for an answer or for a condition
# The browser itself asks for nothing; pages are watched by their own network events.
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-default-apps", "--disable-extensions", "--metrics-recording-only"),
    *("--disable-dev-shm-usage", "--enable-unsafe-swiftshader", "--no-default-browser-check"),
    "--remote-debugging-pipe",
)
_KEYS = {
    "Tab": 9,
    "Enter": 13,
    "Space": 32,
    "End": 35,
    "Home": 36,
    "ArrowLeft": 37,
    "ArrowRight": 39,
}
_TEXTS = {"Enter": "\r", "Space": " "}


def program() -> str | None:
    """Return the path of a Chromium on the PATH; None if there is none."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class PageError(AssertionError):
    """A script raised in the page, or a condition was not met in time."""


class Connection:
    """Messages to and from the browser: JSON texts that end in a zero byte."""

    def __init__(self, reader: int, writer: int) -> None:
        self._reader = os.fdopen(reader, "rb", buffering=0)
        self._writer = os.fdopen(writer, "wb", buffering=0)
        self._numbers = itertools.count(1)
        self._answers: dict[int, queue.Queue[dict[str, Any]]] = {}
        self.listeners: dict[str, Callable[[str, dict[str, Any]], None]] = {}
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def ask(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        number = next(self._numbers)
        answers = self._answers[number] = queue.Queue()
        message = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        self._writer.write(json.dumps(message).encode() + b"\0")
        try:
            answer = answers.get(timeout=SECONDS)
        except queue.Empty:
            raise PageError(f"{method} was not answered") from None
        if "error" in answer:
            raise PageError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def close(self) -> None:
        """Close the pipe to the browser, wait for its end, and close the other one."""
        self._writer.close()
        self._thread.join(SECONDS)
        self._reader.close()

    def _listen(self) -> None:
        pending = b""
        while chunk := self._reader.read(1 << 20):
            *messages, pending = (pending + chunk).split(b"\0")
            for message in map(json.loads, messages):
                if "id" in message:
                    self._answers.pop(message["id"]).put(message)
                elif listener := self.listeners.get(message.get("sessionId", "")):
                    listener(message["method"], message["params"])


class Page:
    """A tab of the browser.

    Attributes:
        requests: addresses that the page and its frames asked for, without ``data:`` and ``blob:``.
        errors: what the console shows as errors, exceptions, and dialogs, which no test closes.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        target = connection.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = connection.ask("Target.attachToTarget", targetId=target, flatten=True)
        self._target: str = target
        self._session: str = attached["sessionId"]
        self.requests: list[str] = []
        self.errors: list[str] = []
        connection.listeners[self._session] = self._note
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.ask(f"{domain}.enable")

    def close(self) -> None:
        """Close the tab."""
        self._connection.ask("Target.closeTarget", targetId=self._target)

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol for this page."""
        return self._connection.ask(method, self._session, **parameters)

    def open(self, address: str, ready: str) -> None:
        """Open an address and wait until a JavaScript expression is true."""
        self.ask("Page.navigate", url=address)
        self.wait(f"location.href !== 'about:blank' && ({ready})")

    def reload(self, ready: str) -> None:
        """Reload the page and wait until an expression is true."""
        self.run("window.isOld = true")
        self.ask("Page.reload")
        self.wait(f"!window.isOld && ({ready})")

    def run(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, which may be a promise."""
        answer = self.ask(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise PageError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait(self, expression: str) -> None:
        """Wait until a JavaScript expression is true; one that raises is not true yet."""
        deadline = time.monotonic() + SECONDS
        guarded = f"(() => {{ try {{ return Boolean({expression}) }} catch {{ return false }} }})()"
        while time.monotonic() < deadline:
            try:
                if self.run(guarded):
                    return
            except PageError:
                pass  # the page is being replaced by the next one
            time.sleep(0.05)
        raise PageError(
            f"never true: {expression}; the page: {self.run('document.body.innerText')}"
        )

    def press(self, key: str, modifiers: int = 0) -> None:
        """Press and release a key such as ``Tab``; modifiers is 8 for Shift."""
        code = {"windowsVirtualKeyCode": _KEYS[key], "modifiers": modifiers}
        name = " " if key == "Space" else key
        text = {"text": _TEXTS[key]} if key in _TEXTS else {}
        kind = "keyDown" if text else "rawKeyDown"
        self.ask("Input.dispatchKeyEvent", type=kind, key=name, code=key, **code, **text)
        self.ask("Input.dispatchKeyEvent", type="keyUp", key=name, code=key, **code)

    def type(self, text: str) -> None:
        """Insert a text where the focus is."""
        self.ask("Input.insertText", text=text)

    def look(self, *, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        """Set the size of the window in CSS pixels and the preferred colour scheme."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.ask("Emulation.setEmulatedMedia", features=[feature])

    def take(self, path: Path, *, whole: bool = False) -> None:
        """Write a PNG of the window, or of the whole page."""
        answer = self.ask("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))

    def _note(self, method: str, event: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            address = event["request"]["url"]
            if not address.startswith(("data:", "blob:")):
                self.requests.append(address)
        elif method == "Runtime.exceptionThrown":
            details = event["exceptionDetails"]
            self.errors.append(details.get("exception", details).get("description", str(details)))
        elif method == "Runtime.consoleAPICalled" and event["type"] in {"error", "assert"}:
            self.errors.append(" ".join(str(part.get("value", part)) for part in event["args"]))
        elif method == "Page.javascriptDialogOpening":
            self.errors.append(f"a dialog: {event['message']}")
        elif method == "Log.entryAdded" and event["entry"]["level"] == "error":
            self.errors.append(f"{event['entry']['text']} {event['entry'].get('url', '')}")


@contextmanager
def chromium(path: str, profile: Path) -> Iterator[Callable[[], Page]]:
    """Start Chromium and yield a function that opens a tab.

    Args:
        path: of the program.
        profile: an empty folder for its own files.
    """
    to_browser, writer = os.pipe()
    reader, from_browser = os.pipe()
    # The protocol's pipes are the file descriptors 3 and 4 of the browser.
    script = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
    command = [path, *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
    browser = subprocess.Popen(
        ["bash", "-c", script, "bash", *command],
        pass_fds=(to_browser, from_browser),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_browser)
    os.close(from_browser)
    connection = Connection(reader, writer)
    try:
        yield lambda: Page(connection)
        connection.ask("Browser.close")
        browser.wait(SECONDS)
    finally:
        browser.kill()
        browser.wait()
        connection.close()
