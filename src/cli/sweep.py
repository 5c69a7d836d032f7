"""Training of several architectures in turn, each in its own process, and their comparison.

python -m src.train model=resnet34,densenet121,efficientnet_b0,convnext_t
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from src.cli import families, grammar, presets
from src.cli.entry_point import run_command
from src.cli.imported import IMPORTED
from src.compare.collection import collect
from src.errors import LightshipError, UsageError
from src.run.folder import Run
from src.system.child_commands import run_in_subprocess
from src.system.console import open_console

CONFIGS = Path(__file__).parents[2] / "configs"
_GROUP = "model="

Train = Callable[[Sequence[str], Path], int]


def models_in(argv: Sequence[str]) -> list[str]:
    """Return the architectures of ``model=a,b``, or an empty list if the command names only one.

    Raises:
        UsageError: a name is unknown or repeated, or the subcommand is not fit.
    """
    values = [word.removeprefix(_GROUP) for word in argv if word.startswith(_GROUP)]
    names = values[-1].split(",") if values else []
    if len(names) < 2:  # noqa: PLR2004  # one architecture is no sweep
        return []
    for name in names:
        require_known(name)
    if len(set(names)) < len(names):
        raise UsageError(
            "model", expected="each name once", found=values[-1], remedy="name each once"
        )
    subcommand = argv[0] if argv[0] in grammar.SUBCOMMANDS else "fit"
    if subcommand != "fit":
        raise UsageError(
            "model",
            expected=f"one name with {subcommand}, for only fit takes several",
            found=values[-1],
            remedy=f"run {subcommand} once for each",
        )
    return names


def require_known(name: str) -> None:
    """Check a name before the first architecture is trained for minutes.

    Raises:
        UsageError: there is no such architecture.
    """
    if families.is_of_library(name):
        from src.models.architecture import Architecture  # imports torch

        Architecture.parse(name)
    else:
        presets.preset(CONFIGS, "model", name)


def main(models: Sequence[str], argv: Sequence[str], train: Train | None = None) -> None:
    """Train each architecture, even if others fail, and compare the runs that were measured.

    Args:
        models: the architectures.
        argv: the command line, without the program's name. Its ``model=`` is replaced.
        train: trains with the given command line, writes the path of the run folder into the given
            file and returns the exit code. Tests replace it.

    Raises:
        LightshipError: a training failed.
    """
    console = open_console()
    failed, measured = [], []
    with tempfile.TemporaryDirectory(prefix="lightship-") as scratch:
        for number, model in enumerate(models, 1):
            console.print(f"{model}, {number} of {len(models)}", style="bold")
            run_file = Path(scratch) / f"run-{number}"
            rest = [word for word in argv if not word.startswith(_GROUP)]
            code = (train or _train)([*rest, f"{_GROUP}{model}"], run_file)
            if code:
                failed.append(f"{model} (exit code {code})")
            if run_file.is_file():
                run = Run(Path(run_file.read_text("utf-8")))
                if run.benchmark.is_file():
                    measured.append(str(run.folder))
    if measured:
        from src.compare.stage import compare_runs  # imports matplotlib

        compare_runs(collect(measured), console)
    else:
        console.print("Nothing was measured, so there is nothing to compare.")
    if failed:
        raise LightshipError(f"{len(failed)} of {len(models)} failed: {', '.join(failed)}")


def _train(argv: Sequence[str], run_file: Path) -> int:
    return train_in_subprocess(argv, run_file)


def train_in_subprocess(
    argv: Sequence[str], run_file: Path, log: Path | None = None, *, kept_open: Sequence[int] = ()
) -> int:
    """Train in a new process, so that leftover memory or a crash does not affect the next one.

    Args:
        argv: the command line, without the program's name.
        run_file: file for the path of the run folder.
        log: file for the output; by default it goes where this process's goes.
        kept_open: descriptors that the new process inherits.

    Returns:
        The exit code.

    Raises:
        Stopped: a signal came, and the training has ended.
    """
    return run_in_subprocess(
        "src.cli.sweep", [str(run_file), *argv], log, kept_open=kept_open, imported=IMPORTED
    )


def _train_one() -> None:
    """Train one architecture in the child process. Write its run folder to a file before that."""
    from src.cli import app  # imports torch and Lightning

    run_file, *argv = sys.argv[1:]
    app.main(argv, on_run=lambda run: Path(run_file).write_text(str(run.folder), "utf-8"))


if __name__ == "__main__":
    run_command(_train_one)
