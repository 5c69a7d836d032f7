"""Memory, energy and clocks of CUDA's device 0, read from the NVIDIA driver by NVML.

NVML numbers all GPUs by their position on the bus. CUDA numbers those in ``CUDA_VISIBLE_DEVICES``,
the fastest first. So the GPU is looked up by its UUID, which is the same in both.

The package ``nvidia-ml-py`` is optional (``pip install lightship[gpu]``). Without it, or without a
GPU, the functions return None or an empty description.
"""

from __future__ import annotations

import ctypes
import functools
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple


def first_gpu() -> str | None:
    """Return the UUID of CUDA's device 0 from the driver; None without a CUDA device.

    No CUDA context is created, so this uses no memory on the GPU.
    https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__DEVICE.html
    """
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None  # no driver
    device, identifier = ctypes.c_int(), (ctypes.c_ubyte * 16)()
    # Version 2 of the function returns the UUID of the instance if a GPU is split by MIG.
    if (
        cuda.cuInit(0)
        or cuda.cuDeviceGet(ctypes.byref(device), 0)
        or cuda.cuDeviceGetUuid_v2(ctypes.byref(identifier), device)
    ):
        return None
    return str(uuid.UUID(bytes=bytes(identifier)))


@functools.cache
def _device() -> tuple[Any, Any] | None:
    """Return the library and the handle of CUDA's device 0; None if either is missing."""
    try:
        import pynvml
    except ImportError:
        return None
    gpu_uuid = first_gpu()
    if gpu_uuid is None:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None  # no driver
    for kind in ("GPU", "MIG"):
        try:
            return pynvml, pynvml.nvmlDeviceGetHandleByUUID(f"{kind}-{gpu_uuid}")
        except pynvml.NVMLError:
            continue  # of the other kind, or not visible in this container
    return None


def _read(query: Callable[[Any, Any], Any]) -> Any:
    """Return the result of a query with the library and the handle; None if it is unsupported."""
    device = _device()
    if device is None:
        return None
    library, handle = device
    try:
        return query(library, handle)
    except library.NVMLError:
        return None  # not supported by this GPU


def used_bytes() -> int | None:
    """Return the bytes in use on the GPU by all processes; None if unknown."""
    value = _read(lambda library, handle: library.nvmlDeviceGetMemoryInfo(handle).used)
    return None if value is None else int(value)


def energy_millijoules() -> int | None:
    """Return the energy since the driver was loaded (Volta and newer); None if unknown."""
    value = _read(lambda library, handle: library.nvmlDeviceGetTotalEnergyConsumption(handle))
    return None if value is None else int(value)


class GpuState(NamedTuple):
    """State of the GPU as the driver reports it; None for a value that is not reported."""

    driver: str | None = None  # version
    clock_hz: float | None = None  # of the multiprocessors, now
    highest_clock_hz: float | None = None
    power_limit_watts: float | None = None


def describe() -> GpuState:
    """Return the driver's version, the clocks and the power limit."""

    def query(library: Any, handle: Any) -> GpuState:
        clock = library.NVML_CLOCK_SM
        return GpuState(
            driver=str(library.nvmlSystemGetDriverVersion()),
            clock_hz=library.nvmlDeviceGetClockInfo(handle, clock) * 1e6,
            highest_clock_hz=library.nvmlDeviceGetMaxClockInfo(handle, clock) * 1e6,
            power_limit_watts=library.nvmlDeviceGetEnforcedPowerLimit(handle) / 1e3,
        )

    state: GpuState | None = _read(query)
    return state or GpuState()


class GrowthMeter:
    """Meter of the peak device memory of one process, computed from the use of all processes.

    NVML has no figures per process in containers. But only one worker runs at a time, so the growth
    of the total during its request is its own.

    Args:
        read: returns the bytes in use by all processes; replaced in tests.
    """

    def __init__(self, read: Callable[[], int | None] = used_bytes) -> None:
        self._read = read
        self._own = 0
        self._start: int | None = None
        self.peak_bytes: int | None = None

    def begin(self) -> None:
        """Start metering, before a request to the process."""
        self._start = self._read()

    def sample(self) -> None:
        """Read the total and update the peak."""
        used = self._read()
        if self._start is not None and used is not None:
            self.peak_bytes = max(self.peak_bytes or 0, self._own + used - self._start)

    def end(self) -> None:
        """Stop metering, after the process has answered."""
        self.sample()
        used = self._read()
        if self._start is not None and used is not None:
            self._own += used - self._start
