"""Bodies of requests, read within bounds of bytes and of time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fastapi import HTTPException, Request
from settings import Settings
from starlette.requests import ClientDisconnect

SOON = {"Retry-After": "1"}


class Bodies:
    """Reads bodies, and counts the bytes of all that are in memory.

    Args:
        settings: the bounds.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._bytes = 0

    @contextlib.asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytearray]:
        """Yield the body of a request.

        Raises:
            HTTPException: it is too large (413) or too slow (408), there is no room (429), or
                the client has gone (400).
        """
        body = bytearray()
        try:
            await self._fill(body, request)
            yield body
        finally:
            self._bytes -= len(body)

    async def _fill(self, body: bytearray, request: Request) -> None:
        most = self._settings.most_bytes
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > most:
            raise HTTPException(413, f"more than {most} bytes")
        try:
            async with asyncio.timeout(self._settings.body_seconds):
                async for part in request.stream():
                    if len(body) + len(part) > most:
                        raise HTTPException(413, f"more than {most} bytes")
                    if self._bytes + len(part) > self._settings.most_buffered:
                        raise HTTPException(429, "too many bytes at once", SOON)
                    body += part
                    self._bytes += len(part)
        except TimeoutError:
            raise HTTPException(408, "too slow", {"Connection": "close"}) from None
        except ClientDisconnect:
            raise HTTPException(400, "the client has gone") from None
