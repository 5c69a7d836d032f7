"""Options of export and measurement of a trained run, for a command that judges it otherwise.

``src.export`` and ``src.benchmark`` take them from the run's ``config.yaml``. A training that goes
on for another command writes that file itself; one that is finished already does not.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from src.errors import UsageError, one_line
from src.forecast.candidate import Request
from src.run.folder import Run
from src.search import run_words
from src.search.training import LOGS, Command, run_logged, words_of
from src.search.trials import TrialError
from src.system import atomic_files, safe_yaml

SECTIONS = ("export", "benchmark")
_MODULE = "src.cli.judging_options"


def adopt_options(folder: Path, request: Request, run: str, run_command: Command) -> None:
    """Give a run the options that a training of the present command line would give it.

    Nothing is done if it has them already.

    All others stay, so the file tells how the run was trained.

    Args:
        folder: of the search; it has a folder ``logs``.
        request: the candidate of the present command.
        run: folder of the run, relative to that of the search.
        run_command: runs a command.

    Raises:
        TrialError: the options or those of the run cannot be read.
    """
    trained = Run.of(folder / run)
    if run_words.are_of(trained, request):
        return
    root = trained.folder.parents[2]
    file = folder / LOGS / f"{root.name}-options.yaml"
    words = words_of(request, root, resumes=False)
    run_logged(run_command, folder, _MODULE, [str(file), *words], root.name)
    try:
        sections = safe_yaml.load(file.read_text(encoding="utf-8"))
        config = {**trained.read_config(), **{name: sections[name] for name in SECTIONS}}
        head = [line for line in trained.config.read_text("utf-8").splitlines() if line[:1] == "#"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError, UsageError) as error:
        raise TrialError(f"{request.name}: {one_line(str(error))}") from error
    finally:
        file.unlink(missing_ok=True)
    text = "\n".join([*head, yaml.safe_dump(config, sort_keys=False)])
    run_words.forget(trained)
    atomic_files.write_text(trained.config, text)
    run_words.note(trained, request)
