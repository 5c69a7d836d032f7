#!/usr/bin/env python3
"""Take the exam of a bundle on an emulated processor of another kind: answers, never a speed.

scripts/exam_elsewhere.py model.zip                                  all images of the exam
scripts/exam_elsewhere.py model.zip --cpu cortex-a72 --images 16

The bundle's own program runs under QEMU's user mode with wheels for aarch64, of the versions in its
requirements.lock, and tells flips and verdict there. --cpu is the processor: cortex-a53, cortex-a72
and cortex-a76 are those of the Raspberry Pi 3, 4 and 5, neoverse-n1 that of many servers; the first
two have no int8 dot product. Emulation is hundreds of times slower, so no time is measured.

It needs QEMU (qemu-user), and at the first use apt-get and dpkg-deb, uv, and a network. It writes
measurement.json, which `python -m src.compare RUN measurement.json` takes. The bundle's program is
run, so take a bundle from someone whom you trust.
"""

from __future__ import annotations

import restart_in_environment  # noqa: F401  # continues in .venv

import argparse
import contextlib
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import emulated_arm
from argument_types import positive
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from src.cli.entry_point import run_command
from src.errors import UsageError, one_line
from src.system import environments

PROGRAM, EXAM = "predict.py", "exam/exam.json"
LOCK, REQUIREMENTS = "requirements.lock", "requirements.txt"
UNTIMED = "untimed.py"  # that answers without timing
MOST_BYTES = 2**33  # of an unpacked bundle
MOST_FILES = 10_000


def main() -> None:
    chosen = _parser().parse_args()
    with unpacked(chosen.bundle) as bundle:
        # Another kind of processor has no wheel of this one's build.
        versions = [requirement.partition("+")[0] for requirement in locked(bundle)]
        wanted = imported(bundle, versions)
        emulated_arm.emulator(chosen.cpu)  # before anything is fetched
        root = emulated_arm.system()
        packages = emulated_arm.packages(root, wanted, versions)
        with emulated_arm.emulated(chosen.cpu, root, packages) as there:
            words = [PROGRAM, "--exam", "--answers", "--output", str(chosen.output.resolve())]
            for name in ("images", "seconds"):
                value = getattr(chosen, name)
                words += [] if value is None else [f"--{name}", f"{value:g}"]
            sys.stdout.flush()
            ended = subprocess.run(
                [there.python, *words], cwd=bundle, env=there.variables, check=False
            )
    sys.exit(ended.returncode)


@contextlib.contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Yield the folder of a bundle: itself, or what a zip file holds.

    Raises:
        UsageError: it is no bundle with an exam.
    """
    with contextlib.ExitStack() as stack:
        folder = path
        if not path.is_dir():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lightship-")))
            _unpack(path, folder)
            folder = next((program.parent for program in folder.glob(f"*/{PROGRAM}")), folder)
        if not (folder / PROGRAM).is_file():
            raise _wrong(path, f"no {PROGRAM} in it", "pack one with python -m src.bundle RUN")
        if not (folder / EXAM).is_file():
            raise _wrong(path, "none without an exam", "pack it with exam=64")
        if not (folder / UNTIMED).is_file():
            raise _wrong(path, "one of an earlier version, whose exam is timed", "pack it again")
        yield folder.resolve()


def locked(bundle: Path) -> list[str]:
    """Return the requirements in the lock of a bundle: a package and one version of it each.

    Raises:
        UsageError: a line is anything else.
    """
    path = bundle / LOCK
    if not path.is_file():
        raise _wrong(bundle, f"no {LOCK} in it", "unpack the zip file again")
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        str(environments.parse(LOCK, line)) for line in lines if line and not line.startswith("#")
    ]


def imported(bundle: Path, versions: Sequence[str]) -> list[str]:
    """Return those of the locked packages that the program imports, which requirements.txt names.

    Raises:
        UsageError: that file is not there, or the lock lacks one of its packages.
    """
    path = bundle / REQUIREMENTS
    if not path.is_file():
        raise _wrong(bundle, f"no {REQUIREMENTS} in it", "unpack the zip file again")
    known = {version.partition("==")[0]: version for version in versions}
    lines = path.read_text(encoding="utf-8").splitlines()
    wanted = [line for line in lines if line.strip() and not line.startswith("#")]
    try:
        names = [canonicalize_name(Requirement(line).name) for line in wanted]
    except InvalidRequirement as error:
        raise _wrong(bundle, f"{REQUIREMENTS}: {one_line(str(error))}", "pack it again") from error
    missing = [name for name in names if name not in known]
    if missing or not names:
        found = f"{LOCK} has no {', '.join(missing)}" if missing else f"nothing in {REQUIREMENTS}"
        raise _wrong(bundle, found, "pack it again")
    return [known[name] for name in names]


def _unpack(path: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            size = sum(member.file_size for member in members)
            if size > MOST_BYTES or len(members) > MOST_FILES:
                raise _wrong(path, f"{len(members)} files of {size} bytes", "unpack it yourself")
            archive.extractall(folder)  # leaves out .. and the roots of names
    except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise _wrong(path, one_line(str(error)), "name a zip file of src.bundle") from error


def _wrong(path: Path, found: str, remedy: str) -> UsageError:
    expected = "a bundle with an exam, as a zip file or unpacked"
    return UsageError("BUNDLE", expected=expected, found=f"{path}: {found}", remedy=remedy)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="a zip file, or its folder")
    parser.add_argument("--machine", choices=[emulated_arm.MACHINE], default=emulated_arm.MACHINE)
    parser.add_argument("--cpu", choices=emulated_arm.PROCESSORS, default="neoverse-n1")
    parser.add_argument("--images", type=positive, help="the first images of the exam only")
    parser.add_argument(
        "--seconds", type=_seconds, help="no image but the first one is begun after it"
    )
    parser.add_argument("--output", type=Path, default=Path("measurement.json"))
    return parser


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text}")
    return value


if __name__ == "__main__":
    run_command(main)
