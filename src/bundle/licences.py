"""The licences in a bundle: that of the model, which the user gives, and that of the program."""

from __future__ import annotations

from pathlib import Path

import src
from src.errors import UsageError, describe

MODEL_LICENCE = "LICENSE-model.txt"
PROGRAM_LICENCE = "LICENSE-predict.txt"
_OURS = Path(src.__file__).parents[1] / "LICENSE"
_MOST_BYTES = 1_000_000


def texts(licence: str | None) -> dict[str, bytes]:
    """Return the files with the licences, by name.

    Args:
        licence: file of the user with the licence of the model.

    Raises:
        UsageError: it cannot be read, or is no text.
    """
    files = {PROGRAM_LICENCE: _OURS.read_bytes()}
    if licence is not None:
        files[MODEL_LICENCE] = _text(Path(licence))
    return files


def _text(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        problem = None if content.decode("utf-8").strip() else "an empty file"
    except UnicodeDecodeError:
        problem = "bytes that are no UTF-8"
    except OSError as error:
        problem = describe(error)
    else:
        if len(content) > _MOST_BYTES:
            problem = f"more than {_MOST_BYTES} bytes"
    if problem is None:
        return content
    raise UsageError(
        "licence",
        expected=f"a text file in UTF-8 of at most {_MOST_BYTES} bytes",
        found=f"{path}: {problem}",
        remedy="name the file with the licence of the model, or leave the option out",
    )
