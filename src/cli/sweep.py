"""Several architectures trained one after the other, each in a process of its own, then compared.

python -m src.train model=resnet34,densenet121,efficientnet_b0,convnext_t
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from src.cli import grammar
from src.cli.entry_point import run_command
from src.errors import LightshipError, UsageError
from src.run.folder import Run
from src.system import signals
from src.system.console import open_console

CONFIGS = Path(__file__).parents[2] / "configs"
_GROUP = "model="
_LOOK_SECONDS = 1.0

Train = Callable[[Sequence[str], Path], int]


def models_in(argv: Sequence[str]) -> list[str]:
    """The architectures of ``model=a,b``; none where the command trains but one.

    Raises:
        UsageError: one of several has no such name, or is named twice, or is not to be trained.
    """
    chosen = [word.removeprefix(_GROUP) for word in argv if word.startswith(_GROUP)]
    names = chosen[-1].split(",") if chosen else []
    if len(names) < 2:  # noqa: PLR2004  # one is no sweep
        return []
    for name in names:
        # Before the first one is trained for minutes.
        grammar.preset(CONFIGS, "model", name)
    if len(set(names)) < len(names):
        raise UsageError(
            "model", expected="each name once", found=chosen[-1], remedy="name each once"
        )
    subcommand = argv[0] if argv[0] in grammar.SUBCOMMANDS else "fit"
    if subcommand != "fit":
        raise UsageError(
            "model",
            expected=f"one name with {subcommand}, for only fit takes several",
            found=chosen[-1],
            remedy=f"run {subcommand} once for each",
        )
    return names


def main(models: Sequence[str], argv: Sequence[str], train: Train | None = None) -> None:
    """Train each, whatever becomes of the others, and compare those that were measured.

    Args:
        models: the architectures.
        argv: the command line, without the program's name; its ``model=`` is replaced.
        train: trains by a command line and writes the run's folder into a file; replaced in tests.

    Raises:
        LightshipError: one of them failed.
    """
    console = open_console()
    failed, measured = [], []
    with tempfile.TemporaryDirectory(prefix="lightship-") as scratch:
        for number, model in enumerate(models, 1):
            console.print(f"{model}, {number} of {len(models)}", style="bold")
            told = Path(scratch) / model
            others = [word for word in argv if not word.startswith(_GROUP)]
            code = (train or _train)([*others, f"{_GROUP}{model}"], told)
            if code:
                failed.append(f"{model} (exit code {code})")
            if told.is_file() and (run := Run(Path(told.read_text("utf-8")))).benchmark.is_file():
                measured.append(str(run.folder))
    if measured:
        from src.compare.collection import collect
        from src.compare.stage import compare_runs

        compare_runs(collect(measured), console)
    else:
        console.print("Nothing was measured, so there is nothing to compare.")
    if failed:
        raise LightshipError(f"{len(failed)} of {len(models)} failed: {', '.join(failed)}")


def _train(argv: Sequence[str], told: Path) -> int:
    """In a process of its own: what one leaves in memory, or dies of, is not the next one's."""
    given = os.environ.get("PYTHONPATH")
    paths = [str(CONFIGS.parent), *([given] if given else [])]  # wherever it is started
    command = [sys.executable, "-m", "src.cli.sweep", str(told), *argv]
    child = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)})
    return wait_for(child)


def wait_for(child: subprocess.Popen[bytes]) -> int:
    """The exit code of a training; whoever stops this process waits for the training to stop.

    Raises:
        Stopped: when it has.
    """
    noted: list[int] = []

    def pass_on(number: int, _: FrameType | None) -> None:
        noted.append(number)
        # A terminal sends Ctrl-C to all processes of a command, and so to the child as well.
        if number != signal.SIGINT or not sys.stdin.isatty():
            child.send_signal(number)

    with signals.handling(pass_on, signal.SIGINT, signal.SIGTERM):
        code = None
        while code is None:
            # Python runs a handler between two instructions: a wait without end would hold back a
            # signal that came just before it, or that another thread was given.
            with suppress(subprocess.TimeoutExpired):
                code = child.wait(_LOOK_SECONDS)
    if noted:
        raise signals.Stopped(noted[0])
    return code


def _one() -> None:
    """A single training, that of the child: where its run is, is known before it begins."""
    from src.cli import app

    told, *argv = sys.argv[1:]
    app.main(argv, on_run=lambda run: Path(told).write_text(str(run.folder), "utf-8"))


if __name__ == "__main__":
    run_command(_one)
