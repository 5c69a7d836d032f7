"""The messages of :mod:`src.worker.protocol` as JSON."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from src.worker import protocol


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request, with the shape of the images if they follow in the next message."""

    request: protocol.AnyRequest
    shape: tuple[int, ...] | None = None
    dtype: Literal["float32", "uint8"] = "float32"


def encoded(message: Call | protocol.Message) -> bytes:
    """Return a message as JSON."""
    return msgspec.json.encode(message)


def decoded_call(content: bytes) -> Call:
    """Return the request in a message to a worker."""
    return _CALLS.decode(content)


def decoded_answer(content: bytes) -> protocol.AnyAnswer:
    """Return the answer in a message from a worker."""
    answer: protocol.AnyAnswer = _ANSWERS.decode(content)
    return answer


_CALLS = msgspec.json.Decoder(Call)
_ANSWERS: Any = msgspec.json.Decoder(protocol.AnyAnswer)
