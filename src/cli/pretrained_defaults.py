"""Pretrained weights bring their own preprocessing, where the user does not say otherwise."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from src.models.network import published_preprocessing


def adopt_preprocessing(config: Any, args: Sequence[str], presets: Path) -> None:
    """With ``model.pretrained=true``, set the data's options to what the weights were made for.

    An option on the command line or in a file of the user's stays as it is; one in a file of
    ``presets`` is a default.

    Args:
        config: of one subcommand, parsed; changed in place.
        args: the command line it came from, translated.
        presets: the folder of the data sets' own files.
    """
    if not config.model.init_args.get("pretrained"):
        return
    module, _, name = config.model.class_path.rpartition(".")
    builder = getattr(importlib.import_module(module), name).builder
    said = _said(args, presets)
    for option, value in published_preprocessing(builder).items():
        if option not in said:
            config.data.init_args[option] = value


def _said(args: Sequence[str], presets: Path) -> set[str]:
    """The names of the data's options that the user has set."""
    names = set()
    for word in args:
        name, _, value = word.partition("=")
        if name == "--config":
            if Path(value).resolve().parent != presets.resolve():
                names |= _in_file(Path(value))
        elif name.startswith("--data."):
            names.add(name.removeprefix("--data.").removeprefix("init_args."))
    return names


def _in_file(path: Path) -> set[str]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    data = content.get("data") if isinstance(content, dict) else None
    if not isinstance(data, dict):
        return set()
    return {*data, *(data.get("init_args") or {})}
