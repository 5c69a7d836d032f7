"""The command that goes on with a stopped training."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from src.run import folder as runs
from src.run.folder import LAST, Run
from src.system.project_commands import typed

# The option that takes the result of each finder. A training that goes on accepts no finder.
_FINDERS = {"finetune.find_lr": "model.lr", "finetune.find_batch_size": "data.batch_size"}
_CKPT_PATH = "ckpt_path"
_ROOT = "trainer.default_root_dir"


def as_typed(argv: Sequence[str]) -> str:
    """Return a command line of ``src.train``, quoted for a shell, for a run's record."""
    return shlex.join(["python", "-m", "src.train", *argv])


def resume_command(
    argv: Sequence[str],
    run: Run,
    model: str,
    options: Mapping[str, object],
    found: Mapping[str, object],
) -> str:
    """Return the command line that continues a run in its folder.

    Args:
        argv: the command line of the training, without the program's name.
        run: has a ``last.ckpt``.
        model: name of the model that is trained.
        options: the value of every option.
        found: the results of finders, by the option that takes the result.
    """
    finders = [finder for finder in _FINDERS if options.get(finder)]
    pairs = list(_options(argv))
    words = [word for name, part in pairs if name not in {_CKPT_PATH, *finders} for word in part]
    for finder in finders:
        # Without a word on the line, a file of the user turns the finder on.
        words += [] if finder in dict(pairs) else [f"{finder}=false"]
        words.append(f"{_FINDERS[finder]}={found[_FINDERS[finder]]}")
    root = Path(str(options.get(_ROOT) or "."))
    return typed("src.train", [*words, f"{_CKPT_PATH}={_last_or_folder(run, root, model)}"])


def _options(argv: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield the name of each option with its words: ``a=v``, ``--a=v`` or ``--a v``."""
    pending = iter(argv)
    for word in pending:
        name, equals, _ = word.partition("=")
        is_pair = word.startswith("--") and not equals
        value = next(pending, None) if is_pair else None
        yield name.removeprefix("--"), [word] if value is None else [word, value]


def _last_or_folder(run: Run, root: Path, model: str) -> str:
    """Return ``last`` if the command would find this run by it, and otherwise the run's folder.

    The run may lie below another root, or below the name of another model.
    """
    if runs.newest(root, model, having=LAST) == run:
        return "last"
    relative = os.path.relpath(run.folder)
    return str(run.folder) if relative.startswith(os.pardir) else relative
