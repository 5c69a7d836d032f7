"""What Lightning, torch or another library says about an option, in one line.

A library checks many options where they are used: in a constructor, when a fit begins. Its own
sentence is good; its traceback tells a user nothing. Where and when an error was raised tells
whether it is about an option. An error of our own code is a defect and keeps its traceback.
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

from src.errors import LightshipError, UsageError, describe, one_line, ours_in
from src.system import os_errors

TRACEBACK = "LIGHTSHIP_TRACEBACK"  # set in the environment, it shows where an error was raised

_SHOWN = 400  # characters of what a library says
_VALUE_SHOWN = 80  # characters of what was given
_DISTINCT = 6  # letters of a name that is found in any case, as DeepSpeed
_PARSER = "jsonargparse"
_REMOTE = "Traceback (most recent call last)"  # of another process, whose frames are not here
_OF_OPTIONS = "MisconfigurationException"  # Lightning's, which is of options only
_LIBRARIES = tuple(
    {Path(folder).resolve() for folder in (*site.getsitepackages(), sysconfig.get_path("purelib"))}
)
_STANDARD = Path(sysconfig.get_path("stdlib")).resolve()
# Modules that call a library with options as they were typed.
_ENDS = {"app.py", "library_errors.py", "parser.py", "rehearsal.py", "stage_command.py"}
_OURS = Path(__file__).resolve().parents[1]


@contextlib.contextmanager
def of_options(
    given: Callable[[], Mapping[str, Any]],
    options: Callable[[], Mapping[str, Any]],
    *,
    started: Callable[[], bool],
) -> Iterator[None]:
    """Within this block, what a library says of an option is a line about that option.

    Args:
        given: the options that the user set, by their names on the command line.
        options: all that there are, those of our own files and defaults among them.
        started: whether the work has begun, after which an error is hardly about an option.

    Raises:
        UsageError: for what a library said.
    """
    try:
        yield
    except Exception as error:
        ours = ours_in(error)
        if ours is not None:
            raise ours from error
        refusal = None
        if not os.environ.get(TRACEBACK) and os_errors.explain(error) is None:
            refusal = explain(error, given(), options(), started=started())
        if refusal is None:
            raise
        raise refusal from error


def is_defect(error: BaseException) -> bool:
    """Whether our own code or a user's raised it, and no library."""
    return any(_place(link)[0] is None for link in _chain(error))


def explain(
    error: Exception, given: Mapping[str, Any], options: Mapping[str, Any], *, started: bool
) -> LightshipError | None:
    """The line for what a library raised; None for a defect.

    It is about an option if it names one, or if our command line is what called the library.
    """
    if is_defect(error) or _REMOTE in str(error) or _in_a_step(error):
        return None
    # The parser wraps what a class raises into a complaint about the class.
    links = list(_chain(error))
    cause = next((link for link in links if _place(link)[0] != _PARSER), error)
    library, _ = _place(cause)
    direct = any(_place(link)[1] for link in links)
    sentence = one_line(str(cause))
    named = _named(sentence, given, by_value=direct)
    sure = type(cause).__name__ == _OF_OPTIONS or (direct and named)
    if not sure and (started or not (direct or named)):
        return None
    if named is None:
        # Our own files and defaults set some too, whose plain words a sentence may just use.
        named = _named(sentence, {name: "" for name in options if "_" in _leaf(name)})
    if named is None or _leaf(named) == "class_path":
        return UsageError(
            "command line",
            expected=f"options that {library} takes",
            found=describe(cause)[:_SHOWN],
            remedy="do as it says; if it is about nothing that you set, it is a defect of "
            f"Lightship: {TRACEBACK}=1 shows where",
        )
    where = "" if sure else f"; {TRACEBACK}=1 shows where"
    return UsageError(
        named,
        expected=f"a value that {library} takes here",
        found=str(given.get(named, options.get(named)))[:_VALUE_SHOWN],
        remedy=f"{library} says: {sentence[:_SHOWN]}{where}",
    )


def _in_a_step(error: BaseException) -> bool:
    """Whether a model was computing: that no library understands its input is hardly an option."""
    frames = traceback.extract_tb(error.__traceback__)
    return any(frame.name.endswith("_step") and is_ours(frame.filename) for frame in frames)


def is_ours(file: str) -> bool:
    """Whether a file is of this project."""
    return Path(file).resolve().is_relative_to(_OURS)


def is_library(file: str) -> bool:
    """Whether a file is of a library, the standard one included."""
    path = Path(file).resolve()
    homes = (*_LIBRARIES, _STANDARD)
    return file.startswith("<") or any(path.is_relative_to(home) for home in homes)


def _place(error: BaseException) -> tuple[str | None, bool]:
    """The library that raised an error, None for ourselves; and whether our ends called it."""
    library = None
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    for path in (Path(file).resolve() for file in reversed(files) if not file.startswith("<")):
        if is_ours(str(path)):
            return library, path.name in _ENDS
        home = next((each for each in _LIBRARIES if path.is_relative_to(each)), None)
        if home is not None:
            library = library or path.relative_to(home).parts[0]
        elif not path.is_relative_to(_STANDARD):
            break  # a user's own module
    return library, False


def _named(sentence: str, values: Mapping[str, Any], *, by_value: bool = False) -> str | None:
    """The option that a sentence names, the first of several; or the one whose value it has."""
    places = [(_position(_leaf(name), sentence), name) for name in values]
    if by_value and not any(place is not None for place, _ in places):
        # Single letters and digits stand in many sentences.
        shown = {name: str(value) for name, value in values.items() if len(str(value)) > 1}
        places = [(_word(value, sentence), name) for name, value in shown.items()]
    found = [(place, name) for place, name in places if place is not None]
    return min(found)[1] if found else None


def _leaf(name: str) -> str:
    return name.rpartition(".")[2]


def _position(leaf: str, sentence: str) -> int | None:
    """Where a sentence names an option, in whatever spelling."""
    place = _word(leaf, sentence)
    if place is None and "_" in leaf:
        match = re.search(leaf.replace("_", "[ _-]?"), sentence, re.IGNORECASE)
        place = match.start() if match else None
    return place


def _word(text: str, sentence: str) -> int | None:
    # 1 is in 1.0, not in 1.5.
    pattern = rf"(?<![\w.-]){re.escape(text)}(?:\.0)?(?!\w|\.\d)"
    match = re.search(pattern, sentence, re.IGNORECASE if len(text) >= _DISTINCT else 0)
    return None if match is None else match.start()


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
