"""Lines about options that a user has set and that have no effect, shown before a training."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml
from lightning.pytorch import Trainer

from src.cli import families, grammar, typed_options
from src.cli.presets import MODEL
from src.errors import one_line
from src.system import quoting

_CONFIGS = Path(__file__).parents[2] / "configs"
_OF_TRAINER = "PL_TRAINER_"  # variables that Lightning's Trainer reads where it is not told
_NAMED = 5  # options in a line
_END = "\n..."  # PyYAML writes it after a plain value
_ARCHITECTURE = "--model.init_args.architecture="  # that ``model=LIBRARY/NAME`` sets


def notices(args: Sequence[str]) -> list[str]:
    """Return the lines.

    Args:
        args: the translated command line.
    """
    return [one_line(line) for line in (*_variables(args), *_replaced(args))]


def _variables(args: Sequence[str]) -> Iterator[str]:
    """Yield a line for each variable of Lightning: the command line gives all of these options.

    Options that the user sets are left out, because they win over variables with Lightning, too.
    """
    options = inspect.signature(Trainer).parameters
    set_by_user = {
        name
        for option, value in grammar.user_options(args, _CONFIGS).items()
        for name, _ in typed_options.in_full(option, value)
    }
    for variable in sorted(os.environ):
        option = variable.removeprefix(_OF_TRAINER).lower()
        name = f"trainer.{option}"
        if variable.startswith(_OF_TRAINER) and option in options and name not in set_by_user:
            word = quoting.shell(f"{name}={os.environ[variable]}")
            yield f"the variable {variable} has no effect: write {word}"


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
            yield _line(
                _choice(path, args), values, [(option, *of_user[option]) for option in replaced]
            )


def _choice(preset: Path, args: Sequence[str]) -> str:
    """Return the word of the command line that chose a file of ``configs/``."""
    group = preset.parent.name
    named = [word.removeprefix(_ARCHITECTURE) for word in args if word.startswith(_ARCHITECTURE)]
    if group == families.GROUP and named:
        return f"{MODEL}={named[0]}"  # a network's family follows from its name
    return f"{group}={preset.stem}"


def _line(
    choice: str, values: dict[str, object], replaced: Sequence[tuple[str, str, object]]
) -> str:
    option, file, wanted = replaced[0]
    shown = ", ".join(_word(name, values[name]) for name, *_ in replaced[:_NAMED])
    more = f" and {len(replaced) - _NAMED} more" if len(replaced) > _NAMED else ""
    return (
        f"{choice} sets {shown}{more}, not as {file} does: write {_word(option, wanted)} on the "
        f"command line{' and so on' if len(replaced) > 1 else ''}, or leave {choice} out"
    )


def _word(option: str, value: object) -> str:
    """Return ``option=value`` for a shell, as the command line reads the value.

    A text is itself, since quotes of YAML would be part of it. Other values are in YAML.
    """
    text = value if isinstance(value, str) else _yaml(value)
    return quoting.shell(f"{option}={text}")


def _yaml(value: object) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=math.inf, allow_unicode=True)
    return str(text).strip().removesuffix(_END)


def _same(first: object, second: object) -> bool:
    try:
        return first == second or float(str(first)) == float(str(second))
    except ValueError:
        return False
