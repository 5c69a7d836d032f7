"""The end of a connection whose client is still sending."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class Lingering:
    """A transport whose end does not take the answer from the client.

    The system resets a connection that is closed while bytes of the client are unread or on their
    way, and then the client may lose an answer that it has not read yet: a 408 or a 413. So such a
    connection is closed for writing only. The client reads the answer and its end, and what it
    still sends is thrown away until it closes the connection, or :meth:`abort` does.

    Args:
        transport: of the connection.
        is_sending: returns whether the client may still send.
        begin: is called when it begins to wait for the client, which has to set a deadline.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        is_sending: Callable[[], bool],
        begin: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._is_sending = is_sending
        self._begin = begin
        self.lingers = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Return whether nothing more can be written."""
        return self.lingers or self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Write, unless the answer has ended."""
        if not self.lingers:
            self._transport.write(data)

    def close(self) -> None:
        """End the answer, and close the connection unless the client is still sending."""
        waits = not self.is_closing() and self._transport.can_write_eof() and self._is_sending()
        if not waits:
            self._transport.close()
            return
        try:
            self._transport.write_eof()
        except OSError:  # the client has reset the connection
            self._transport.abort()
            return
        self.lingers = True
        self._transport.resume_reading()
        self._begin()
