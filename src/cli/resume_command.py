"""The command that goes on with a stopped training."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from src.run import folder as runs
from src.run.earlier_results import EarlierResults, Stage
from src.run.folder import LAST, Run
from src.system.project_commands import options_of, typed, without

# The option that takes the result of each finder. A training that goes on accepts no finder.
_FINDERS = {"finetune.find_lr": "model.lr", "finetune.find_batch_size": "data.batch_size"}
# The option that makes the result of a stage anew.
_AGAIN: dict[str, Stage] = {
    "twin.again": "twin",
    "export.again": "export",
    "benchmark.again": "benchmark",
}
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
    earlier: EarlierResults | None = None,
) -> str:
    """Return the command line that continues a run in its folder.

    Args:
        argv: the command line of the training, without the program's name.
        run: has a ``last.ckpt``.
        model: name of the model that is trained.
        options: the value of every option.
        found: the results of finders, by the option that takes the result.
        earlier: results of the run when the training began; None for a new run.
    """
    finders = [finder for finder in _FINDERS if options.get(finder)]
    again = [
        name
        for name, stage in _AGAIN.items()
        if options.get(name) and not (earlier and earlier.stand(stage))
    ]
    words = without({_CKPT_PATH, *finders, *again}, argv)
    on_line = {name for name, _ in options_of(argv)}
    # Without a word on the line, a file of the user turns the option on.
    words += [f"{name}=false" for name in [*finders, *again] if name not in on_line]
    words += [f"{_FINDERS[finder]}={found[_FINDERS[finder]]}" for finder in finders]
    root = Path(str(options.get(_ROOT) or "."))
    return typed("src.train", [*words, f"{_CKPT_PATH}={_last_or_folder(run, root, model)}"])


def _last_or_folder(run: Run, root: Path, model: str) -> str:
    """Return ``last`` if the command would find this run by it, and otherwise the run's folder.

    The run may lie below another root, or below the name of another model.
    """
    if runs.newest(root, model, having=LAST) == run:
        return "last"
    relative = os.path.relpath(run.folder)
    return str(run.folder) if relative.startswith(os.pardir) else relative
