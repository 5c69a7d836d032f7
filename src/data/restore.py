"""The data of an earlier run, by what its ``config.yaml`` says."""

from __future__ import annotations

import pkgutil
import warnings
from collections.abc import Iterator
from typing import Any

from jsonargparse import ArgumentParser

from src.data import datasets
from src.data.dataset_module import DatasetModule
from src.errors import UsageError, describe, one_line, ours_in, printable
from src.run import started_in
from src.run.folder import Run

PATHS = ("root", "file", "cache_dir")  # the options of data sets that are paths
_OURS = "src.data."


def data_of(run: Run) -> DatasetModule:
    """The data module that a run was trained with, wherever this is called.

    Only this project's own classes are looked up: a run folder may come from a stranger, and
    reading it must not import what it names.

    Raises:
        UsageError: the configuration is not whole, or names a class from elsewhere.
    """
    remedy = "train again, or mend the file"
    try:
        data: dict[str, Any] = run.read_config()["data"]
        class_path = moved(str(data["class_path"]))
    except (KeyError, TypeError) as error:
        raise UsageError(
            str(run.config), expected="data.class_path", found=one_line(str(error)), remedy=remedy
        ) from error
    for named in _class_paths(data):
        if not named.startswith(_OURS):
            raise UsageError(
                str(run.config),
                expected=f"a data.class_path that starts with {_OURS}",
                found=named,
                remedy="train with python -m src.train, which exports and measures by itself",
            )
    data = {**data, "class_path": class_path}
    options = data.get("init_args")
    if isinstance(options, dict):
        given = {name: options[name] for name in PATHS if isinstance(options.get(name), str)}
        found = {name: str(started_in.find(run, text)) for name, text in given.items()}
        # What is no text in UTF-8 the parser cannot take; it holds where the training was started.
        kept = {name: path for name, path in found.items() if printable(path) == path}
        data = {**data, "init_args": options | kept}
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(DatasetModule, "data")
    try:
        config = parser.parse_object({"data": data})
    except Exception as error:  # the parser raises whatever a value leads it to
        raise UsageError(
            str(run.config),
            expected=f"the options of {class_path}",
            found=one_line(str(error)),
            remedy=remedy,
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # .instantiate is not in 4.40
        try:
            module: DatasetModule = parser.instantiate_classes(config).data
        except Exception as error:
            # The parser wraps what a class raises into a complaint about the class.
            raise ours_in(error) or UsageError(
                str(run.config),
                expected=f"the options of {class_path}",
                found=describe(error),
                remedy=remedy,
            ) from error
    return module


def moved(class_path: str) -> str:
    """Return where a data set's class is now; runs made before have it directly in ``src.data``."""
    module, _, name = class_path.rpartition(".")
    dataset = module.removeprefix(_OURS)
    there = {each.name for each in pkgutil.iter_modules(datasets.__path__)}
    return f"{datasets.__name__}.{dataset}.{name}" if dataset in there else class_path


def _class_paths(value: Any) -> Iterator[str]:
    """Every class that a value names, at any depth: the parser would look up each."""
    if isinstance(value, dict):
        for name, each in value.items():
            if name == "class_path":
                yield str(each)
            else:
                yield from _class_paths(each)
    elif isinstance(value, list):
        for each in value:
            yield from _class_paths(each)
