"""The option of ONNX Runtime by which sums of int8 products do not saturate, and a program's lines.

With "1", slower kernels sum products of int8 in 32 bits where the processor has no instruction for
it. Without, pairs of products are summed in 16 bits, where full-range weights saturate.
https://github.com/microsoft/onnxruntime/blob/main/include/onnxruntime/core/session/onnxruntime_session_options_config_keys.h
"""

from __future__ import annotations

from src.shipped import machine

EXACT_SUMS = "session.x64quantprecision"
IMPORTS = ("import pathlib", "import platform", "import onnxruntime")


def program_lines() -> list[str]:
    """Return the lines of a program that make ``options`` of a session, by the rule of a bundle.

    They need ``IMPORTS``. The option also makes processors slower that do not need it, so it is set
    on x86 only, and not where the kernel tells of an int8 dot product.
    """
    products = [flag for flag, name in machine.ISA.items() if name in machine.DOT_PRODUCTS]
    architectures = ", ".join(f'"{name}"' for name in sorted(machine.X86))
    flags = ", ".join(f'b"{flag}"' for flag in sorted(products))
    return [
        "options = onnxruntime.SessionOptions()",
        'cpuinfo = pathlib.Path("/proc/cpuinfo")',
        "flags = set(cpuinfo.read_bytes().split()) if cpuinfo.exists() else set()",
        f"dot_products = {{{flags}}}  # without one, sums saturate on x86",
        f"if platform.machine() in ({architectures}) and not flags & dot_products:",
        f'    options.add_session_config_entry("{EXACT_SUMS}", "1")',
    ]
