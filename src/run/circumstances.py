"""Records of the conditions of a measurement: the machine and the options."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from src.run.record import Cores, Count, Number, Record, Share, Text, null


class Container(Record, frozen=True, kw_only=True):
    """Limits of the container; null without a limit."""

    cores: Annotated[float, Meta(ge=0, le=1e6)] | None
    memory_bytes: Count | None


class Gpu(Record, frozen=True, kw_only=True):
    """The GPU, described by torch and the driver; without NVML only some values are known."""

    name: Text
    cuda: Text | None = None
    cudnn: Count | None = None
    driver: Text | None = None
    clock_hz: Number | None = None
    highest_clock_hz: Number | None = None
    power_limit_watts: Number | None = None


class Environment(Record, frozen=True, kw_only=True):
    """The machine and the versions; a value is null if the system does not report it."""

    cpu: Text
    isa: list[Text]  # instruction sets that matter for int8 and matrix products
    int8_dot_product: bool
    architecture: Text | None = None
    usable_cores: Cores
    threads: Cores  # intra-op threads of every runtime
    machine_cores: Cores | None
    frequency_governor: Text | None
    virtual_machine: bool | None
    memory_bytes: Count
    container: Container
    gpu: Gpu | None  # null without one
    system: Text
    python: Text
    packages: dict[Text, Text]  # versions by name
    git_commit: Text | None = null()  # of this project
    # Those that change the speed: see src.system.runtime_variables; None without one.
    variables: dict[Text, Text] | None = None

    @property
    def lasting(self) -> Environment:
        """The same without the present clock of the GPU, which differs at each look."""
        gpu = self.gpu and msgspec.structs.replace(self.gpu, clock_hz=None)
        return msgspec.structs.replace(self, gpu=gpu)

    @property
    def processor(self) -> str:
        """Name of the GPU if there is one, else of the CPU."""
        return self.gpu.name if self.gpu else self.cpu


class MeasuringOptions(Record, frozen=True, kw_only=True):
    """The options of the measurement: see :class:`src.benchmark.options.BenchmarkOptions`.

    An option that a measurement of an earlier version does not have is None. For the options
    with ``null()``, None is also a value of the option.
    """

    batch_sizes: list[int] | None = None
    devices: list[Text] | None = None
    threads: int | None = null()  # null: all usable cores
    precision: float | None = None
    processes: int | None = None
    rounds: int | None = None
    samples: int | None = None
    turn_seconds: float | None = None
    max_seconds: float | None = None
    warmup_seconds: float | None = None
    timeout_seconds: float | None = None
    max_memory_bytes: int | None = null()  # null: nine tenths of the memory
    max_accuracy_drop: Share
    loads_at_once: int | None = None
    memory: bool | None = None
    pipeline: bool | None = None
    pipeline_images: int | None = None
    decoders: list[Text] | None = None
    also_as: list[Text] | None = None
    browser: bool | None = None
    objective: Text | None = null()  # null: by the data set, see `recommendation` for the result
    baseline: Text | None = None
    load: bool | None = None
    load_p99_limit: float | None = null()  # null: that of src.serve_test
    load_max_seconds: float | None = null()  # likewise
    trace: bool | None = None
    strict: bool | None = None
    again: bool | None = None
