"""Messages between a worker process and its parent: typed requests and answers in JSON.

A request with a ``shape`` is followed by the images, as raw values of its ``dtype``; an answer that
is :class:`Logits` by the logits, as raw float32.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from src.run.facts import PreprocessingFacts
from src.run.pipeline import Decoder, Stage
from src.run.row import Profile, Settings, TensorNoise


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """Base of all requests and answers."""


class Answer(Message, frozen=True, kw_only=True):
    """Base of the answers to a request that succeeded."""


AnswerType = TypeVar("AnswerType", bound=Answer)


class Request(Message, Generic[AnswerType], frozen=True, kw_only=True):
    """Base of the requests; the type parameter is the type of the answer."""

    @property
    def name(self) -> str:
        """Name of the request in error messages."""
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
    effective: Settings  # as the runtime reports them


class Logits(Answer, frozen=True, kw_only=True, tag="logits"):
    """The logits follow in the next message."""

    shape: tuple[int, ...]


class Held(Answer, frozen=True, kw_only=True, tag="held"):
    """A batch is held and was called once."""

    first_inference_seconds: float


class Answered(Answer, frozen=True, kw_only=True, tag="answered"):
    """Held images were answered, and the answer is usable."""


class WarmedUp(Answer, frozen=True, kw_only=True, tag="warmed_up"):
    """The warm-up is over."""

    warm: bool  # the speed became steady in time; for files, it does not still become faster
    seconds: float  # duration


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """One turn of timed calls."""

    seconds: list[float]  # of each call, at least one
    elapsed_seconds: float  # from the first call's start to the last one's end
    cpu_seconds: float  # of all threads in this time
    energy_joules: float | None  # of the whole package or GPU; None if it cannot be read
    device_seconds: list[float] | None  # of as many further calls, by the device's own clock


class Timed(Answer, frozen=True, kw_only=True, tag="timed"):
    """A turn was timed."""

    timing: Timing
    # The whole request took this, so the parent can tell the CPU time of other processes.
    request_cpu_seconds: float


class Rested(Answer, frozen=True, kw_only=True, tag="rested"):
    """The process uses no CPU, or may be stopped."""

    idle: bool  # it uses none; False if it still did at a time limit
    may_be_stopped: bool  # the parent may stop it: it ends with the parent all the same


class Spent(Answer, frozen=True, kw_only=True, tag="spent"):
    """The energy of many calls."""

    joules: float | None  # None without a counter, and if it did not change in time
    calls: int


class Profiled(Answer, frozen=True, kw_only=True, tag="profiled"):
    """The profile of a call."""

    profile: Profile


class MemoryPeak(Answer, frozen=True, kw_only=True, tag="memory_peak"):
    """The peak resident memory since the start of the process."""

    peak_rss_bytes: int  # above that of the worker before loading


class TensorErrors(Answer, frozen=True, kw_only=True, tag="tensor_errors"):
    """The quantization errors of tensors, the largest first."""

    tensors: list[TensorNoise]


class FilesHeld(Answer, frozen=True, kw_only=True, tag="files_held"):
    """The image files are held, and the first one was classified."""

    label: int  # the likeliest class of the first file
    left_out: dict[Decoder, str] = {}  # reasons of the decoders that cannot be used


class PipelineTimed(Answer, frozen=True, kw_only=True, tag="pipeline_timed"):
    """A turn of pipelines was timed."""

    timing: Timing  # of whole calls, by an outer clock
    stages: dict[Stage, list[float]]  # seconds of each call
    request_cpu_seconds: float


class NotAvailable(Message, frozen=True, kw_only=True, tag="not_available"):
    """The format cannot run on the device on this machine."""

    reason: str


class Failed(Message, frozen=True, kw_only=True, tag="failed"):
    """The request failed."""

    reason: str
    not_finite: tuple[int, ...] = ()  # images whose logits are not finite


# Requests


class ImportRuntime(Request[Imported], frozen=True, kw_only=True, tag="import_runtime"):
    """Import the packages that the format needs to run."""


class Load(Request[Loaded], frozen=True, kw_only=True, tag="load"):
    """Load the file."""

    classes: int | None = None  # K, which every output must have; None to accept any number
    embedded: bool = False  # the file has its preprocessing inside, and classifies image files only


class Predict(Request[Logits], frozen=True, kw_only=True, tag="predict"):
    """Return the logits of the images."""


class Hold(Request[Held], frozen=True, kw_only=True, tag="hold"):
    """Hold the images as the batch to time, and call once."""


class AnswerHeld(Request[Answered], frozen=True, kw_only=True, tag="answer_held"):
    """Answer the first ``images`` of the held batch in one call, without returning the logits."""

    images: int


class WarmUp(Request[WarmedUp], frozen=True, kw_only=True, tag="warm_up"):
    """Call until the speed no longer changes."""

    tolerance: float  # share by which two successive windows may differ
    max_seconds: float
    files: list[int] = []  # positions of held ones, to classify; else the batch is called


class Time(Request[Timed], frozen=True, kw_only=True, tag="time"):
    """Time one turn."""

    samples: int  # at most
    max_seconds: float


class Rest(Request[Rested], frozen=True, kw_only=True, tag="rest"):
    """Use no CPU until the next request: be ready to be stopped, or wait until idle."""

    by_stopping: bool  # the parent can stop this process


class Energy(Request[Spent], frozen=True, kw_only=True, tag="energy"):
    """Measure energy over enough calls for a slow energy counter."""

    least_seconds: float
    max_seconds: float


class Finish(Request[Profiled], frozen=True, kw_only=True, tag="finish"):
    """Return the profile, after all timing."""


class PeakMemory(Request[MemoryPeak], frozen=True, kw_only=True, tag="peak_memory"):
    """Call with the images until the peak memory is steady."""


class Trace(Request[Profiled], frozen=True, kw_only=True, tag="trace"):
    """Profile some calls and write their trace to a file."""

    path: str


class CompareTensors(Request[TensorErrors], frozen=True, kw_only=True, tag="compare_tensors"):
    """Compare the quantized file's tensors on the images with those of its fp32 original."""

    exports: str  # the folder that holds the other formats' folders


class HoldFiles(Request[FilesHeld], frozen=True, kw_only=True, tag="hold_files"):
    """Hold image files in memory, and classify the first one."""

    contents: list[bytes]  # base64 in JSON
    preprocessing: PreprocessingFacts  # with all values
    decoders: list[Decoder] = []  # to be timed, which are imported now


class AnswerFiles(Request[Logits], frozen=True, kw_only=True, tag="answer_files"):
    """Classify image files by a file with its preprocessing inside.

    The answer is the logarithms of the probabilities.
    """

    contents: list[bytes]  # base64 in JSON


class TimePipeline(Request[PipelineTimed], frozen=True, kw_only=True, tag="time_pipeline"):
    """Time one turn from the bytes of some of the held files to their labels.

    All files of the turn are taken equally often, at least once: rows of any speed classify the
    same files.
    """

    decoder: Decoder
    files: list[int]  # positions among the held ones
    samples: int  # at most, unless there are more files
    max_seconds: float


AnyRequest = (
    ImportRuntime
    | Load
    | Predict
    | Hold
    | AnswerHeld
    | WarmUp
    | Time
    | Rest
    | Energy
    | Finish
    | PeakMemory
    | Trace
    | CompareTensors
    | HoldFiles
    | AnswerFiles
    | TimePipeline
)
AnyAnswer = (
    Imported
    | Loaded
    | Logits
    | Held
    | Answered
    | WarmedUp
    | Timed
    | Rested
    | Spent
    | Profiled
    | MemoryPeak
    | TensorErrors
    | FilesHeld
    | PipelineTimed
    | NotAvailable
    | Failed
)
