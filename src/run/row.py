"""The record of a row: a format on a device."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from src.run.accuracy import Accuracy, Verdict
from src.run.decoder_choice import faster
from src.run.embedded import EmbeddedFigures
from src.run.facts import ExportDetails
from src.run.file_input import FileInput
from src.run.instruction_sets import InstructionSetAnswers
from src.run.latency import Cell
from src.run.pipeline import REFERENCE, Decoder, Pipeline
from src.run.record import (
    Count,
    Device,
    InvalidValueError,
    Number,
    Positive,
    Record,
    Seconds,
    Share,
    Status,
    Text,
    Word,
    empty_dict,
    empty_list,
    null,
    require_inside,
)

# Settings of a runtime: "runtime" (name and version), "device", "threads" and its own.
Settings = dict[Text, Any]


class Profile(Record, frozen=True, kw_only=True):
    """Shares of a call's time as the runtime reports them; empty if it cannot.

    See :class:`src.backends.base.Profile`.
    """

    time: dict[Text, Share]  # by precision
    nodes: dict[Text, Count]  # operators by precision
    operators: dict[Text, Share]  # by kind
    by_precision: dict[Text, dict[Text, Share]] | None = None  # by kind in each precision
    call_seconds: Positive | None = null()  # of one profiled call


class Trace(Record, frozen=True, kw_only=True):
    """A trace of some calls, in the run's ``profile/inference``."""

    file: Text
    bytes: Count

    def __post_init__(self) -> None:
        require_inside(self.file, "file")


class TensorNoise(Record, frozen=True, kw_only=True):
    """The quantization noise of one tensor."""

    tensor: Text
    kind: Text  # "activation" or "weight"
    sqnr_db: Number


class RowFigures(Record, frozen=True, kw_only=True):
    """The figures of a row so far: some are known after the export, others after the timing.

    Figures that are not known yet, or never in a skipped row, are None.
    """

    format: Word
    device: Device
    precision: Word
    status: Status
    reason: Text | None  # for being skipped or failed; null for ok
    size_bytes: Count | None  # of all files; null without files
    files: list[Text]
    sha256: dict[Text, Text | None] | None = None  # by file; null for a missing file
    export_seconds: Seconds | None = null()
    details: ExportDetails | None = null()
    varies: Text | None = null()  # reason why two exports give different bytes
    usage: Text | None = null()  # lines of Python
    runs_with: list[Text] = empty_list()  # packages, by import name
    environment: Word | None = None  # folder in environments/ that ran it; None: this project's
    input: FileInput | None = None  # None: the network's own, normalised float32
    latency: list[Cell]
    pipeline: list[Pipeline] = empty_list()  # by decoder, the reference first
    pipeline_reason: Text | None = None  # why it could not be timed
    decoders_left_out: dict[Decoder, Text] = empty_dict()  # reasons of those that were not timed
    accuracy: Accuracy | None
    verdict: Verdict | None  # null without a baseline
    instruction_sets: list[InstructionSetAnswers] = empty_list()  # those that were asked for
    embedded: EmbeddedFigures | None = null()  # the file with its preprocessing inside
    as_exported: bool | None = None
    import_seconds: Seconds | None = None  # of the runtime
    load_seconds: Seconds | None = None  # median of the processes
    nice: Annotated[int, Meta(ge=-20, le=20)] | None = None  # priority of the process
    requested: Settings | None = None
    effective: Settings | None = None
    first_inference_seconds: Seconds | None = None
    profile: Profile | None = None
    loads_seconds: list[Seconds] | None = None  # of each process
    idle_between_turns: bool | None = None
    trace: Trace | None = None
    trace_reason: Text | None = None  # reason why there is no trace
    damage: list[TensorNoise] | None = None  # quantization errors, the largest first
    damage_reason: Text | None = None  # reason why they are not known

    def __post_init__(self) -> None:
        for index, path in enumerate(self.files):
            require_inside(path, f"files[{index}]")
        for path in self.sha256 or ():
            require_inside(path, "a name in sha256")
        runtime = self.setting("runtime")
        if runtime is not None and not isinstance(runtime, str):
            raise InvalidValueError("effective.runtime", "a text", runtime)
        for place, settings in (("requested", self.requested), ("effective", self.effective)):
            threads = (settings or {}).get("threads")
            if threads is not None and (type(threads) is not int or not 1 <= threads <= 10**6):
                raise InvalidValueError(
                    f"{place}.threads", "a whole number from 1 to 1e+06", threads
                )

    @property
    def is_ok(self) -> bool:
        """True if the row was not skipped and has not failed."""
        return self.status == "ok"

    @property
    def is_of_twin(self) -> bool:
        """True if the file holds the int8 twin, another network than the trained one."""
        return self.details is not None and self.details.of_twin is True

    @property
    def key(self) -> tuple[str, str]:
        """Format and device, which are unique in a measurement."""
        return self.format, self.device

    @property
    def keeps_budget_on_avx2(self) -> bool:
        """True if it was measured to keep the budget on x86 without an int8 dot product."""
        tried = [answers for answers in self.instruction_sets if answers.instruction_set == "avx2"]
        return any(answers.keeps_budget for answers in tried)

    def setting(self, name: str) -> Any:
        """Return a setting that the runtime reports; None if it does not report it."""
        return (self.effective or {}).get(name)

    @property
    def threads(self) -> int | None:
        """The intra-op threads that the runtime reports, or else those that were asked for."""
        reported: int | None = self.setting("threads")
        return (self.requested or {}).get("threads") if reported is None else reported

    def cell(self, batch_size: int | None) -> Cell | None:
        """Return the figures at a batch size; None if the row was not timed at it."""
        return next((cell for cell in self.latency if cell.batch_size == batch_size), None)

    def pipeline_of(self, decoder: str = REFERENCE) -> Pipeline | None:
        """Return the pipeline with a decoder; None if it was not timed."""
        return next((figures for figures in self.pipeline if figures.decoder == decoder), None)

    def faster_pipelines(self) -> list[Pipeline]:
        """Return the decoders to ship: see :func:`src.run.decoder_choice.faster`."""
        return faster(self.pipeline)

    def require_timed(self, place: str) -> None:
        """Refuse a row with the status ok that lacks a figure of every timed row."""
        for name in _OF_TIMED_ROWS:
            if getattr(self, name) is None:
                raise InvalidValueError(f"{place}{name}", "something", None)
        if not self.size_bytes:
            raise InvalidValueError(
                f"{place}size_bytes", "a whole number of at least 1", self.size_bytes
            )


class Row(RowFigures, frozen=True, kw_only=True):
    """All figures of a row; only a row with the status ok has accuracy, and latency if timed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        decoders = [figures.decoder for figures in self.pipeline]
        if decoders and (decoders[0] != REFERENCE or len(set(decoders)) < len(decoders)):
            expected = f"{REFERENCE} first, and each decoder once,"
            raise InvalidValueError("pipeline", expected, decoders)
        names = [answers.instruction_set for answers in self.instruction_sets]
        if len(set(names)) < len(names):
            raise InvalidValueError("instruction_sets", "each one once", names)
        if self.is_ok:
            if self.latency:
                self.require_timed("")
            if self.accuracy is None:
                raise InvalidValueError("accuracy", "something", None)
            if self.verdict is not None and self.accuracy.paired is None:
                raise InvalidValueError("accuracy.delta_top1", "something", None)
            return
        for name in ("latency", "pipeline", "accuracy", "instruction_sets", "embedded"):
            if getattr(self, name):
                expected = f"nothing for a row that is {self.status}"
                raise InvalidValueError(name, expected, getattr(self, name))


_OF_TIMED_ROWS = (
    "size_bytes",
    "load_seconds",
    "first_inference_seconds",
    "idle_between_turns",
    "profile",
    "effective",
)
