"""Formats: the kinds of file to deploy, one module each.

A module whose name does not start with an underscore is a format; it defines one subclass of
:class:`src.formats.base.Format`. ``base`` holds that class.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import Any

from src.errors import UsageError
from src.formats.base import Format

# The formats that are exported by default, in the order of the report.
DEFAULT = ("eager", "torchscript", "onnx_fp32", "onnx_int8_dynamic", "onnx_int8")


def names() -> list[str]:
    """Return the names of all formats, sorted. No format is imported."""
    modules = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name for name in modules if not name.startswith("_") and name != "base")


def get(name: str, argument: str = "export.formats") -> Format:
    """Return the format called ``name``.

    Raises:
        UsageError: there is no such format.
        TypeError: the module does not define exactly one subclass of ``Format``, or the subclass
            lacks an attribute.
    """
    if name not in names():
        raise UsageError(
            argument,
            expected=f"names among {', '.join(names())}",
            found=name,
            remedy="see src/formats/",
        )
    module = importlib.import_module(f"{__name__}.{name}")
    classes = [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, Format)
        and value.__module__ == module.__name__
    ]
    if len(classes) != 1:
        raise TypeError(f"{module.__name__} defines {len(classes)} formats; 1 is expected")
    [kind] = classes
    # Checked here, so that the error does not come after a training and an export.
    if missing := [name for name in Format.__annotations__ if not hasattr(kind, name)]:
        raise TypeError(f"{module.__name__}.{kind.__name__} has no {', '.join(missing)}")
    return kind()


def options() -> dict[str, type[Any]]:
    """Return the options dataclass of each format that has one, by the format's name."""
    kinds = {name: get(name).Options for name in names()}
    return {name: kind for name, kind in kinds.items() if kind is not None}
