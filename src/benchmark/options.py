"""Options of the benchmark stage."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from src.errors import UsageError
from src.run.circumstances import MeasuringOptions
from src.run.pipeline import DECODERS, REFERENCE, Decoder
from src.run.record import Device, NativeDevice
from src.run.results import Objective
from src.system import machine
from src.system.cpuid_mask import InstructionSet
from src.system.ranges import (
    AccuracyDrop,
    LatencyLimit,
    OptionalPositiveFloat,
    OptionalPositiveInt,
    PositiveFloat,
    PositiveInt,
    require_ranges,
)
from src.system.switched_options import needing, needs


@dataclass(frozen=True)
class BenchmarkOptions:
    """Options for measuring exported files.

    Args:
        batch_sizes: batch sizes to time, in images. Each gets its own latency figures.
        devices: devices to measure on. A row is measured where its format can run and the machine
            has the device.
        threads: intra-op threads of every runtime; by default all usable cores.
        precision: target half width of the 95 % intervals of a row's speed-ups, as a share of the
            speed-up. A row that reaches it gets no further process. This is checked after 8
            processes, then after each further 4.
        processes: maximum number of processes that time each row, one after the other. The
            intervals are computed over processes: more processes make them narrower, more rounds
            only where calls vary more than processes. A file that takes longer to load than
            ``max_seconds / processes`` keeps its first process, and its row says so.
        rounds: maximum number of rounds in each process at each batch size. In a round every row
            is timed once, in an order that rotates.
        samples: maximum number of timed calls in one turn of a row.
        turn_seconds: maximum timed seconds in one turn of a row.
        max_seconds: time limit for all timing, in seconds, with the start of further processes.
            After it only the first few rounds of each batch size are still run.
        warmup_seconds: time limit, in seconds, for a process to reach a steady speed at each batch
            size. All pipelines of a process together also have 2 % of its part of ``max_seconds``
            at most.
        timeout_seconds: time limit, in seconds, for one answer of a row. A row that exceeds it
            fails.
        max_memory_bytes: memory limit of a row's process, in bytes. A row that exceeds it fails. By
            default nine tenths of the memory of the machine or container.
        max_accuracy_drop: top-1 accuracy that a row may lose, as a share of 1: 0.01 is one point.
            A row passes if the test images show, at a risk of 5 %, that it loses no more.
        loads_at_once: number of rows that load their file at the same time. More than 1 saves
            minutes on a machine with many cores if rows compile; load times are then measured on
            busy cores.
        memory: measure the peak memory of each row at each batch size, each in a new process.
            On a CPU these are the processes that time the row, so it takes a few calls.
        pipeline: time each row also from the bytes of image files to the label, stage by stage.
        pipeline_images: maximum number of image files of the test split that pipelines are timed
            on. They are held in memory, 32 MB at most.
        decoders: decoders of the image files. pillow is the evaluation's. pillow_draft, simplejpeg
            and opencv let libjpeg decode large JPEGs at a fraction of their size. torchvision is
            timed with files that run with torch. Test images to which a decoder gives other pixels
            are classified once more, and a test shows whether that costs accuracy. A decoder whose
            package is not installed is left out with that reason.
        also_as: instruction sets that the rows of a CPU also answer the test images with: avx2,
            avx512 or avx512_vnni. Newer ones are hidden from the row's process, so that its runtime
            computes as on an older processor, where int8 sums may saturate. A row is recommended
            only if it keeps the accuracy budget there too.
        browser: measure the ONNX files also in a web page, as rows of the device ``browser``:
            headless Chromium and onnxruntime-web, WebAssembly with one thread. It needs Chromium,
            and npm at the first use. A page is another destination, with a recommendation of its
            own.
        objective: figure by which the recommended row is the best: latency, throughput, memory,
            size or pipeline. By default it is the pipeline, the time from an image file to its
            label, if the images of the data set are files and their pipelines are timed, else the
            latency.
        baseline: the format that speed and accuracy are compared with.
        load: put the recommended file under load after the rows, as ``src.serve_test`` does: it
            finds the highest rate of requests that the file holds. It is the file for the CPU, or
            the one for the GPU where none is recommended for the CPU.
        load_p99_limit: limit of the 99th percentile of the latency under load, in seconds; by
            default that of ``src.serve_test``, ten times the median of a single call.
        load_max_seconds: time limit, in seconds, for the load test; by default that of
            ``src.serve_test``.
        trace: after timing a row, write a trace of some calls into the run's
            ``profile/inference``, and show its operators.
        strict: exit with an error if a row or the load test failed.
        again: measure again, even if these options have been measured already.
    """

    batch_sizes: list[PositiveInt] = field(default_factory=lambda: [1, 8])
    devices: list[NativeDevice] = field(default_factory=lambda: ["cpu", "cuda"])
    threads: OptionalPositiveInt = None
    precision: PositiveFloat = 0.02
    processes: PositiveInt = 5
    rounds: PositiveInt = 40
    samples: PositiveInt = 100
    turn_seconds: PositiveFloat = 0.03
    max_seconds: PositiveFloat = 60.0
    warmup_seconds: PositiveFloat = 2.0
    timeout_seconds: PositiveFloat = 120.0
    max_memory_bytes: OptionalPositiveInt = None
    max_accuracy_drop: AccuracyDrop = 0.01
    loads_at_once: PositiveInt = 1
    memory: bool = True
    pipeline: bool = True
    pipeline_images: PositiveInt = 64
    decoders: list[Decoder] = field(default_factory=lambda: list(DECODERS))
    also_as: list[InstructionSet] = field(default_factory=list)
    objective: Objective | None = None
    baseline: str = "eager"
    browser: bool = False
    load: bool = False
    load_p99_limit: LatencyLimit = field(default=None, metadata=needs("load"))
    load_max_seconds: OptionalPositiveFloat = field(default=None, metadata=needs("load"))
    trace: bool = False
    strict: bool = False
    again: bool = False

    def __post_init__(self) -> None:
        require_ranges(self, "benchmark")
        if self.objective == "memory" and not self.memory:
            raise UsageError(
                "benchmark.objective",
                expected="benchmark.memory=true beside memory, which has to be measured",
                found="benchmark.memory=false",
                remedy="add benchmark.memory=true, or leave it out of the command",
            )
        if not self.batch_sizes:
            raise UsageError(
                "benchmark.batch_sizes",
                expected="at least one size",
                found="none",
                remedy="set for example benchmark.batch_sizes=[1]",
            )
        if self.objective == "pipeline" and not self.pipeline:
            raise UsageError(
                "benchmark.objective",
                expected="benchmark.pipeline=true, to compare by the pipeline",
                found="pipeline, which is not timed",
                remedy="leave benchmark.pipeline at true, or name another objective",
            )
        for name, switch in needing(type(self)).items():
            if getattr(self, name) is not None and not getattr(self, switch):
                raise UsageError(
                    f"benchmark.{name}",
                    expected="benchmark.load=true beside it, for nothing is put under load without",
                    found="benchmark.load=false",
                    remedy=f"add benchmark.load=true, or leave out benchmark.{name}",
                )
        if REFERENCE not in self.decoders or len(set(self.decoders)) < len(self.decoders):
            raise UsageError(
                "benchmark.decoders",
                expected=f"{REFERENCE}, with which others are compared, and each decoder once",
                found=str(self.decoders),
                remedy=f"set for example benchmark.decoders=[{REFERENCE}]",
            )
        if len(set(self.also_as)) < len(self.also_as):
            raise UsageError(
                "benchmark.also_as",
                expected="each instruction set once",
                found=str(self.also_as),
                remedy="name each one once",
            )
        if len(set(self.batch_sizes)) < len(self.batch_sizes):
            raise UsageError(
                "benchmark.batch_sizes",
                expected="each size once",
                found=str(self.batch_sizes),
                remedy="name each size once",
            )
        if not self.devices:
            raise UsageError(
                "benchmark.devices",
                expected="at least one of cpu and cuda",
                found="none",
                remedy="leave it out for both",
            )

    @property
    def measured_devices(self) -> list[Device]:
        """The devices to measure on, with the browser."""
        devices: list[Device] = [*self.devices]
        return [*devices, "browser"] if self.browser else devices

    @property
    def effective_threads(self) -> int:
        """Number of intra-op threads that every runtime is set to."""
        return self.threads or machine.usable_cores()

    @property
    def memory_limit(self) -> int:
        """Limit of the resident bytes of one worker process."""
        return self.max_memory_bytes or machine.memory_bytes() * 9 // 10

    def record(self) -> MeasuringOptions:
        """Return the options as the record that a measurement stores."""
        return MeasuringOptions(**asdict(self))
