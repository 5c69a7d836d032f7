"""Connections of clients that send or read too slowly, and the end of the service."""

from __future__ import annotations

import asyncio
import time
from types import FrameType
from typing import Any, Protocol, cast

import h11
import uvicorn
from lingering import Lingering
from settings import Settings
from uvicorn.protocols.http.h11_impl import H11Protocol


class Guarded(H11Protocol):
    """uvicorn's protocol with time limits for what a client sends and reads, and room for new ones.

    uvicorn waits without end for a head, and for a client that does not read its answer; an
    application sees neither. ``head_seconds`` bounds both, a new connection without a request, and
    the rest of a body that the application has answered without reading it. A client that is still
    sending has this time to read the answer: see :class:`Lingering`. ``idle_seconds`` bounds the
    time between two requests of one connection.

    When there are too many connections, the oldest that waits for its client gives its place to the
    new one. So idle and stalled clients do not keep others out, however many they are.
    """

    settings: Settings
    _lingering: Lingering
    _timer: asyncio.TimerHandle | None = None
    _idles = False  # between two requests, with the time limit of that
    began = 0.0  # by the loop's clock

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._lingering = Lingering(transport, self._is_sending, self._linger)
        super().connection_made(cast("asyncio.Transport", self._lingering))
        transport.set_write_buffer_limits(high=0)  # so that writing pauses for any unread byte
        self.began = self.loop.time()
        self._restart()
        if len(self.connections) > self.settings.most_connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._lingering.lingers:
            return
        super().data_received(data)
        if not self._has_deadline():
            self._stop()
        elif self._idles != self._is_idle():  # a part of the next head has come, or a body's end
            self._restart()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self.began = self.loop.time()  # its client waits for nothing from now on
        if self._has_deadline() and not self.transport.is_closing():
            self._restart()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._restart()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._has_deadline():
            self._restart()
        else:
            self._stop()

    def _linger(self) -> None:
        """Wait for the client for a while; an application that still reads learns of the end."""
        if self._is_answering():
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._restart()

    def _is_sending(self) -> bool:
        """True within a body, and after what is no HTTP, whose end is not known."""
        return self.conn.their_state in {h11.SEND_BODY, h11.ERROR}

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _has_deadline(self) -> bool:
        """True while the client has to send a head, or to read an answer."""
        return self._lingering.lingers or not self._is_answering() or self.flow.write_paused

    def _is_idle(self) -> bool:
        """True after an answer that was read, as long as nothing of a next request has come."""
        is_between = self.cycle is not None and self.conn.their_state is h11.IDLE
        return is_between and not self.conn.trailing_data[0] and not self.flow.write_paused

    def waits_for_client(self) -> bool:
        """True while there is no whole request, or an unread answer.

        A client that has sent further requests before its answer takes more than its turn, so it
        counts as one that is waited for.
        """
        return self._has_deadline() or self.cycle.more_body or self.flow.read_paused

    def _make_room(self) -> None:
        others = (each for each in self.connections if isinstance(each, Guarded))
        waiting = [each for each in others if each.waits_for_client()]
        oldest = min(waiting, key=lambda each: each.began)  # this one at least waits for its head
        self.connections.discard(oldest)  # at once: the next one may come before it is closed
        oldest.transport.abort()

    def _restart(self) -> None:
        self._stop()
        self._idles = self._is_idle()
        limit = self.settings.idle_seconds if self._idles else self.settings.head_seconds
        self._timer = self.loop.call_later(limit, self._cut_off)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _cut_off(self) -> None:
        self._timer = None
        if self._has_deadline():
            self.transport.abort()


def guarded(settings: Settings) -> type[Guarded]:
    """Return the protocol with these limits."""
    return type("Guarded", (Guarded,), {"settings": settings})


class Served(Protocol):
    """The state of a service, as its server sees it."""

    settings: Settings
    in_hand: int  # requests without an answer
    failure: str | None  # the reason why no request can be answered any more

    def drain(self) -> None:
        """Refuse new requests from now on."""


class Server(uvicorn.Server):
    """A server that finishes what is in hand when it is told to end.

    After the first SIGTERM or Ctrl-C it goes on accepting connections, so that ``drain`` makes the
    application refuse new requests with 503. It ends when nothing is in hand; at once after a
    second signal, and when the service has failed.

    Args:
        config: of uvicorn.
        service: is drained at the first signal.
    """

    def __init__(self, config: uvicorn.Config, service: Served) -> None:
        super().__init__(config)
        self._service = service
        self._drainingsince: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._drainingsince is None:
            self._drainingsince = time.monotonic()
            self._service.drain()
        else:
            self.should_exit = self.force_exit = True

    async def on_tick(self, counter: int) -> Any:
        settings = self._service.settings
        if self._drainingsince is not None:
            seconds = time.monotonic() - self._drainingsince
            is_done = seconds >= settings.drain_seconds and self._service.in_hand == 0
            if is_done or seconds >= settings.most_drain_seconds:
                self.should_exit = True
        if self._service.failure is not None:
            self.should_exit = True
        return await super().on_tick(counter)
