"""Options of the data that a network decides: by its published weights, or by its training.

With ``ckpt_path``, the input and the splits are those of the training. The defaults of the data set
would resize images in another way, or test on images that were trained on, without a word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from jsonargparse import ArgumentParser

from src.cli.pretrained_defaults import adopt_preprocessing, user_data_options
from src.cli.run_selection import is_rank_zero
from src.data.dataset_module import DatasetModule
from src.data.loading import Loading
from src.data.preprocessing import Interpolation, ResizeRule
from src.data.restore import PATHS, moved
from src.errors import UsageError, one_line
from src.models import names
from src.run import folder as runs
from src.run.folder import Run

_INPUT = ("image_size", "resize", "mean", "std", "interpolation", "crop_share")
# Options that decide no image: those of all data sets but the seed, and places.
_OTHERS = {option.name for option in fields(Loading)} - {"split_seed"} | {*PATHS, "verify"}
_PLAIN = (str, int, float, NoneType)
_WORDS = {"resize": get_args(ResizeRule), "interpolation": get_args(Interpolation)}


def adopt(config: Any, subcommand: str, args: Sequence[str], presets: Path) -> None:
    """Take the options of published weights or of a checkpoint's training, where the user has none.

    A checkpoint that tells no options gets a line. A training that goes on must have those of the
    checkpoint already: ``config.yaml`` shall name what the user asked for.

    Args:
        config: the parsed configuration of one subcommand; changed in place.
        subcommand: fit, validate, test or predict.
        args: the translated command line.
        presets: the folder of the data sets' configuration files.

    Raises:
        UsageError: a training goes on, and an option differs.
    """
    adopt_preprocessing(config, args, presets)
    run = _run_of(config)
    stored = None if run is None else _stored(run)
    if stored is None and subcommand != "fit" and config.ckpt_path:
        _tell_unknown(config.ckpt_path, run)
    if run is None or stored is None:
        return
    options = config.data.init_args
    trained = _differing(config.data, *stored, has_record=run.split_record.is_file())
    if not trained:
        return
    if subcommand == "fit":
        name, value = next(iter(trained.items()))
        raise UsageError(
            f"data.{name}",
            expected=f"{_written(value)}, with which the checkpoint was trained",
            found=_written(options[name]),
            remedy=f"set {_words(trained)}, or begin anew with its weights by model.weights=PATH "
            "instead of ckpt_path",
        )
    typed = user_data_options(args, presets)
    adopted = {name: value for name, value in trained.items() if name not in typed}
    for name, value in adopted.items():
        options[name] = value
    kept = {name: options[name] for name in trained if name in typed}
    if adopted and is_rank_zero():
        print(f"as in the training: {_words(adopted)}")
    if kept and is_rank_zero():
        others = _words({name: trained[name] for name in kept})
        print(f"note: {_words(kept)}, but the training had {others}")


def _run_of(config: Any) -> Run | None:
    """Return the run that a checkpoint is of; None if it is not known, or does not exist."""
    path = config.ckpt_path
    if not path:
        return None
    if path in {"best", "last"}:
        root = Path(config.trainer.default_root_dir or ".")
        return runs.newest(root, _name(config.model), having=f"checkpoints/{path}.ckpt")
    if Path(path).is_dir():
        return Run.of(path) if Run(Path(path)).config.is_file() else None
    return runs.containing(Path(path))


def _name(model: Any) -> str:
    """Return the name of the model's runs: see :attr:`src.models.classifier.Classifier.name`."""
    options = model.init_args
    width = options.get("width", 1.0)
    if architecture := options.get("architecture"):
        return names.of_architecture(architecture, width)
    return names.of_class(model.class_path.rpartition(".")[0], width)


def _stored(run: Run) -> tuple[str, dict[str, Any]] | None:
    """Return the data set of a run's training, and its options; None if they are not there."""
    try:
        data = run.read_config()["data"]
        options = data["init_args"]
        return (moved(str(data["class_path"])), options) if isinstance(options, dict) else None
    except (UsageError, KeyError, TypeError):
        return None


def _tell_unknown(path: str, run: Run | None) -> None:
    """Say that an evaluation has the options of the command, if its checkpoint exists."""
    if not is_rank_zero() or (run is None and not Path(path).is_file()):
        return  # that there is no checkpoint is said later
    reason = f"{path} is in no run folder" if run is None else f"{run.config} is damaged"
    print(
        one_line(
            f"note: {reason}, so the input and the splits are those of the options, which may "
            "differ from those of the training"
        )
    )


def _differing(
    data: Any, class_path: str, stored: Mapping[str, Any], *, has_record: bool
) -> dict[str, Any]:
    """Return the run's values of the options that differ, as far as they can be options.

    The images and their splits are the same with the same options of the data set, and with the
    seed of the splits. Splits that are recorded need no options.

    Args:
        data: the data set of the command.
        class_path: that of the run.
        stored: the options of the run.
        has_record: the run has recorded its splits.
    """
    options = data.init_args
    of_input = {name: _plain(stored[name]) for name in _INPUT if name in stored}
    found = {name: value for name, value in of_input.items() if _is_possible(name, value)}
    if class_path == data.class_path:
        names = {"split_seed"} if has_record else stored.keys() - _OTHERS
        for name in stored:
            if name in names and name in options:
                found[name] = _accepted(data, name, stored[name])
    return {
        name: value
        for name, value in found.items()
        if name in options and _plain(value) != _plain(options[name])
    }


def _accepted(data: Any, name: str, value: Any) -> Any:
    """Return a value as an option of a data set has it; the present one if it may not have it."""
    present = data.init_args[name]
    if not all(
        isinstance(part, _PLAIN) for part in (value if isinstance(value, list) else [value])
    ):
        return present  # a class path in it would be imported
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(DatasetModule, "data")
    init_args = {**data.init_args.as_dict(), name: value}
    try:
        parsed = parser.parse_object(
            {"data": {"class_path": data.class_path, "init_args": init_args}}
        )
    except Exception:  # a value can make the parser raise anything
        return present
    return parsed.data.init_args[name]


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _is_possible(name: str, value: Any) -> bool:
    """Return True for a value that an option of the input may have.

    Somebody may have written the file.
    """
    if name in _WORDS:
        return value in _WORDS[name]
    if name in {"mean", "std"}:
        return isinstance(value, tuple) and len(value) == 3 and all(map(_is_number, value))  # noqa: PLR2004
    return value is None or isinstance(value, str) or _is_number(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _words(options: Mapping[str, Any]) -> str:
    return " ".join(f"data.{name}={_written(value)}" for name, value in options.items())


def _written(value: Any) -> str:
    """Return a value as it is written behind ``option=``, without blanks."""
    if isinstance(value, list | tuple):
        return f"[{','.join(map(str, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)
