"""Formats for a GPU: a check that there is one, and calls replayed as a CUDA graph."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from src.backends.base import Unavailable
from src.backends.torch.runtime import TorchRuntime, open_device, require_compiler, timing_event
from src.run.file_input import Batch
from src.system.packages import missing_packages

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_CALLS_BEFORE_CAPTURE = 3  # libraries allocate workspaces in the first calls


def require_gpu(*, compiling: bool = False) -> torch.device:
    """Return the GPU that torch uses.

    Args:
        compiling: by torch's compiler, which depends on Triton on a GPU.

    Raises:
        Unavailable: there is no GPU, or no C++ compiler or Triton to compile with.
    """
    import torch

    if compiling:
        require_compiler()
    place = open_device("cuda", torch.get_num_threads())
    if compiling and missing_packages(["triton"]):
        raise Unavailable("not installed: triton, which torch's compiler needs on a GPU")
    return place


class _Captured(NamedTuple):
    """One captured call; its tensors are overwritten by each replay."""

    graph: torch.cuda.CUDAGraph
    images: Tensor  # (N, 3, H, W) float32, on the GPU
    logits: Tensor  # (N, K) float32, on the GPU


@dataclass(eq=False)
class GraphedRuntime(TorchRuntime):
    """A network on a GPU whose kernels are launched all at once, by replaying a CUDA graph.

    A graph is captured for each batch size when it is first called with it, and kept. At batch 1
    the host takes longer to launch a network's kernels than the GPU takes to run them; a replay
    launches them with one call (https://pytorch.org/blog/accelerating-pytorch-with-cuda-graphs/).
    The network must not synchronise with the host.
    """

    _captured: dict[tuple[int, ...], _Captured] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.settings["cuda_graph"] = True

    def __call__(self, images: Batch) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            captured = self._capture(images)
            captured.images.copy_(torch.from_numpy(images))
            captured.graph.replay()
            return cast("NDArray[np.float32]", captured.logits.cpu().numpy())

    def device_seconds(self, images: Batch) -> float | None:
        """Time the replay with CUDA events: the GPU's own time, without gaps between launches."""
        import torch

        with torch.inference_mode():
            captured = self._capture(images)
            captured.images.copy_(torch.from_numpy(images))
            start, end = timing_event(), timing_event()
            start.record()
            captured.graph.replay()
            end.record()
            end.synchronize()
        return float(start.elapsed_time(end)) / 1e3

    def _capture(self, images: Batch) -> _Captured:
        import torch

        if images.shape in self._captured:
            return self._captured[images.shape]
        place = torch.from_numpy(images).to(self.device)
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch has not typed it
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_CALLS_BEFORE_CAPTURE):
                self.network(place)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            logits = self.network(place)
        captured = _Captured(graph, place, logits)
        self._captured[images.shape] = captured
        return captured
