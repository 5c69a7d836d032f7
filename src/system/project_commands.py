"""Command lines of this project that a user can type."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

# Environment variable that scripts/environment sets for a program that it starts: the folder of
# the scripts. The python on the PATH of their user need not have the project's packages.
SCRIPTS = "LIGHTSHIP_SCRIPTS"


def typed(module: str, words: Sequence[str] = ()) -> str:
    """Return the command line of a module, quoted for a shell, as the user started this process.

    Args:
        module: such as ``src.train``.
        words: of the command line.
    """
    folder = os.environ.get(SCRIPTS)
    if folder is None:
        program = ["python", "-m", module]
    elif module == "src.train":
        program = [_from_here(Path(folder, "train"))]
    else:
        program = [_from_here(Path(folder, "environment")), "-m", module]
    return shlex.join([*program, *words])


def options_of(words: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield the name of each option of a command line with its words.

    An option is ``a=v``, ``--a=v`` or ``--a v``. Any other word is yielded alone.
    """
    pending = iter(words)
    for word in pending:
        name, equals, _ = word.partition("=")
        is_pair = word.startswith("--") and not equals
        value = next(pending, None) if is_pair else None
        yield name.removeprefix("--"), [word] if value is None else [word, value]


def without(names: Collection[str], words: Sequence[str]) -> list[str]:
    """Return the words of a command line without some options."""
    return [word for name, part in options_of(words) if name not in names for word in part]


def without_again(words: Sequence[str]) -> list[str]:
    """Return the words of a stage without ``again=true``, which would do anew what is done."""
    return without({"again"}, words)


def _from_here(script: Path) -> str:
    """Return a path relative to the working folder if it lies below that."""
    relative = os.path.relpath(script)
    if relative.startswith(os.pardir):
        return str(script)
    return relative if os.sep in relative else f"{os.curdir}{os.sep}{relative}"
