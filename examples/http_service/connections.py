"""Connections of clients that send too slowly, and the end of the service."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
from settings import Settings
from uvicorn.protocols.http.h11_impl import H11Protocol


class Guarded(H11Protocol):
    """uvicorn's protocol with a time limit for the head of a request.

    uvicorn waits for a head without end, and an application does not see a request before its head
    is complete. The same limit holds for an idle connection, and for the rest of a body that the
    application has answered without reading it.
    """

    settings: Settings
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.settings.most_connections:
            transport.abort()
            return
        self._restart()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_answering():
            self._stop()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._is_answering() and not self.transport.is_closing():
            self._restart()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _restart(self) -> None:
        self._stop()
        self._timer = self.loop.call_later(self.settings.head_seconds, self._cut_off)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _cut_off(self) -> None:
        self._timer = None
        if not self._is_answering():
            self.transport.abort()


def guarded(settings: Settings) -> type[Guarded]:
    """Return the protocol with these limits."""
    return type("Guarded", (Guarded,), {"settings": settings})


class Server(uvicorn.Server):
    """A server that finishes what is in hand when it is told to end.

    After the first SIGTERM or Ctrl-C it goes on accepting connections, so that ``drain`` makes the
    application refuse new requests with 503. It ends when nothing is in hand; at once after a
    second signal.

    Args:
        config: of uvicorn.
        settings: the times.
        drain: is called at the first signal.
        in_hand: returns the number of unanswered requests.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        settings: Settings,
        drain: Callable[[], None],
        in_hand: Callable[[], int],
    ) -> None:
        super().__init__(config)
        self._settings = settings
        self._drain = drain
        self._in_hand = in_hand
        self._draining_since: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._draining_since is None:
            self._draining_since = time.monotonic()
            self._drain()
        else:
            self.should_exit = self.force_exit = True

    async def on_tick(self, counter: int) -> Any:
        if self._draining_since is not None:
            seconds = time.monotonic() - self._draining_since
            is_done = seconds >= self._settings.drain_seconds and self._in_hand() == 0
            if is_done or seconds >= self._settings.most_drain_seconds:
                self.should_exit = True
        return await super().on_tick(counter)
