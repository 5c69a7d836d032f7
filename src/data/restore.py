"""Restore the data module of an earlier run from its ``config.yaml``."""

from __future__ import annotations

import pkgutil
import warnings
from collections.abc import Iterator
from typing import Any

from jsonargparse import ArgumentParser

from src.data import datasets
from src.data.dataset_module import DatasetModule
from src.data.pinned_splits import PinnedSplits
from src.errors import UsageError, describe, lightship_error_in, one_line, printable
from src.run import split_record, started_in
from src.run.folder import Run

PATHS = ("root", "file", "cache_dir")  # the options of data sets that are paths
_PACKAGE = "src.data."


def data_of(run: Run) -> DatasetModule:
    """Return the data module that a run was trained with, from any working folder.

    Its splits are those of the training, even if there are more images now. Without a record of
    them they are drawn as trainings did that wrote none.

    Only classes of this project are imported: a run folder may come from a stranger, and reading it
    must not import other modules.

    Raises:
        UsageError: the configuration is incomplete, or names a class of another package.
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
        if not named.startswith(_PACKAGE):
            raise UsageError(
                str(run.config),
                expected=f"a data.class_path that starts with {_PACKAGE}",
                found=named,
                remedy="train with python -m src.train, which exports and measures by itself",
            )
    data = {**data, "class_path": class_path}
    options = data.get("init_args")
    if isinstance(options, dict):
        if options.get("cache_dir") == "":  # which trainings took for the default
            options = options | {"cache_dir": None}
        paths = {name: options[name] for name in PATHS if isinstance(options.get(name), str)}
        resolved = {name: str(started_in.find(run, path)) for name, path in paths.items()}
        # The parser takes UTF-8 only. Any other path stays relative to the folder of the training.
        utf8 = {name: path for name, path in resolved.items() if printable(path) == path}
        data = {**data, "init_args": options | utf8 | dict(run.data_paths)}
        if unknown := sorted(run.data_paths.keys() - options.keys()):
            raise UsageError(
                f"data.{unknown[0]}",
                expected=f"an option of {class_path.rpartition('.')[2]}",
                found=run.data_paths[unknown[0]],
                remedy="leave it out",
            )
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(DatasetModule, "data")
    try:
        config = parser.parse_object({"data": data})
    except Exception as error:  # a value can make the parser raise anything
        raise UsageError(
            str(run.config),
            expected=f"the options of {class_path}",
            found=one_line(str(error)),
            remedy=remedy,
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # jsonargparse 4.40 has no .instantiate
        try:
            module: DatasetModule = parser.instantiate_classes(config).data
        except Exception as error:
            # The parser wraps the error of a constructor into an error about the class.
            raise lightship_error_in(error) or UsageError(
                str(run.config),
                expected=f"the options of {class_path}",
                found=describe(error),
                remedy=remedy,
            ) from error
    record = split_record.read(run)
    module.pinned = None if record is None else PinnedSplits(record)
    module.source.every_class = record is not None
    module.source.is_new_training = False
    return module


def moved(class_path: str) -> str:
    """Return the present class path of a data set; in older runs it is directly in ``src.data``."""
    module, _, name = class_path.rpartition(".")
    dataset = module.removeprefix(_PACKAGE)
    names = {module.name for module in pkgutil.iter_modules(datasets.__path__)}
    return f"{datasets.__name__}.{dataset}.{name}" if dataset in names else class_path


def _class_paths(value: Any) -> Iterator[str]:
    """Yield every class path in a value, at any depth: the parser would import them all."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "class_path":
                yield str(inner)
            else:
                yield from _class_paths(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _class_paths(inner)
