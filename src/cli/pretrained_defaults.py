"""Default preprocessing of pretrained weights, for the options that the user has not set."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from src.cli import typed_options
from src.models.architecture import Architecture
from src.models.network import published_preprocessing


def adopt_preprocessing(config: Any, args: Sequence[str], presets: Path) -> None:
    """Set the data's options to the preprocessing of the published weights, if there are any.

    Options on the command line or in a user's file stay. Those in ``presets`` count as defaults.

    Args:
        config: the parsed configuration of one subcommand; changed in place.
        args: the translated command line.
        presets: the folder of the data sets' configuration files.
    """
    options = config.model.init_args
    if architecture := options.get("architecture"):
        chosen = Architecture.parse(architecture)
        if not chosen.published and not options.get("pretrained"):
            return
        expected = published_preprocessing(chosen.builder, chosen.published)
    elif options.get("pretrained"):
        module, _, name = config.model.class_path.rpartition(".")
        expected = published_preprocessing(getattr(importlib.import_module(module), name).builder)
    else:
        return
    user_options = user_data_options(args, presets)
    for option, value in expected.items():
        if option not in user_options:
            config.data.init_args[option] = value


def user_data_options(args: Sequence[str], presets: Path) -> set[str]:
    """Return the names of the data's options that the user has set."""
    names = {
        name.removeprefix("data.") for name in typed_options.names(args) if name.startswith("data.")
    }
    for word in args:
        name, _, value = word.partition("=")
        if name == "--config" and Path(value).resolve().parent != presets.resolve():
            names |= _data_options_in(Path(value))
    return names


def _data_options_in(path: Path) -> set[str]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    data = content.get("data") if isinstance(content, dict) else None
    if not isinstance(data, dict):
        return set()
    return {*data, *(data.get("init_args") or {})}
