"""Environment variables that change the arithmetic or the speed of runtimes.

oneDNN computes the convolutions of PyTorch and OpenVINO. With ``ONEDNN_DEFAULT_FPMATH_MODE=BF16``,
which guides for servers recommend, it rounds the factors of float32 to bfloat16, also in an
OpenVINO model that was compiled for f32.
https://uxlfoundation.github.io/oneDNN/dev_guide_attributes_fpmath_mode.html
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from pathlib import PurePath

# With these, float32 is computed in another precision, under the name of fp32.
OF_PRECISION = (
    *("ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE", "DNNL_ACL_ENABLE_FAST_MATH"),
    *("NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"),
)
# With these, other kernels are chosen, threads are placed or wait otherwise, or memory is
# allocated by other code. A user may set them with care, so they are recorded.
OF_SPEED = (
    *("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"),
    *("ONEDNN_CPU_ISA_HINTS", "DNNL_CPU_ISA_HINTS", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"),
    *("MKL_CBWR", "MKL_DEBUG_CPU_TYPE", "MKL_ENABLE_INSTRUCTIONS", "OPENBLAS_CORETYPE"),
    *("KMP_AFFINITY", "KMP_BLOCKTIME", "KMP_HW_SUBSET", "GOMP_CPU_AFFINITY", "GOMP_SPINCOUNT"),
    *("OMP_DYNAMIC", "OMP_PLACES", "OMP_PROC_BIND", "OMP_THREAD_LIMIT", "OMP_WAIT_POLICY"),
    *("LD_PRELOAD", "DYLD_INSERT_LIBRARIES", "GLIBC_TUNABLES", "MALLOC_ARENA_MAX", "MALLOC_CONF"),
    *("LRU_CACHE_CAPACITY", "THP_MEM_ALLOC_ENABLE", "CUDA_LAUNCH_BLOCKING"),
)
_LIBRARIES = ("LD_PRELOAD", "DYLD_INSERT_LIBRARIES")
_MOST_SHOWN = 200  # characters


def without_other_precision(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables without those that change the arithmetic of float32."""
    return {name: value for name, value in environment.items() if name not in OF_PRECISION}


def drop_other_precision(environment: MutableMapping[str, str]) -> list[str]:
    """Remove the variables that change the arithmetic of float32; return a line for each."""
    lines = []
    for name in OF_PRECISION:
        value = environment.pop(name, "")
        if value and value.upper() not in {"STRICT", "0"}:
            lines.append(
                f"{name}={value[:_MOST_SHOWN]!r} is ignored: float32 would be computed in another "
                "precision under the name of fp32; trainer.precision chooses that of a training"
            )
    return lines


def of_speed(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables that are set and change the speed; of libraries only the names.

    Args:
        environment: by default that of this process.
    """
    environment = os.environ if environment is None else environment
    return {
        name: (_names(value) if name in _LIBRARIES else value)[:_MOST_SHOWN]
        for name in OF_SPEED
        if (value := environment.get(name))
    }


def _names(paths: str) -> str:
    return " ".join(PurePath(path).name for path in paths.replace(":", " ").split())
