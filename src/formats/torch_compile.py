"""The files of ``eager``, compiled by torch.compile at each load.

Loading takes as long as compiling, and needs a C++ compiler on the machine that runs the file.
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

    tolerance = 5e-3  # like eager, and BatchNorm folded
    compiles = True

    def usage(self, preprocessing: PreprocessingFacts) -> str:
        line = 'model = torch.compile(model, options={"freezing": True})'
        return self.program(preprocessing, line)

    def load(self, folder: Path, device: str, threads: int) -> TorchRuntime:
        import torch
        from torch._dynamo import mark_dynamic
        from torch._inductor.async_compile import shutdown_compile_workers

        torch_device = open_device(device, threads)
        require_compiler()
        if device == "cuda" and missing_packages(["triton"]):
            raise Unavailable("not installed: triton, which torch.compile needs on a GPU")
        # Forget earlier loads: torch gives up after compiling the same code a few times, and
        # with fullgraph=True that is an error.
        torch.compiler.reset()
        network = eager.open_network(folder).to(torch_device)
        compiled = torch.compile(
            network,
            fullgraph=True,  # fail rather than time a network that is compiled in part
            options={
                "freezing": True,  # weights are constants, laid out for the kernels that read them
                # One library instead of one per kernel, which takes a third of the time to compile.
                "cpp_wrapper": device == "cpu",
                # Triton's kernels are compiled one by one, in processes that each import torch.
                "compile_threads": min(threads, 4) if device == "cuda" else 1,
                # Precompiled headers would stay in a cache folder that no setting can move.
                "cpp_cache_precompile_headers": False,
            },
        )
        size = eager.image_size(folder)
        with torch.inference_mode(), fresh_compiler_cache():
            # torch compiles one graph for a batch of one and another for all larger batches.
            compiled(torch.zeros(1, 3, size, size, device=torch_device))
            images = torch.zeros(2, 3, size, size, device=torch_device)
            mark_dynamic(images, 0)
            compiled(images)
        shutdown_compile_workers()  # they would go on running while rows are timed
        runtime = TorchRuntime(compiled, torch_device)
        runtime.settings["compiler"] = "inductor"
        return runtime
