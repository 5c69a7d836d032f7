"""One headless Chromium with one page, whose processes end with this process."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from src.backends.base import Unavailable
from src.errors import LightshipError, one_line
from src.system import sessions

_ROOT = Path(__file__).parents[3]
KEEPER = "src.backends.browser.keeper"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-default-apps", "--disable-extensions", "--disable-dev-shm-usage"),
    *("--disable-crash-reporter", "--disable-breakpad"),
)
_END_SECONDS = 10.0
_MOST_SHOWN = 200  # characters of its own words


def program() -> str:
    """Return the path of Chromium.

    Raises:
        Unavailable: none is on the PATH, or its processes are not known here.
    """
    path = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if path is None:
        raise Unavailable(
            f"no browser: none of {', '.join(PROGRAMS)} on the PATH; install Chromium"
        )
    if not sessions.are_known():
        raise Unavailable(
            "no browser: the process of a page is found in /proc, which this system has not; "
            "measure it on Linux"
        )
    return path


class Chromium:
    """A browser that opens one page.

    Args:
        path: of the program.
        address: of the page.
    """

    def __init__(self, path: str, address: str) -> None:
        self._profile = Path(tempfile.mkdtemp(prefix="lightship-browser-"))
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the browser
        arguments = [path, *_FLAGS, f"--user-data-dir={self._profile}", address]
        try:
            self._keeper = subprocess.Popen(
                [sys.executable, "-m", KEEPER, str(self._profile), *arguments],
                cwd=_ROOT,
                start_new_session=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
            )
        except BaseException:
            self._log.close()
            self._profile.rmdir()
            raise

    @property
    def exit_code(self) -> int | None:
        """Exit code of the browser; None while it runs."""
        return self._keeper.poll()

    def last_words(self) -> str:
        """Return the end of what it wrote to standard error, in one line."""
        self._log.seek(0)
        return one_line(self._log.read().decode(errors="replace"))[-_MOST_SHOWN:]

    def cpu_seconds(self) -> float:
        """Return the CPU time that all processes of the browser have used so far."""
        return sum(member.cpu_seconds for member in sessions.members(self._keeper.pid))

    def raise_page(self, nice: int) -> None:
        """Give the page the priority of this process; Chromium has chosen one of its own."""
        for thread in sessions.threads(self._page()):
            with contextlib.suppress(OSError):  # not permitted, or it has ended
                os.setpriority(os.PRIO_PROCESS, thread, nice)

    def page_nice(self) -> int:
        """Return the priority of the page's process."""
        return os.getpriority(os.PRIO_PROCESS, self._page())

    def page_bytes(self, name: str) -> int | None:
        """Return a size of the page's process, such as ``VmRSS`` or ``VmHWM``; None if unknown."""
        return sessions.status_bytes(self._page(), name)

    def _page(self) -> int:
        """Return the process of the page; Chromium keeps another, smaller one in store.

        Raises:
            LightshipError: there is none.
        """
        sizes = {
            member.pid: sessions.status_bytes(member.pid, "VmRSS") or 0
            for member in sessions.members(self._keeper.pid)
            if "--type=renderer" in sessions.command_line(member.pid)
        }
        if not sizes:
            raise LightshipError("browser: the process of the page has ended, or is not known here")
        return max(sizes, key=sizes.__getitem__)

    def close(self) -> None:
        """End all processes of the browser, and remove its profile."""
        if self._keeper.stdin is not None:
            self._keeper.stdin.close()
        try:
            self._keeper.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:  # it is stopped, or the machine is very slow
            sessions.kill(self._keeper.pid)
            self._keeper.wait()
        self._log.close()
        shutil.rmtree(self._profile, ignore_errors=True)  # there is nothing left by the keeper
