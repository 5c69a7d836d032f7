"""The file that an exam writes: whole or not at all, and never in the place of anything else."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self

NAME = "measurement.json"
KIND = "exam"  # of such a file
SUMS = "SHA256SUMS"
SIGNATURE = "model.sig"  # covers all files of its folder
READ_IF_PRESENT = {"decoder.json", "serving.json"}  # by a bundle that has them
MOST_BYTES = 64_000_000  # of an earlier measurement


class UnusableOutputError(ValueError):
    """The measurement must not or cannot be written there."""


class Output:
    """The place of the measurement, which is tried before anything is measured.

    A context manager: without :meth:`write`, nothing is left there.

    Args:
        words: the path as it was given, of a file or of its folder.
        bundle: folder of the model.

    Raises:
        UnusableOutputError: another file is there, or none can be written.
    """

    def __init__(self, words: str, bundle: Path) -> None:
        try:
            self.path = _resolved(words)
            _require_free(self.path, bundle.resolve())
            # Not by the number of the process: in a container each exam is 1, and a killed one
            # leaves it.
            unique = secrets.token_hex(4)
            self._temporary = self.path.with_name(f".{self.path.name}.{unique}.partial")
            self._file: IO[str] = self._temporary.open("x", encoding="utf-8")
        except (OSError, RuntimeError) as error:  # the latter is a loop of links
            reason = error.strerror if isinstance(error, OSError) else None
            raise UnusableOutputError(
                f"{words} cannot be written ({reason or error}); name another file"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._file.close()
        finally:
            self._temporary.unlink(missing_ok=True)

    def write(self, text: str) -> None:
        """Put the measurement in its place.

        Raises:
            UnusableOutputError: there is no space left, or the folder is gone.
        """
        try:
            self._file.write(text)
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._temporary.replace(self.path)
        except OSError as error:
            raise UnusableOutputError(
                f"{self.path} cannot be written ({error.strerror or error}); name another file"
            ) from error


def _resolved(words: str) -> Path:
    """Return the path of the file, behind links."""
    path = Path(words)
    if path.is_dir():
        path /= NAME
    elif words.endswith(tuple(filter(None, (os.sep, os.altsep)))):
        raise UnusableOutputError(f"{words} is no folder; make it first")
    path = path.resolve()
    if not path.parent.is_dir():
        raise UnusableOutputError(f"{path.parent} is no folder; make it first")
    return path


def _require_free(path: Path, bundle: Path) -> None:
    """Refuse a path by which the exam would damage a file, a device, or the bundle."""
    folders = {path.parent, *([bundle] if path.is_relative_to(bundle) else [])}
    for folder in folders:
        if (folder / SIGNATURE).exists():
            raise UnusableOutputError(
                f"{folder} is signed by {SIGNATURE}, which allows no further file; name a file in "
                "another folder"
            )
    if path.is_dir():
        raise UnusableOutputError(f"{path} is a folder; name another file")
    if path.exists() and not path.is_file():
        raise UnusableOutputError(f"{path} is no regular file; name another one")
    if path.exists() and not _is_measurement(path):
        raise UnusableOutputError(f"{path} is there and no measurement; name another file")
    if path.is_relative_to(bundle) and _is_of_bundle(path, bundle):
        raise UnusableOutputError(f"{path} is a file of the model; name another one")


def _is_measurement(path: Path) -> bool:
    if path.stat().st_size > MOST_BYTES:
        return False
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("kind") == KIND and "schema_version" in content


def _is_of_bundle(path: Path, bundle: Path) -> bool:
    """Return True for a name that the bundle has or would read, though it may be missing."""
    sums = bundle / SUMS
    lines = sums.read_text(encoding="utf-8", errors="replace").splitlines() if sums.exists() else []
    packed = {line.partition("  ")[2] for line in lines}
    name = path.relative_to(bundle).as_posix()
    return name in packed | READ_IF_PRESENT or path.suffix != ".json"
