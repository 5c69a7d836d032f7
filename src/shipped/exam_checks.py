"""Checks of an exam's facts and arrays, which may be damaged or come from a stranger."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING or __package__:  # a part of a package
    from .decoder_names import DECODERS
else:  # in the folder of a model
    from decoder_names import DECODERS

Array = np.ndarray[Any, np.dtype[Any]]
Check = Callable[[Any], bool]

MOST_IMAGES = 512
MOST_BATCH = 512
MOST_CORES = 65_536
CONTENTS = ("images", "tensors")
VERDICTS = ("same", "pass", "fail", "inconclusive")
_MOST_SHOWN = 60  # characters of a wrong value
_HASH_DIGITS = 64  # of a SHA-256 in hexadecimal


def is_plain(name: Any) -> bool:
    """Return True for the name of a file that lies in the folder itself."""
    return (
        _is_text(name)
        and name not in {".", ".."}
        and PurePosixPath(name).name == PureWindowsPath(name).name == name
    )


def is_number(value: Any) -> bool:
    """Return True for a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_whole(value: Any, low: int, high: int) -> bool:
    """Return True for a whole number from ``low`` to ``high``."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def require_facts(facts: dict[str, Any]) -> None:
    """Refuse the content of ``exam.json`` that has another type or value than it is packed with.

    Raises:
        ValueError: it names the first such field.
    """
    _require(facts, _FACTS, "exam.json")
    _require(facts["home"], _HOME, "home")


def require_arrays(arrays: dict[str, Array], images: int, classes: int) -> None:
    """Refuse labels and answers of another shape, type or range.

    Raises:
        ValueError: it names the first such array.
    """
    shapes = {"labels": (images,), "answers": (images, classes), "reference": (images, classes)}
    for name, expected in shapes.items():
        array = arrays.get(name)
        if array is None:
            if name == "reference":
                continue  # the trained network's answers may not be known
            raise ValueError(f"{name} missing")
        if array.shape != expected:
            raise ValueError(f"{name} of shape {list(array.shape)} instead of {list(expected)}")
        if name == "labels":
            if array.dtype.kind not in "iu" or not ((array >= 0) & (array < classes)).all():
                raise ValueError(f"labels that are not whole numbers from 0 to {classes - 1}")
        elif array.dtype.kind != "f" or not np.isfinite(array).all():
            raise ValueError(f"{name} that are not finite floating-point numbers")


def _require(fields: dict[str, Any], checks: dict[str, Check], name: str) -> None:
    if missing := sorted(checks.keys() - fields):
        raise ValueError(f"{name} without {missing[0]}")
    if unknown := sorted(fields.keys() - checks):
        raise ValueError(f"{name} with the unknown {_shortened(unknown[0])}")
    for field, is_sound in checks.items():
        if not is_sound(fields[field]):
            raise ValueError(f"{field} of {name} is {_shortened(fields[field])}")


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and "\0" not in value


def _is_share(value: Any) -> bool:
    return is_number(value) and 0 <= value <= 1


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and len(value) == _HASH_DIGITS and value.isalnum()


def _is_inside(name: Any) -> bool:
    """Return True for a path that stays inside its folder."""
    if not _is_text(name) or "\\" in name or ":" in name:
        return False
    return not Path(name).is_absolute() and ".." not in PurePosixPath(name).parts


def _hashes_of(is_name: Check) -> Check:
    return lambda value: (
        isinstance(value, dict)
        and bool(value)
        and all(is_name(name) and _is_hash(sha256) for name, sha256 in value.items())
    )


def _list_of(is_item: Check, least: int, most: float) -> Check:
    return lambda value: (
        isinstance(value, list) and least <= len(value) <= most and all(map(is_item, value))
    )


_FACTS: dict[str, Check] = {
    **dict.fromkeys(("run", "model", "format", "runtime", "precision", "checkpoint"), _is_text),
    **dict.fromkeys(("dataset", "split", "sha256"), _is_text),
    "decoder": lambda value: value in DECODERS,
    "class_names": _list_of(lambda name: isinstance(name, str), 1, math.inf),
    "content": lambda value: value in CONTENTS,
    "batch": lambda value: is_whole(value, 1, MOST_BATCH),
    "tolerance": _is_share,
    "max_drop": _is_share,
    "baseline": lambda value: value is None or _is_text(value),
    "measured_verdict": lambda value: value is None or value in VERDICTS,
    "measured_p50_s": lambda value: value is None or (is_number(value) and value > 0),
    "model_files": _hashes_of(_is_inside),
    "images": _list_of(is_plain, 0, MOST_IMAGES),
    "positions": _list_of(lambda value: is_whole(value, 0, 2**53), 1, MOST_IMAGES),
    "home": lambda value: isinstance(value, dict),
    "hashes": _hashes_of(is_plain),
}
_HOME: dict[str, Check] = {
    **dict.fromkeys(("cpu", "architecture", "system", "python"), _is_text),
    "isa": _list_of(_is_text, 0, 100),
    "usable_cores": lambda value: is_whole(value, 1, MOST_CORES),
    "threads": lambda value: is_whole(value, 1, MOST_CORES),
    "packages": lambda value: (
        isinstance(value, dict) and all(map(_is_text, [*value, *value.values()]))
    ),
}
