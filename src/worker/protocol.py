"""Messages between a worker process and its parent: JSON, each request and answer with a type.

A request is one message, followed by one of raw float32 images where it has a ``shape``. An answer
is one message, followed by one of raw float32 logits where it is :class:`Logits`.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

from src.run.row import Profile, Settings, TensorNoise


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """Base of all requests and answers."""


class Answer(Message, frozen=True, kw_only=True):
    """Base of what a worker says of a request that it could do."""


AnswerType = TypeVar("AnswerType", bound=Answer)


class Request(Message, Generic[AnswerType], frozen=True, kw_only=True):
    """Base of the requests. The type parameter is the type of the answer."""

    @property
    def name(self) -> str:
        """The request as messages to people call it."""
        return str(self.__struct_config__.tag)


# Answers


class Imported(Answer, frozen=True, kw_only=True, tag="imported"):
    """The runtime is imported."""

    import_seconds: float


class Loaded(Answer, frozen=True, kw_only=True, tag="loaded"):
    """The file is loaded."""

    import_seconds: float
    load_seconds: float
    nice: int  # priority of the process
    requested: Settings
    effective: Settings  # as the runtime itself tells


class Logits(Answer, frozen=True, kw_only=True, tag="logits"):
    """Logits follow in the next message."""

    shape: tuple[int, ...]


class Held(Answer, frozen=True, kw_only=True, tag="held"):
    """A batch is kept, and was called once."""

    first_inference_seconds: float


class WarmedUp(Answer, frozen=True, kw_only=True, tag="warmed_up"):
    """Calls were made until the speed was steady, or the time was up."""

    warm: bool  # it came to be steady
    seconds: float  # spent


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """One turn of timed calls."""

    seconds: list[float]  # of each call, at least one
    elapsed_seconds: float  # from the first call's start to the last one's end
    cpu_seconds: float  # of all threads meanwhile
    energy_joules: float | None  # of the whole package or GPU; None where that cannot be read
    device_seconds: list[float] | None  # of as many calls again, by the device's own clock


class Timed(Answer, frozen=True, kw_only=True, tag="timed"):
    """A turn was timed."""

    timing: Timing
    settled: bool  # the process used no CPU after it
    request_cpu_seconds: float  # of the whole request: the parent tells others' part by it


class Spent(Answer, frozen=True, kw_only=True, tag="spent"):
    """Energy of many calls."""

    joules: float | None  # None without a counter, and where it did not move in time
    calls: int


class Profiled(Answer, frozen=True, kw_only=True, tag="profiled"):
    """Shares of a call's time."""

    profile: Profile


class MemoryPeak(Answer, frozen=True, kw_only=True, tag="memory_peak"):
    """The peak resident memory since the start."""

    peak_rss_bytes: int  # above the empty worker


class Departures(Answer, frozen=True, kw_only=True, tag="departures"):
    """Tensors that depart from what the file was made from, the worst first."""

    damage: list[TensorNoise]


class NotHere(Message, frozen=True, kw_only=True, tag="not_here"):
    """The format cannot run on that device here."""

    reason: str


class Failed(Message, frozen=True, kw_only=True, tag="failed"):
    """The request failed."""

    reason: str
    not_finite: tuple[int, ...] = ()  # images whose logits are not finite


# Requests


class ImportRuntime(Request[Imported], frozen=True, kw_only=True, tag="import_runtime"):
    """Import the packages that the format runs with."""


class Load(Request[Loaded], frozen=True, kw_only=True, tag="load"):
    """Load the file."""

    classes: int | None = None  # K, as every answer is to have them; None: only the file knows


class Predict(Request[Logits], frozen=True, kw_only=True, tag="predict"):
    """Return the logits of the images."""


class Hold(Request[Held], frozen=True, kw_only=True, tag="hold"):
    """Keep the images as the batch to time."""


class WarmUp(Request[WarmedUp], frozen=True, kw_only=True, tag="warm_up"):
    """Call until the speed no longer changes."""

    tolerance: float  # share by which two windows in a row may differ
    max_seconds: float


class Time(Request[Timed], frozen=True, kw_only=True, tag="time"):
    """Time one turn."""

    samples: int  # at most
    max_seconds: float


class Energy(Request[Spent], frozen=True, kw_only=True, tag="energy"):
    """Call for long enough that a slow energy counter tells something."""

    least_seconds: float
    max_seconds: float


class Finish(Request[Profiled], frozen=True, kw_only=True, tag="finish"):
    """Return what is known once all timing is over."""


class PeakMemory(Request[MemoryPeak], frozen=True, kw_only=True, tag="peak_memory"):
    """Call with the images until the peak of the memory is steady."""


class Trace(Request[Profiled], frozen=True, kw_only=True, tag="trace"):
    """Profile some calls, and write them to a file."""

    path: str


class Damage(Request[Departures], frozen=True, kw_only=True, tag="damage"):
    """Compare the file's tensors, on the images, with those of the file it was made from."""

    exports: str  # the folder that holds the other formats' folders


AnyRequest = (
    ImportRuntime
    | Load
    | Predict
    | Hold
    | WarmUp
    | Time
    | Energy
    | Finish
    | PeakMemory
    | Trace
    | Damage
)
AnyAnswer = (
    Imported
    | Loaded
    | Logits
    | Held
    | WarmedUp
    | Timed
    | Spent
    | Profiled
    | MemoryPeak
    | Departures
    | NotHere
    | Failed
)


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request with the shape of the images in the message after it, if there is one."""

    request: AnyRequest
    shape: tuple[int, ...] | None = None


def encoded(message: Call | Message) -> bytes:
    """Return a message as JSON."""
    return msgspec.json.encode(message)


def decoded_call(content: bytes) -> Call:
    """Return a message to a worker."""
    return _CALLS.decode(content)


def decoded_answer(content: bytes) -> AnyAnswer:
    """Return a message of a worker."""
    answer: AnyAnswer = _ANSWERS.decode(content)
    return answer


_CALLS = msgspec.json.Decoder(Call)
_ANSWERS: Any = msgspec.json.Decoder(AnyAnswer)
