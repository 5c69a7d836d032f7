"""The data of an earlier run, by what its ``config.yaml`` says."""

from __future__ import annotations

import warnings
from typing import Any

import yaml
from jsonargparse import ArgumentError, ArgumentParser

from src.data.images import ImageDataModule
from src.errors import UsageError, one_line
from src.runs import Run

_OURS = "src.data."


def data_of(run: Run) -> ImageDataModule:
    """The data module that a run was trained with.

    Only this project's own classes are looked up: a run folder may come from a stranger, and
    reading it must not import what it names.

    Raises:
        UsageError: the configuration is not whole, or names a class from elsewhere.
    """
    remedy = "train again, or mend the file"
    try:
        content = yaml.safe_load(run.config.read_text(encoding="utf-8"))
        data: dict[str, Any] = content["data"]
        class_path = str(data["class_path"])
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise UsageError(
            str(run.config), expected="data.class_path", found=one_line(str(error)), remedy=remedy
        ) from error
    if not class_path.startswith(_OURS):
        raise UsageError(
            str(run.config),
            expected=f"a data.class_path that starts with {_OURS}",
            found=class_path,
            remedy="train with python -m src.train, which exports and measures by itself",
        )
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(ImageDataModule, "data")
    try:
        config = parser.parse_object({"data": data})
    except ArgumentError as error:
        raise UsageError(
            str(run.config),
            expected=f"the options of {class_path}",
            found=one_line(str(error)),
            remedy=remedy,
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # .instantiate is not in 4.40
        module: ImageDataModule = parser.instantiate_classes(config).data
    return module
