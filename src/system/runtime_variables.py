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

NO_TF32 = "NVIDIA_TF32_OVERRIDE"  # with 0, NVIDIA's libraries use no TF32, whoever asks for it
# With these, float32 is computed in another precision, under the name of fp32.
OF_PRECISION = (
    *("ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE", "DNNL_ACL_ENABLE_FAST_MATH"),
    *(NO_TF32, "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"),
)
# Values that ask for float32 as it is: they stay.
_KEEPS_PRECISION = ("", "0", "STRICT")
# With these, other kernels are chosen, threads are placed or wait otherwise, or memory is
# allocated by other code. A user may set them with care, so they are recorded.
OF_SPEED = (
    *("ATEN_CPU_CAPABILITY", "OPENBLAS_CORETYPE", "OMP_DYNAMIC", "OMP_PLACES", "OMP_PROC_BIND"),
    *("OMP_SCHEDULE", "OMP_THREAD_LIMIT", "OMP_WAIT_POLICY"),
    *("LD_PRELOAD", "DYLD_INSERT_LIBRARIES", "GLIBC_TUNABLES"),
    *("LRU_CACHE_CAPACITY", "THP_MEM_ALLOC_ENABLE", "CUDA_LAUNCH_BLOCKING"),
)
# Families of such variables: of oneDNN, MKL, the OpenMP of Intel and LLVM, that of GCC, and the
# allocators of glibc, jemalloc and tcmalloc. New ones come with new versions.
FAMILIES_OF_SPEED = (
    *("ONEDNN_", "DNNL_", "MKL_", "KMP_", "GOMP_"),
    *("MALLOC_", "TCMALLOC_"),
)
# Members that change no speed: they check, print, or warn.
_OF_NO_SPEED = (
    *("ONEDNN_VERBOSE", "DNNL_VERBOSE", "MKL_VERBOSE", "KMP_VERSION", "KMP_WARNINGS"),
    *("KMP_SETTINGS", "KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK"),
)
_LIBRARIES = ("LD_PRELOAD", "DYLD_INSERT_LIBRARIES")
_MOST_SHOWN = 200  # characters


def without_other_precision(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables without those whose values change the arithmetic of float32."""
    return {
        name: value
        for name, value in environment.items()
        if name not in OF_PRECISION or _keeps_precision(value)
    }


def drop_other_precision(environment: MutableMapping[str, str]) -> list[str]:
    """Remove the variables that change the arithmetic of float32; return a line for each."""
    lines = []
    for name in OF_PRECISION:
        value = environment.get(name, "")
        if not _keeps_precision(value):
            del environment[name]
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
        for name, value in sorted(environment.items())
        if value and _is_of_speed(name)
    }


def _keeps_precision(value: str) -> bool:
    return value.upper() in _KEEPS_PRECISION


def _is_of_speed(name: str) -> bool:
    if name in OF_PRECISION or name in _OF_NO_SPEED:
        return False
    return name in OF_SPEED or name.startswith(FAMILIES_OF_SPEED)


def _names(paths: str) -> str:
    return " ".join(PurePath(path).name for path in paths.replace(":", " ").split())
