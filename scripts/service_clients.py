"""Clients of an HTTP service: one that sends an image, and those that would do it harm."""

from __future__ import annotations

import asyncio
import io
import socket
import struct
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

LOOPBACK = "127.0.0.1"
ANSWER_SECONDS = 30  # a good request without an answer is lost after them
TOO_LARGE = 21_000_000  # bytes, above the service's limit
PIECE = 65_536
NOTHING = "closed"  # the connection ended without an answer


class Connection:
    """One HTTP/1.1 request on a connection of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> bool:
        """Send bytes; False if the service has closed the connection."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except ConnectionError:
            return False
        return not self._writer.is_closing()

    def stop_reading(self) -> None:
        """Leave all answers unread, in a small buffer."""
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]

    def abort(self) -> None:
        """Close at once, whatever is unsent."""
        self._writer.transport.abort()

    async def status(self) -> str:
        """Return the status of the answer, or ``NOTHING``."""
        try:
            line = await asyncio.wait_for(self._reader.readline(), ANSWER_SECONDS)
            if not line:
                return NOTHING
            await asyncio.wait_for(self._reader.read(), ANSWER_SECONDS)
        except (TimeoutError, ConnectionError):
            return NOTHING
        return line.split()[1].decode("ascii", "replace")


Send = Callable[[Connection], Awaitable[str]]


@dataclass(frozen=True)
class Hostile:
    """A kind of hostile request."""

    send: Send  # returns the status
    answers: tuple[str, ...]  # that are right


def head(*lines: str) -> bytes:
    """Return the head of a request to classify."""
    return "\r\n".join(
        ("POST /classify HTTP/1.1", f"Host: {LOOPBACK}", "Connection: close", *lines, "", "")
    ).encode()


def whole(body: bytes) -> Send:
    """Return the sending of a body with its length."""

    async def send(connection: Connection) -> str:
        await connection.send(head(f"Content-Length: {len(body)}") + body)
        return await connection.status()

    return send


async def declared_too_large(connection: Connection) -> str:
    """Declare more bytes than are allowed, and wait for the refusal."""
    await connection.send(head(f"Content-Length: {TOO_LARGE}"))
    return await connection.status()


async def chunked_too_large(connection: Connection) -> str:
    """Send more bytes than are allowed without declaring them."""
    await connection.send(head("Transfer-Encoding: chunked"))
    piece = f"{PIECE:x}\r\n".encode() + bytes(PIECE) + b"\r\n"
    for _ in range(TOO_LARGE // PIECE + 1):
        if not await connection.send(piece):
            break
    return await connection.status()


async def slow_head(connection: Connection) -> str:
    """Send a line of the head a second, without end."""
    await connection.send(b"POST /classify HTTP/1.1\r\n")
    for number in range(ANSWER_SECONDS):
        if not await connection.send(f"X-{number}: x\r\n".encode()):
            return NOTHING
        await asyncio.sleep(1)
    return "open"


async def slow_body(connection: Connection) -> str:
    """Send a byte of the body a second."""
    await connection.send(head("Content-Length: 1000000"))
    answer = asyncio.ensure_future(connection.status())
    for _ in range(ANSWER_SECONDS):
        if answer.done() or not await connection.send(b"x"):
            break
        await asyncio.wait([answer], timeout=1)
    return await answer


async def never_reads(connection: Connection) -> str:
    """Ask again and again, and read no answer."""
    connection.stop_reading()
    asking = f"GET /metrics HTTP/1.1\r\nHost: {LOOPBACK}\r\n\r\n".encode() * 50
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            while await connection.send(asking):
                pass
    except TimeoutError:
        connection.abort()
        return "open"
    return NOTHING


async def no_http(connection: Connection) -> str:
    """Send what is no HTTP."""
    await connection.send(bytes(range(256)) * 8)
    return await connection.status()


def bomb(side: int = 60_000) -> bytes:
    """Return a PNG of a few bytes that claims by default 3.6 gigapixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    size = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    content = zlib.compress(bytes(1_000_000))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", size), chunk(b"IDAT", content), chunk(b"IEND", b"")]
    )


def icon_bomb() -> bytes:
    """Return an icon of 9x9 pixels by its header, whose PNG claims as many as Pillow allows."""
    content = bomb(13_000)
    entry = struct.pack("<BBBBHHII", 9, 9, 0, 0, 1, 32, len(content), 22)
    return struct.pack("<HHH", 0, 1, 1) + entry + content


def truncated_jpeg() -> bytes:
    """Return the first half of a JPEG."""
    pixels = np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()[: file.tell() // 2]


HOSTILE = {
    "decompression bomb": Hostile(whole(bomb()), ("415",)),
    "icon bomb": Hostile(whole(icon_bomb()), ("415",)),
    "truncated JPEG": Hostile(whole(truncated_jpeg()), ("415",)),
    "declared too large": Hostile(declared_too_large, ("413",)),
    "chunked too large": Hostile(chunked_too_large, ("413",)),
    "slow head": Hostile(slow_head, (NOTHING,)),
    "slow body": Hostile(slow_body, ("408",)),
    "never reads": Hostile(never_reads, (NOTHING,)),
    "no HTTP": Hostile(no_http, ("400",)),
}
