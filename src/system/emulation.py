"""An older processor emulated by QEMU, where instruction sets cannot be hidden from a process.

User-mode emulation runs a program instruction by instruction, about a hundred times slower. Its
answers are those of the emulated processor; its speed says nothing.
https://www.qemu.org/docs/master/user/main.html
"""

from __future__ import annotations

import functools
import platform
import re
import shutil
from typing import NamedTuple

from src.system import cpuid_mask
from src.system.cpuid_mask import CannotHideError, InstructionSet, NothingNewerError
from src.system.subprocesses import output_of

PROGRAM = "qemu-x86_64"
_MODELS: dict[InstructionSet, str] = {"avx2": "Haswell"}  # QEMU emulates no AVX-512
_OLDEST = (7, 2)  # with AVX and AVX2
_VERSION_SECONDS = 10.0


class Emulator(NamedTuple):
    """A way to run a program on an emulated processor.

    Args:
        command: the words before the program's own.
        name: of the emulator and the processor.
    """

    command: list[str]
    name: str


class Restriction(NamedTuple):
    """A way to run a program as on an older processor.

    Args:
        variables: environment variables that hide newer instruction sets.
        emulator: of the older processor; None to run natively.
    """

    variables: dict[str, str]
    emulator: Emulator | None = None


def restricting(instruction_set: InstructionSet) -> Restriction:
    """Return a way to run a program with nothing newer than an instruction set.

    Newer ones are hidden. Where that is not possible, an older processor is emulated.

    Raises:
        CannotHideError: neither is possible here, or there is nothing to hide.
    """
    try:
        return Restriction(cpuid_mask.hiding(instruction_set))
    except NothingNewerError:
        raise
    except CannotHideError as error:
        model = _MODELS.get(instruction_set)
        if model is None or platform.machine() != "x86_64" or platform.system() != "Linux":
            raise
        return Restriction({}, _emulator(model, str(error)))


def _emulator(model: str, reason: str) -> Emulator:
    """Return the emulator of a processor.

    Raises:
        CannotHideError: there is none here; the message begins with the reason for emulating.
    """
    path = shutil.which(PROGRAM)
    if path is None:
        raise CannotHideError(f"{reason}, and no {PROGRAM} to emulate one; install qemu-user")
    version = version_of(path)
    if version is None or tuple(map(int, version.split(".")[:2])) < _OLDEST:
        raise CannotHideError(
            f"{reason}, and {PROGRAM} {version or 'of an unknown version'} emulates no AVX2; "
            "install 7.2 or newer"
        )
    return Emulator([path, "-cpu", model], f"{PROGRAM} {version}, {model}")


@functools.cache
def version_of(path: str) -> str | None:
    """Return the version of one of QEMU's programs; None if it does not tell."""
    text = output_of([path, "--version"], _VERSION_SECONDS) or ""
    match = re.search(r"version (\d+\.\d+[.\d]*)", text)
    return match[1] if match else None
