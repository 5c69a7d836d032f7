"""Files of ``configs/``, by their group and name, and remedies for what is no such name."""

from __future__ import annotations

import difflib
import importlib.util
import os
from collections.abc import Iterable
from pathlib import Path

from src.errors import UsageError
from src.system import quoting

MODEL = "model"
_LIBRARIES = ("torchvision/", "timm/", "own/")
_CONFIGURATIONS = (".yaml", ".yml", ".json")
_LISTS = (".csv", ".tsv", ".txt")
_CHECKPOINT = ".ckpt"
_WEIGHTS = (_CHECKPOINT, ".pt", ".pth", ".bin", ".safetensors")


def names(configs: Path, group: str) -> list[str]:
    """Return the names that ``group=`` accepts."""
    return sorted(path.stem for path in (configs / group).glob("*.yaml"))


def is_name(configs: Path, group: str, value: str) -> bool:
    """Return True if a value is a name of a group, so that ``--group name`` means ``group=name``.

    Elsewhere ``--model`` and ``--data`` take a class, and their names are none.
    """
    is_network = group == MODEL and value.startswith(_LIBRARIES)
    return is_network or ((configs / group).is_dir() and value in names(configs, group))


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is most similar to a misspelt one; None if none is similar."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1)), None)


def preset(configs: Path, group: str, name: str) -> Path:
    """Return the file of ``group=name``.

    Raises:
        UsageError: there is no file of that name.
    """
    known = names(configs, group)
    if name in known:
        return configs / group / f"{name}.yaml"
    close = _in_library(name) if group == MODEL else None
    close = close or nearest(name, known)
    raise _unknown(
        configs, group, name, f"did you mean {group}={close}?" if close else f"see configs/{group}/"
    )


def require_name(configs: Path, group: str, value: str) -> None:
    """Refuse a path in the place of a name, as other tools take it, with the option for the path.

    Raises:
        UsageError: the value is a path.
    """
    if value in names(configs, group) or value.startswith(_LIBRARIES) or not value:
        return
    exists = os.path.exists(value)  # noqa: PTH110  # Path's raises for some text
    ending = os.path.splitext(value)[1].lower()  # noqa: PTH122  # the same
    path = quoting.shell(value)
    remedy = None
    stem = os.path.splitext(os.path.basename(value))[0]  # noqa: PTH119, PTH122  # the same
    if ending in _CONFIGURATIONS and not exists and stem in names(configs, group):
        remedy = f"did you mean {group}={stem}?"
    elif ending in _CONFIGURATIONS:
        remedy = f"a file of options is given by --config {path}"
    elif group == "data" and ending in _LISTS:
        remedy = f"write data=csv data.file={path}"
    elif group == "data" and (exists or os.sep in value):
        remedy = f"write data=image_folder data.root={path}"
    elif group == MODEL and ending in _WEIGHTS:
        goes_on = f", or ckpt_path={path} to go on" if ending == _CHECKPOINT else ""
        remedy = f"name the network, and add model.weights={path} to begin with it{goes_on}"
    elif group == MODEL and exists and os.sep in value:
        remedy = f"name the network, and add ckpt_path={path} to go on with that run"
    if remedy is not None:
        raise _unknown(configs, group, value, remedy)


def _unknown(configs: Path, group: str, name: str, remedy: str) -> UsageError:
    libraries = ", torchvision/NAME, timm/NAME or own/NAME" if group == MODEL else ""
    return UsageError(
        group,
        expected=f"one of {', '.join(names(configs, group))}{libraries}",
        found=name or "nothing",
        remedy=remedy,
    )


def _in_library(name: str) -> str | None:
    """Return a network of a library that has this name alone, as LIBRARY/NAME."""
    # Imports torch, which takes seconds: only for a name that is wrong.
    from src.models import own_networks, timm_networks, torchvision_networks

    alike = name.lower().replace("-", "_")
    if alike in own_networks.names():
        return f"own/{alike}"
    if alike in torchvision_networks.names():
        return f"torchvision/{alike}"
    if importlib.util.find_spec("timm") and alike in timm_networks.names():
        return f"timm/{alike}"
    return None
