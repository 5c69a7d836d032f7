"""Memory, energy and clocks of CUDA's first GPU, as the NVIDIA driver reports them.

NVML counts all GPUs by their place on the bus. CUDA counts those that ``CUDA_VISIBLE_DEVICES``
names, the fastest first. So the GPU is looked up by its UUID, which both know.

The package ``nvidia-ml-py`` is optional (``pip install lightship[gpu]``); without it, or
without a GPU, everything here is None.
"""

from __future__ import annotations

import ctypes
import functools
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple


def first_gpu() -> str | None:
    """Return the UUID of CUDA's device 0, from the driver itself; None where CUDA has no device.

    No context is made, so that this takes no memory on the GPU.
    https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__DEVICE.html
    """
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None  # no driver
    device, uuid_bytes = ctypes.c_int(), (ctypes.c_ubyte * 16)()
    # The second version gives the part's own UUID where a GPU is split by MIG.
    if (
        cuda.cuInit(0)
        or cuda.cuDeviceGet(ctypes.byref(device), 0)
        or cuda.cuDeviceGetUuid_v2(ctypes.byref(uuid_bytes), device)
    ):
        return None
    return str(uuid.UUID(bytes=bytes(uuid_bytes)))


@functools.cache
def _device() -> tuple[Any, Any] | None:
    """Return the library and the handle of CUDA's device 0."""
    try:
        import pynvml
    except ImportError:
        return None
    known = first_gpu()
    if known is None:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None  # no driver
    for kind in ("GPU", "MIG"):
        try:
            return pynvml, pynvml.nvmlDeviceGetHandleByUUID(f"{kind}-{known}")
        except pynvml.NVMLError:
            continue  # it is of the other kind, or not to be seen from this container
    return None


def _ask(question: Callable[[Any, Any], Any]) -> Any:
    device = _device()
    if device is None:
        return None
    library, handle = device
    try:
        return question(library, handle)
    except library.NVMLError:
        return None  # this GPU does not tell


def used_bytes() -> int | None:
    """Return the memory in use on the GPU by all processes."""
    value = _ask(lambda library, handle: library.nvmlDeviceGetMemoryInfo(handle).used)
    return None if value is None else int(value)


def energy_millijoules() -> int | None:
    """Return the energy since the driver was loaded (Volta and newer)."""
    value = _ask(lambda library, handle: library.nvmlDeviceGetTotalEnergyConsumption(handle))
    return None if value is None else int(value)


class GpuState(NamedTuple):
    """The driver's account of the GPU; None where it does not tell."""

    driver: str | None = None  # version
    clock_hz: float | None = None  # of the multiprocessors, now
    highest_clock_hz: float | None = None
    power_limit_watts: float | None = None


def describe() -> GpuState:
    """Return the driver's version, the clocks and the power limit."""

    def ask(library: Any, handle: Any) -> GpuState:
        clock = library.NVML_CLOCK_SM
        return GpuState(
            driver=str(library.nvmlSystemGetDriverVersion()),
            clock_hz=library.nvmlDeviceGetClockInfo(handle, clock) * 1e6,
            highest_clock_hz=library.nvmlDeviceGetMaxClockInfo(handle, clock) * 1e6,
            power_limit_watts=library.nvmlDeviceGetEnforcedPowerLimit(handle) / 1e3,
        )

    return _ask(ask) or GpuState()


class GrowthMeter:
    """The peak device memory of one process, from what all processes use together.

    Per-process figures of NVML are missing in containers. But workers are taken in turn: while
    one is asked, the growth of the sum is its own.
    """

    def __init__(self, read: Callable[[], int | None] = used_bytes) -> None:
        self._read = read
        self._own = 0
        self._start: int | None = None
        self.peak_bytes: int | None = None

    def begin(self) -> None:
        """Note the sum before the process is asked."""
        self._start = self._read()

    def sample(self) -> None:
        """Update the peak by the present sum."""
        used = self._read()
        if self._start is not None and used is not None:
            self.peak_bytes = max(self.peak_bytes or 0, self._own + used - self._start)

    def end(self) -> None:
        """Add the growth since :meth:`begin` to what the process holds."""
        self.sample()
        used = self._read()
        if self._start is not None and used is not None:
            self._own += used - self._start
