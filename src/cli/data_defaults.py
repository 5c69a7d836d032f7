"""Options of the data that a network decides: by its published weights, or by its training.

With ``ckpt_path``, the input and the splits are those of the training. The defaults of the data set
would resize images in another way, or test on images that were trained on, without a word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from src.cli.pretrained_defaults import adopt_preprocessing, user_data_options
from src.cli.run_selection import is_rank_zero
from src.data.preprocessing import Interpolation, ResizeRule
from src.data.restore import moved
from src.errors import UsageError
from src.models import names
from src.run import folder as runs
from src.run.folder import Run

_INPUT = ("image_size", "resize", "mean", "std", "interpolation", "crop_share")
# They hold for the same data set. Splits of the user's own images are recorded with the run.
_IMAGES = ("split_seed", "noise", "noise_seed", "train_images", "size")
_WORDS = {"resize": get_args(ResizeRule), "interpolation": get_args(Interpolation)}


def adopt(config: Any, subcommand: str, args: Sequence[str], presets: Path) -> None:
    """Take the options of published weights or of a checkpoint's training, where the user has none.

    A training that goes on must have those of the checkpoint already: ``config.yaml`` shall name
    what the user asked for.

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
    if run is None:
        return
    options = config.data.init_args
    trained = _differing(config.data.class_path, options, run)
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


def _differing(class_path: str, options: Any, run: Run) -> dict[str, Any]:
    """Return the run's values of the options that differ, as far as they can be options."""
    try:
        data = run.read_config()["data"]
        stored: Mapping[str, Any] = data["init_args"]
        is_same = moved(str(data["class_path"])) == class_path
        decisive = (*_INPUT, *(_IMAGES if is_same else ()))
        found = {name: stored[name] for name in decisive if name in stored and name in options}
    except (UsageError, KeyError, TypeError):  # the command that reads the run says what is wrong
        return {}
    values = {name: _plain(value) for name, value in found.items()}
    return {
        name: value
        for name, value in values.items()
        if _is_possible(name, value) and value != _plain(options[name])
    }


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _is_possible(name: str, value: Any) -> bool:
    """Return True for a value that the option may have: somebody may have written the file."""
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
    return "null" if value is None else str(value)
