"""Lines about options that a user has set and that have no effect, shown before a training."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from lightning.pytorch import Trainer

from src.cli import grammar, typed_options
from src.errors import one_line

_CONFIGS = Path(__file__).parents[2] / "configs"
_OF_TRAINER = "PL_TRAINER_"  # variables that Lightning's Trainer reads where it is not told
_NAMED = 5  # options in a line


def notices(args: Sequence[str]) -> list[str]:
    """Return the lines.

    Args:
        args: the translated command line.
    """
    return [one_line(line) for line in (*_variables(), *_replaced(args))]


def _variables() -> Iterator[str]:
    """Yield a line for each variable of Lightning: the command line gives all of these options."""
    options = inspect.signature(Trainer).parameters
    for variable in sorted(os.environ):
        option = variable.removeprefix(_OF_TRAINER).lower()
        if variable.startswith(_OF_TRAINER) and option in options:
            value = os.environ[variable]
            yield f"the variable {variable} has no effect: write trainer.{option}={value}"


def _replaced(args: Sequence[str]) -> Iterator[str]:
    """Yield a line for each group or experiment that replaces values of the user's files.

    It is chosen on the command line, so it wins over a file.
    """
    typed = set(typed_options.names(args))
    configs = [word.removeprefix("--config=") for word in args if word.startswith("--config=")]
    of_user: dict[str, tuple[str, object]] = {}  # the file and the value of each option
    for file in configs:
        values = grammar.all_options([f"--config={file}"])
        path = Path(file)
        if not path.is_relative_to(_CONFIGS):
            of_user |= {option: (file, value) for option, value in values.items()}
            continue
        replaced = [
            option
            for option, value in values.items()
            if option in of_user and option not in typed and not _same(of_user[option][1], value)
        ]
        if replaced:
            choice = f"{path.parent.name}={path.stem}"
            yield _line(choice, values, [(option, *of_user[option]) for option in replaced])


def _line(
    choice: str, values: dict[str, object], replaced: Sequence[tuple[str, str, object]]
) -> str:
    option, file, wanted = replaced[0]
    shown = ", ".join(f"{name}={values[name]}" for name, *_ in replaced[:_NAMED])
    more = f" and {len(replaced) - _NAMED} more" if len(replaced) > _NAMED else ""
    return (
        f"{choice} sets {shown}{more}, not as {file} does: write {option}={wanted} on the "
        f"command line{' and so on' if len(replaced) > 1 else ''}, or leave {choice} out"
    )


def _same(first: object, second: object) -> bool:
    try:
        return first == second or float(str(first)) == float(str(second))
    except ValueError:
        return False
