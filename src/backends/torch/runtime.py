"""PyTorch: a network as a runtime."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from src.backends.base import Profile, Unavailable
from src.backends.chrome_trace import Operation
from src.run.file_input import Batch
from src.run.row import Settings
from src.system import runtime_variables

if TYPE_CHECKING:
    import torch
    from torch import Tensor


_PROFILED_CALLS = 5
_MICROSECOND = 1e-6


@dataclass(eq=False)
class TorchRuntime:
    """A network on a device, called without autograd.

    Args:
        network: images (N, 3, H, W) to logits (N, K), both float32 and on ``device``.
        device: where it runs.
        precision: of the products, for the profile.
    """

    network: Callable[[Tensor], Tensor]
    device: torch.device
    precision: str = "fp32"
    settings: Settings = field(init=False)

    def __post_init__(self) -> None:
        import torch

        self.settings = {
            "runtime": f"torch {torch.__version__}",
            "device": self.device.type,
            "threads": torch.get_num_threads(),
            "interop_threads": torch.get_num_interop_threads(),
            "matmul_precision": torch.get_float32_matmul_precision(),
        }
        if self.device.type == "cuda":
            self.settings["tf32"] = torch.backends.cuda.matmul.allow_tf32
            self.settings["cudnn_tf32"] = torch.backends.cudnn.allow_tf32
            self.settings["cudnn_benchmark"] = torch.backends.cudnn.benchmark
            self.settings["cuda_graph"] = False

    def __call__(self, images: Batch) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            logits = self.network(torch.from_numpy(images).to(self.device))
            return cast("NDArray[np.float32]", logits.float().cpu().numpy())

    def warm_up(self, image_size: int) -> None:
        """Call it with one image and with two: compilers treat a batch of one as a special case."""
        for count in (1, 2):
            self(np.zeros((count, 3, image_size, image_size), np.float32))

    def synchronize(self) -> None:
        import torch

        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def device_seconds(self, images: Batch) -> float | None:
        """Time the network with CUDA events, with its input on the device already.

        The time holds the gaps in which the GPU waits for the host to launch the next kernel, so at
        batch 1 it is often the host's time. A row with a CUDA graph has no such gaps.
        """
        import torch

        if self.device.type != "cuda":
            return None
        with torch.inference_mode():
            there = torch.from_numpy(images).to(self.device)
            start, end = timing_event(), timing_event()
            start.record()
            self.network(there)
            end.record()
            end.synchronize()
            milliseconds: float = start.elapsed_time(end)
        return milliseconds / 1e3

    def profile(self, images: Batch, trace: Path | None = None) -> Profile:
        """Give all time to the network's own type, in which torch runs each operator.

        Torch's profiler takes seconds to start, so it runs only where a trace is asked for.
        """
        if trace is None:
            return Profile(time={self.precision: 1.0})
        import torch
        from torch.profiler import ProfilerActivity, profile

        activities = [ProfilerActivity.CPU]
        if self.device.type == "cuda":
            activities.append(ProfilerActivity.CUDA)
        self(images)
        steps = torch.profiler.schedule(wait=0, warmup=1, active=_PROFILED_CALLS, repeat=1)
        with profile(
            activities=activities,
            schedule=steps,
            on_trace_ready=lambda profiler: profiler.export_chrome_trace(str(trace)),
        ) as profiler:
            for _ in range(_PROFILED_CALLS + 1):
                self(images)
                profiler.step()
        profiled = _operations(profiler.events(), self.device.type, self.precision)
        return Profile.of(profiled).shared_by(_PROFILED_CALLS)


def _operations(events: Any, device: str, precision: str) -> Iterator[Operation]:
    """Yield the own time of each operator: on the host, or on the device where it runs there."""
    for event in events:
        on_device = event.device_type.name != "CPU"
        if event.is_user_annotation or on_device is not (device == "cuda"):
            continue
        taken = event.self_device_time_total if on_device else event.self_cpu_time_total
        start = event.time_range.start * _MICROSECOND
        yield Operation(0, event.name, event.name, precision, start, taken * _MICROSECOND)


def timing_event() -> Any:
    """Return a CUDA event that records when the GPU reaches it."""
    import torch

    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]


def open_device(device: str, threads: int, *, tf32: bool = False) -> torch.device:
    """Return torch's device of that name, with ``threads`` intra-op threads set.

    Args:
        device: ``cpu`` or ``cuda``.
        threads: of one operator.
        tf32: let a GPU multiply float32 with 10 bits of mantissa. Torch's own default does so in
            convolutions and not in matrix products; here both follow the format's precision.

    Raises:
        Unavailable: torch sees no such device, or the user demands float32 of a format in TF32.
    """
    import torch

    if device == "cuda":
        if tf32 and os.environ.get(runtime_variables.NO_TF32) == "0":
            raise Unavailable(f"{runtime_variables.NO_TF32}=0 turns TF32 off: unset it")
        if not torch.cuda.is_available():
            raise Unavailable("no CUDA device that torch can use")
        torch.backends.cuda.matmul.allow_tf32 = tf32
        torch.backends.cudnn.allow_tf32 = tf32
    torch.set_num_threads(threads)
    with contextlib.suppress(RuntimeError):
        # Refused once something ran between operators; the settings say what holds.
        torch.set_num_interop_threads(1)
    return torch.device(device)


def require_compiler() -> None:
    """Refuse where torch cannot compile C++.

    Raises:
        Unavailable: there is no compiler.
    """
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler as error:
        raise Unavailable("no C++ compiler: install g++ or clang++, or name it in CXX") from error


@contextlib.contextmanager
def fresh_compiler_cache(parent: Path | None = None) -> Iterator[None]:
    """Compile from nothing and leave nothing: what was compiled before would make it look cheap.

    Libraries that are loaded meanwhile stay loaded when their files are gone.

    Args:
        parent: a folder for it; by default the system's for temporary files.
    """
    from torch._inductor.utils import fresh_cache

    with (
        tempfile.TemporaryDirectory(prefix="lightship-", dir=parent) as folder,
        fresh_cache(dir=folder, delete=False),
    ):
        yield
