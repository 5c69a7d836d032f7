"""An aarch64 system for QEMU's user mode: Debian's Python, and the packages of a bundle.

Both are fetched once and kept in ``environments/``. Debian's packages are downloaded by apt with
folders of its own and unpacked there, so nothing is installed on this system, and no privilege is
needed. The wheels are those that a machine with aarch64 installs.
"""

from __future__ import annotations

import compileall
import contextlib
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from src.errors import LightshipError, one_line
from src.system import emulation, environments

MACHINE = "aarch64"
QEMU = f"qemu-{MACHINE}"
_DEBIAN = "arm64"  # the same, as Debian calls it
_DEBIAN_PACKAGES = ("python3", "libstdc++6")
_PLATFORM = f"{MACHINE}-manylinux_2_28"
# Packages of Python code alone that their index has as a source distribution only: ExecuTorch needs
# it. uv builds it here. No other one is built, for it would be built for this processor.
_PURE_SOURCES = ("antlr4-python3-runtime",)
_SECONDS = 1800.0
_LAST = 300  # characters of an installer's message
# As the kernel shows them in /proc/cpuinfo, by the bits of AT_HWCAP and AT_HWCAP2.
_FEATURES = (
    {0: "fp", 1: "asimd", 9: "fphp", 10: "asimdhp", 12: "asimdrdm", 20: "asimddp", 22: "sve"},
    {13: "i8mm", 14: "bf16"},
)
_ASK = (
    "import ctypes, json; get = ctypes.CDLL(None).getauxval; get.restype = ctypes.c_ulong; "
    "print(json.dumps([get(16), get(26)]))"
)


class Processor(NamedTuple):
    """A processor that QEMU emulates.

    Args:
        part: its number, by which the kernel names it; all are of ARM.
        found_in: machines that have it.
    """

    part: str
    found_in: str


PROCESSORS = {
    "cortex-a53": Processor("0xd03", "Raspberry Pi 3"),
    "cortex-a72": Processor("0xd08", "Raspberry Pi 4"),
    "cortex-a76": Processor("0xd0b", "Raspberry Pi 5"),
    "neoverse-n1": Processor("0xd0c", "servers in clouds"),
}


class Emulated(NamedTuple):
    """A Python that runs on an emulated processor.

    Args:
        python: a script that starts it, also from within the emulation.
        variables: its environment.
    """

    python: Path
    variables: dict[str, str]


def emulator(model: str) -> str:
    """Return the path of QEMU.

    Raises:
        LightshipError: it is not installed, or does not know the processor.
    """
    path = shutil.which(QEMU)
    if path is None:
        raise LightshipError(f"no {QEMU} on the PATH; install qemu-user, as by apt-get")
    known = subprocess.run(
        [path, "-cpu", "help"],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=60,
    ).stdout.split()
    if model not in known:
        raise LightshipError(
            f"{QEMU} {emulation.version_of(path) or 'of an unknown version'} does not emulate a "
            f"{model}; install 7.2 or newer, or name another --cpu"
        )
    return path


def system() -> Path:
    """Return the folder of an aarch64 system with Python; make it at its first use.

    Raises:
        LightshipError: a tool is missing, or the packages cannot be fetched.
    """
    missing = [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]
    folder = environments.ROOT / f"{MACHINE}-system"
    if missing and not folder.exists():
        raise LightshipError(
            f"no {' and no '.join(missing)} here: the system to emulate is made of Debian's "
            "packages; run this on Debian, or in a container of it"
        )
    with _made_once(folder, f"{MACHINE} packages of Debian, about 16 MB") as scratch:
        if scratch is not None:
            _unpack(_downloaded(scratch / "apt"), scratch / "whole")
    return folder


def packages(root: Path, requirements: Sequence[str], versions: Sequence[str]) -> Path:
    """Return a folder with packages for the Python of a system; make it at its first use.

    What they need in turn is asked for this kind of processor: a lock that was made on another kind
    may name packages that only that one needs, and that have no wheel for this one.

    Args:
        root: the system.
        requirements: what a program imports, as in ``numpy==2.4.6``.
        versions: of these and of what they need in turn, as in ``numpy==2.4.6``.

    Raises:
        LightshipError: uv is missing, or a wheel cannot be fetched.
    """
    uv = environments.uv()
    if uv is None:
        raise LightshipError("no uv on the PATH, which fetches the wheels; install it by pip")
    version = python_of(root).name.removeprefix("python")
    words = json.dumps([version, *requirements, "with", *versions, "compiled"])
    key = hashlib.sha256(words.encode()).hexdigest()[:8]
    folder = environments.ROOT / f"{MACHINE}-{key}"
    with _made_once(folder, f"{MACHINE} wheels of {', '.join(requirements)}") as scratch:
        if scratch is not None:
            fixed = scratch / "versions.txt"
            fixed.write_text("".join(f"{line}\n" for line in versions), encoding="utf-8")
            options = ["--python-platform", _PLATFORM, "--python-version", version]
            options += ["--constraint", str(fixed), "--only-binary", ":all:"]
            names = {version.partition("==")[0] for version in versions}
            for name in names.intersection(_PURE_SOURCES):
                options += ["--no-binary", name]  # uv lets a name override the line before
            target = ["--target", str(scratch / "whole")]
            _run([uv, "pip", "install", "--quiet", *options, *target, *requirements])
            if version == f"{sys.version_info.major}.{sys.version_info.minor}":
                # Bytecode is the same on every processor. An emulated one takes minutes to compile
                # the modules of PyTorch, in each process that may not write them down.
                compileall.compile_dir(scratch / "whole", quiet=2, workers=0)
    return folder


def python_of(root: Path) -> Path:
    """Return the interpreter of a system, whose name has its version."""
    return (root / "usr/bin/python3").resolve()


@contextlib.contextmanager
def emulated(model: str, root: Path, packages: Path) -> Iterator[Emulated]:
    """Yield a Python on an emulated processor.

    QEMU's user mode runs programs of one kind. A program that such a program starts is given to
    the kernel, which refuses it. So Python takes a script of this system for its own interpreter,
    and that script starts QEMU anew.

    Args:
        model: one of ``PROCESSORS``.
        root: the system.
        packages: for its Python.

    Raises:
        LightshipError: QEMU is missing, or Python does not start.
    """
    qemu = emulator(model)
    with tempfile.TemporaryDirectory(prefix="lightship-arm-") as name:
        folder = Path(name)
        view = folder / "root"  # the system with a processor of its own
        view.mkdir()
        for entry in root.iterdir():
            if entry.name != "proc":
                (view / entry.name).symlink_to(entry)
        python = folder / "python"
        words = [qemu, "-cpu", model, "-L", str(view), str(python_of(root))]
        python.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', encoding="utf-8")
        python.chmod(0o755)
        hook = folder / "hook"
        hook.mkdir()
        (hook / "sitecustomize.py").write_text(
            f"import sys\n\nsys.executable = {str(python)!r}\n", encoding="utf-8"
        )
        variables = _without_ours(os.environ) | {
            "PYTHONPATH": os.pathsep.join([str(hook), str(packages)])
        }
        found = json.loads(_run([str(python), "-c", _ASK], variables))
        (view / "proc").mkdir()
        (view / "proc/cpuinfo").write_text(_cpuinfo(model, qemu, found), encoding="ascii")
        yield Emulated(python, variables)


def _cpuinfo(model: str, qemu: str, words: Sequence[int]) -> str:
    """Return the kernel's description of an emulated processor, which QEMU does not make."""
    features = [
        name
        for word, names in zip(words, _FEATURES, strict=True)
        for bit, name in names.items()
        if word >> bit & 1
    ]
    version = emulation.version_of(qemu) or "of an unknown version"
    cores = [
        f"processor\t: {number}\nmodel name\t: {model}, emulated by {QEMU} {version}\n"
        f"Features\t: {' '.join(features)}\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
        f"CPU variant\t: 0x0\nCPU part\t: {PROCESSORS[model].part}\nCPU revision\t: 0\n\n"
        for number in range(os.cpu_count() or 1)
    ]
    return "".join(cores)


def _without_ours(variables: Mapping[str, str]) -> dict[str, str]:
    """Return variables without those for the Python, loader and BLAS of this system."""
    ours = ("PYTHON", "LD_", "OPENBLAS_", "VIRTUAL_ENV")
    return {name: value for name, value in variables.items() if not name.startswith(ours)}


@contextlib.contextmanager
def _made_once(folder: Path, content: str) -> Iterator[Path | None]:
    """Yield a folder to make ``whole`` in, which becomes ``folder``; None if it is there already.

    Args:
        folder: it appears whole or not at all.
        content: in words, for the message.
    """
    if folder.is_dir():
        yield None
        return
    with environments.making(folder):
        if folder.is_dir():  # another command made it in the meantime
            yield None
            return
        print(f"fetching once: {content}")
        with tempfile.TemporaryDirectory(dir=environments.ROOT, prefix=f"{folder.name}.") as name:
            (Path(name) / "whole").mkdir()
            yield Path(name)
            (Path(name) / "whole").rename(folder)


def _downloaded(folder: Path) -> list[Path]:
    """Download Debian's packages, and return their files."""
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    settings = {
        "APT::Architecture": _DEBIAN,
        "APT::Architectures::": _DEBIAN,
        "APT::Sandbox::User": "",
        "Debug::NoLocking": "1",
        "Dir::State": str(folder),
        "Dir::State::lists": str(folder / "lists"),
        "Dir::State::status": str(folder / "status"),
        "Dir::Cache": str(folder / "cache"),
    }
    apt = ["apt-get", "--quiet=2", *(f"-o{name}={value}" for name, value in settings.items())]
    _run([*apt, "update"])
    options = ["--yes", "--no-install-recommends", "--download-only"]
    _run([*apt, "install", *options, *_DEBIAN_PACKAGES])
    return sorted((folder / "cache/archives").glob("*.deb"))


def _unpack(files: Sequence[Path], root: Path) -> None:
    """Unpack Debian's packages, whose scripts are not run."""
    for file in files:
        _run(["dpkg-deb", "--extract", str(file), str(root)])
    if not (root / "lib").exists():  # newer systems have one folder for both
        (root / "lib").symlink_to("usr/lib")


def _run(command: Sequence[str], variables: Mapping[str, str] | None = None) -> str:
    """Return the output of a program.

    Raises:
        LightshipError: it fails, or takes too long.
    """
    try:
        ended = subprocess.run(
            command,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LightshipError(f"{Path(command[0]).name}: {one_line(str(error))}") from error
    if ended.returncode != 0:
        reason = one_line(ended.stderr)[-_LAST:] or f"exit code {ended.returncode}"
        raise LightshipError(f"{Path(command[0]).name} failed: {reason}")
    return ended.stdout
