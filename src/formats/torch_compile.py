"""Eager's files, compiled by torch.compile when they are loaded: nothing new to ship.

Loading takes as long as compiling does, and a C++ compiler, wherever the file runs.
"""

from __future__ import annotations

from pathlib import Path

from src.backends.base import Unavailable
from src.backends.torch.runtime import (
    TorchRuntime,
    fresh_compiler_cache,
    open_device,
    require_compiler,
)
from src.formats import eager
from src.run.facts import PreprocessingFacts
from src.system.packages import missing_packages


class TorchCompile(eager.Eager):
    """Eager, compiled by Inductor for any batch size."""

    tolerance = 5e-3  # as eager's, and BatchNorm folded
    compiles = True

    def usage(self, preprocessing: PreprocessingFacts) -> str:
        line = 'model = torch.compile(model, options={"freezing": True})'
        return self.program(preprocessing, line)

    def load(self, folder: Path, device: str, threads: int) -> TorchRuntime:
        import torch
        from torch._dynamo import mark_dynamic
        from torch._inductor.async_compile import shutdown_compile_workers

        place = open_device(device, threads)
        require_compiler()
        if device == "cuda" and missing_packages(["triton"]):
            raise Unavailable("not installed: triton, which torch.compile needs on a GPU")
        # Forget earlier loads: torch gives up after compiling the same code a few times, and
        # with fullgraph=True that is an error.
        torch.compiler.reset()
        network = eager.open_network(folder).to(place)
        compiled = torch.compile(
            network,
            fullgraph=True,  # or fail: a part that is not compiled would be timed under this name
            options={
                "freezing": True,  # weights are constants, laid out for the kernels that read them
                # One library instead of one a kernel: a third of the time that compiling takes.
                "cpp_wrapper": device == "cpu",
                # Triton's kernels are compiled one by one, in processes that each import torch.
                "compile_threads": min(threads, 4) if device == "cuda" else 1,
                # They would be left behind, in a cache that no setting moves.
                "cpp_cache_precompile_headers": False,
            },
        )
        size = eager.image_size(folder)
        with torch.inference_mode(), fresh_compiler_cache():
            # Torch takes a batch of one as another graph than all larger ones.
            compiled(torch.zeros(1, 3, size, size, device=place))
            images = torch.zeros(2, 3, size, size, device=place)
            mark_dynamic(images, 0)
            compiled(images)
        shutdown_compile_workers()  # processes that would stay, beside rows that are timed
        runtime = TorchRuntime(compiled, place)
        runtime.settings["compiler"] = "inductor"
        return runtime
