"""Trainings that a script keeps in a folder, and finds again if they are what it would train."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from src.cli import grammar, presets
from src.errors import UsageError, describe
from src.export.source import read_progress
from src.run.folder import LOG_FOLDER, Run
from src.system import safe_yaml

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
# Options of a command line that may differ: the place of the run, and that it was stopped once.
_MAY_DIFFER = ("trainer.default_root_dir=", "ckpt_path=")


def trained(
    model: str, words: Sequence[str], root: Path, having: str, *, again: bool = False
) -> Run:
    """Return the newest finished run of a command line below ``root``, or a new one.

    Args:
        model: name of the network.
        words: the command line of ``src.train`` without ``model=``.
        root: folder of the runs.
        having: a file that the run has, such as ``benchmark.json``.
        again: train a new one in any case.
    """
    words = [f"model={model}", *words]
    run = None if again else find(model, words, root, having)
    if run is None:
        command = [sys.executable, "-m", "src.train", *words, f"trainer.default_root_dir={root}"]
        code = subprocess.run(command, check=False).returncode
        if code:
            sys.exit(f"error: {model}: the training ended with exit code {code}")
        run = find(model, words, root, having)
    if run is None:
        sys.exit(f"error: {model}: the training left no {having} in {root}")
    return run


def find(model: str, words: Sequence[str], root: Path, having: str) -> Run | None:
    """Return the newest finished run of a command line; say why newer ones are not taken."""
    folders = [
        folder
        for folder in (root / LOG_FOLDER / model).glob("*")
        if not folder.name.startswith(".") and (folder / having).is_file()
    ]
    for folder in sorted(folders, key=lambda path: (path / having).stat().st_mtime, reverse=True):
        try:
            run = Run.of(folder)
            reason = next(differences(run, words), None)
        except (UsageError, OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
            reason = describe(error)
        if reason is None:
            return run
        print(f"{folder} is not used: {reason}", file=sys.stderr, flush=True)
    return None


def differences(run: Run, words: Sequence[str]) -> Iterator[str]:
    """Yield what distinguishes a run from a finished training with a command line."""
    config = safe_yaml.load(run.config.read_text(encoding="utf-8"))
    for name, value in _options(words).items():
        if (stored := _value(config, name)) != value:
            yield f"{name} is {stored}, not {value}"
    typed = shlex.split(run.command.read_text(encoding="utf-8"))[3:]  # python -m src.train
    others = [word.removeprefix("--") for word in typed]
    for word in others:
        if word not in words and not word.startswith(_MAY_DIFFER):
            yield f"it was trained with {word}"
    epochs, _ = read_progress(run.last_checkpoint)
    if epochs < config["trainer"]["max_epochs"]:
        yield f"its training ended after epoch {epochs} of {config['trainer']['max_epochs']}"


def _options(words: Sequence[str]) -> dict[str, object]:
    """Return the options of a command line and of its groups, except for that of the network."""
    of_presets: dict[str, object] = {}
    options: dict[str, object] = {}
    for word in words:
        name, _, text = word.partition("=")
        if not (CONFIGS / name).is_dir():
            options[name] = safe_yaml.load(text)
        elif name != "model":
            file = presets.preset(CONFIGS, name, text)
            of_presets |= grammar.all_options([f"--config={file}"])
    return of_presets | options


def _value(config: Mapping[str, Any], name: str) -> object:
    """Return an option of a configuration; None if it is not there."""
    value: Any = config
    for part in name.split("."):
        if isinstance(value, dict) and part not in value:
            value = value.get("init_args")
        value = value.get(part) if isinstance(value, dict) else None
    return value
