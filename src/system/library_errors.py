"""One-line messages for errors that Lightning, torch or another library raises about an option.

A library checks many options where it uses them: in a constructor, or when a fit begins. Its
message helps a user, its traceback does not. The place and time of an error show whether it is
about an option. An error of this project's own code is a defect and keeps its traceback.
"""

from __future__ import annotations

import contextlib
import os
import re
import site
import sysconfig
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from src.errors import LightshipError, UsageError, describe, lightship_error_in, one_line
from src.system import os_errors

TRACEBACK = "LIGHTSHIP_TRACEBACK"  # environment variable: if set, errors keep their traceback

_MESSAGE_CHARACTERS = 400  # of a library's message that are shown
_VALUE_CHARACTERS = 80  # of an option's value that are shown
_DISTINCT_LETTERS = 6  # from this length on, a name is found in any case, as DeepSpeed
_PARSER = "jsonargparse"
_REMOTE = "Traceback (most recent call last)"  # in the text of an error from another process
_OPTION_ERROR = "MisconfigurationException"  # Lightning raises it about options only
_COMPILE = "model.compile"  # the option that calls torch.compile
_OF_COMPILE = ("torch._dynamo.", "torch._inductor.")  # modules of the errors that it raises


def _library_folders() -> tuple[Path, ...]:
    folders = {*site.getsitepackages(), sysconfig.get_path("purelib")}
    if site.ENABLE_USER_SITE:  # the packages of pip install --user
        folders.add(site.getusersitepackages())
    return tuple({Path(folder).resolve() for folder in folders})


_LIBRARIES = _library_folders()
_STANDARD = Path(sysconfig.get_path("stdlib")).resolve()
# Modules that pass a user's options to a library directly.
_CALLERS = {"app.py", "library_errors.py", "parser.py", "schedule_check.py", "stage_command.py"}
_PROJECT = Path(__file__).resolve().parents[1]


@contextlib.contextmanager
def explain_option_errors(
    user_options: Callable[[], Mapping[str, Any]],
    options: Callable[[], Mapping[str, Any]],
    *,
    started: Callable[[], bool],
) -> Iterator[None]:
    """Turn a library's error about an option into a UsageError, within this block.

    Args:
        user_options: returns the options that the user set, by their names on the command line.
        options: returns all options, including those of the project's files and the defaults.
        started: returns True if the work has begun. Later errors are rarely about an option.

    Raises:
        UsageError: a library raised an error about an option.
    """
    try:
        yield
    except Exception as error:
        own_error = lightship_error_in(error)
        if own_error is not None:
            raise own_error from error
        usage_error = None
        if not os.environ.get(TRACEBACK) and os_errors.explain(error) is None:
            usage_error = explain(error, user_options(), options(), started=started())
        if usage_error is None:
            raise
        raise usage_error from error


def is_defect(error: BaseException) -> bool:
    """Return True if this project's or a user's own code raised an error, not a library."""
    return any(_origin(link)[0] is None for link in _chain(error))


def explain(
    error: Exception, user_options: Mapping[str, Any], options: Mapping[str, Any], *, started: bool
) -> LightshipError | None:
    """Return the one-line error for what a library raised; None if it is about no option.

    An error is about an option if it names one, or if the command line called the library.
    """
    if options.get(_COMPILE) and (problem := _of_compile(error)):
        return UsageError(
            _COMPILE,
            expected="false where torch cannot compile the network",
            found=problem,
            remedy="leave it out, or install g++ and the headers of Python if these are missing",
        )
    if is_defect(error) or _REMOTE in str(error) or _in_a_step(error):
        return None
    # The parser wraps the error of a class's constructor into its own.
    links = list(_chain(error))
    cause = next((link for link in links if _origin(link)[0] != _PARSER), error)
    library, _ = _origin(cause)
    called_directly = any(_origin(link)[1] for link in links)
    message = one_line(str(cause))
    option = _option_in(message, user_options, by_value=called_directly)
    certain = type(cause).__name__ == _OPTION_ERROR or (called_directly and option)
    if not certain and (started or not (called_directly or option)):
        return None
    if option is None:
        # Options of the project's files and defaults. Only names with an underscore: a message
        # may contain a plain word such as "data" without meaning the option.
        option = _option_in(message, {name: "" for name in options if "_" in _leaf(name)})
    if option is None or _leaf(option) == "class_path":
        return UsageError(
            "command line",
            expected=f"options that {library} takes",
            found=describe(cause)[:_MESSAGE_CHARACTERS],
            remedy="do as it says; if it is about nothing that you set, it is a defect of "
            f"Lightship: {TRACEBACK}=1 shows where",
        )
    hint = "" if certain else f"; {TRACEBACK}=1 shows where"
    return UsageError(
        option,
        expected=f"a value that {library} takes here",
        found=str(user_options.get(option, options.get(option)))[:_VALUE_CHARACTERS],
        remedy=f"{library} says: {message[:_MESSAGE_CHARACTERS]}{hint}",
    )


def _of_compile(error: BaseException) -> str | None:
    """Return what torch.compile says, in a line; None for an error that is not of it."""
    if not any(type(link).__module__.startswith(_OF_COMPILE) for link in _chain(error)):
        return None
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    named = [line for line in lines if "error:" in line]  # those of a compiler follow its command
    return one_line((named or lines)[0])[:_MESSAGE_CHARACTERS]


def _in_a_step(error: BaseException) -> bool:
    """Return True inside ``training_step`` and the like, where errors are rarely about options."""
    frames = traceback.extract_tb(error.__traceback__)
    return any(frame.name.endswith("_step") and is_project_file(frame.filename) for frame in frames)


def is_project_file(file: str) -> bool:
    """Return True for a file of this project."""
    return Path(file).resolve().is_relative_to(_PROJECT)


def is_library_file(file: str) -> bool:
    """Return True for a file of a library or of Python's standard library."""
    path = Path(file).resolve()
    homes = (*_LIBRARIES, _STANDARD)
    return file.startswith("<") or any(path.is_relative_to(home) for home in homes)


def _origin(error: BaseException) -> tuple[str | None, bool]:
    """Return the library that raised an error, and True if a module of _CALLERS called it.

    The library is None for an error of this project's or a user's own code.
    """
    library = None
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    for path in (Path(file).resolve() for file in reversed(files) if not file.startswith("<")):
        if is_project_file(str(path)):
            return library, path.name in _CALLERS
        home = next((folder for folder in _LIBRARIES if path.is_relative_to(folder)), None)
        if home is not None:
            library = library or path.relative_to(home).parts[0]
        elif not path.is_relative_to(_STANDARD):
            break  # a user's own module called the library
    return library, False


def _option_in(message: str, options: Mapping[str, Any], *, by_value: bool = False) -> str | None:
    """Return the option that a message names first; None if it names none.

    With ``by_value``, an option whose value is in the message counts if none is named.
    """
    positions = [(_name_position(_leaf(name), message), name) for name in options]
    if by_value and not any(position is not None for position, _ in positions):
        # Many messages contain single letters and digits.
        values = {name: str(value) for name, value in options.items() if len(str(value)) > 1}
        positions = [(_word_position(value, message), name) for name, value in values.items()]
    matches = [(position, name) for position, name in positions if position is not None]
    return min(matches)[1] if matches else None


def _leaf(name: str) -> str:
    return name.rpartition(".")[2]


def _name_position(leaf: str, message: str) -> int | None:
    """Return the position of an option's name in a message, in any spelling; None without it."""
    position = _word_position(leaf, message)
    if position is None and "_" in leaf:
        match = re.search(leaf.replace("_", "[ _-]?"), message, re.IGNORECASE)
        position = match.start() if match else None
    return position


def _word_position(text: str, message: str) -> int | None:
    # The value 1 matches 1 and 1.0, but not 1.5.
    pattern = rf"(?<![\w.-]){re.escape(text)}(?:\.0)?(?!\w|\.\d)"
    match = re.search(pattern, message, re.IGNORECASE if len(text) >= _DISTINCT_LETTERS else 0)
    return None if match is None else match.start()


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and its causes."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
