"""Search the best file within limits: forecast, train by successive halving, export, judge.

python -m src.search under=5ms model=resnet34,timm/lcnet_050 data.image_size=32,64
python -m src.search under=5ms at_least=97% size_under=10MB budget=2h model=resnet34,densenet121

Networks and image sizes whose every file is too slow or too large in the forecast are not trained.
The others train to a rung, the best of them go on from their checkpoints, and the last ones are
exported and measured. All other words are those of src.train. The output is search/search.html, and
search.json for programs. The same command goes on where it was stopped. Exit code 3: no file is
shown to keep all limits. With engine=ray the trainings of a rung run on the machines of a Ray
cluster, side by side, in a folder that all of them share.
"""

from __future__ import annotations

import functools
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from src.cli import grammar
from src.cli.candidate_choices import choices_of
from src.cli.imported import IMPORTED
from src.cli.search_conflicts import require_measured, require_whole_training
from src.cli.search_options import HELP, SearchOptions
from src.cli.sweep import CONFIGS, require_known, train_in_subprocess
from src.cli.width_choices import Widened, at_widths
from src.errors import LightshipError, UsageError
from src.forecast.occupancy import alone_in
from src.forecast.records import own_width_line
from src.search.ray_cluster import connected
from src.search.remote import Place
from src.search.spread import Spread
from src.system import atomic_files, machine
from src.system.child_commands import run_in_subprocess
from src.system.console import Report, StageDisplay, open_console
from src.system.packages import missing_packages
from src.system.project_commands import typed
from src.system.signals import resume_advice


class NothingFoundError(LightshipError):
    """No file is shown to keep all limits."""

    exit_code = 3


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command line, by default that of this process.

    Raises:
        UsageError: the command line is wrong.
        LightshipError: every candidate failed.
        NothingFoundError: no file is shown to keep all limits.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if {"-h", "--help"} & set(words):
        print(__doc__)
        for name, meaning in HELP.items():
            print(f"{name + '=':14}{meaning}")
        return
    command, again = shlex.join(["python", "-m", "src.search", *words]), typed("src.search", words)
    options, words = SearchOptions.split(words)
    grammar.require_plain(words)
    _require_package("python -m src.search", "optuna", "search")
    if options.engine == "ray":
        _require_package("engine", "ray", "ray")
    # These import optuna, torch and matplotlib, which --help does not need.
    from src.benchmark.environment import description
    from src.search import page
    from src.search.notebook import Notebook
    from src.search.occupancy import occupied
    from src.search.plan import Plan
    from src.search.product import ProductTrials
    from src.search.records import Limits
    from src.search.running_search import RunningSearch
    from src.search.stage import Search
    from src.search.training import LOGS

    widened = _candidates(words, options.widths)
    plan = Plan(
        requests=widened.requests,
        limits=Limits(
            latency_s=options.latency_s,
            size_bytes=options.size_bytes,
            memory_bytes=options.memory_bytes,
            top1=options.top1,
        ),
        environment=description.describe(machine.usable_cores()),
        command=command,
        seed=options.seed,
        reduction=options.reduction,
        rungs=options.rungs,
        budget_s=options.budget_s,
        engine=options.engine,
        own_width_only=widened.own_width_only,
    )
    require_measured(plan.requests[0], plan.limits, CONFIGS)
    folder = options.folder
    (folder / LOGS).mkdir(parents=True, exist_ok=True)
    options.forecast_folder.mkdir(parents=True, exist_ok=True)
    console = open_console()
    if widened.own_width_only:
        console.print(own_width_line(widened.own_width_only), soft_wrap=True, markup=False)
    with (
        resume_advice(lambda: f"go on with: {again}"),
        StageDisplay(console) as report,
        occupied(folder, report) as lock,
        alone_in(options.forecast_folder, report) as forecast_lock,
    ):
        kept_open = [lock, forecast_lock]
        trials = ProductTrials(
            folder=folder,
            forecast_folder=options.forecast_folder,
            environment=plan.environment,
            command=command,
            forecast_training=functools.partial(train_in_subprocess, kept_open=kept_open),
            run_command=functools.partial(_run_with_locks, kept_open),
        )
        notebook = Notebook(folder, plan)
        engine = None
        if options.engine == "ray":
            engine = _spread(options, plan.requests[0].naming, report)
        record = Search(RunningSearch.of(plan, notebook, trials, report), engine).run()
    atomic_files.write_text(folder / "search.md", page.markdown_page(record))
    atomic_files.write_text(folder / "search.html", page.html_page(record))
    page.show(record, console)
    console.print(f"Search: {folder / 'search.html'}", soft_wrap=True)
    failures = [outcome for outcome in record.outcomes if outcome.kind == "failed"]
    if len(failures) == len(record.outcomes):
        raise LightshipError(f"every candidate failed; {failures[0].name}: {failures[0].reason}")
    if record.answer is None or not record.answer.satisfied:
        raise NothingFoundError(page.sentence(record))
    console.print(f"File: {folder / record.answer.folder}", soft_wrap=True)


def _candidates(words: Sequence[str], widths: Sequence[float]) -> Widened:
    """Return the candidates of a command line, whose networks and options have been checked."""
    from src.search.plan import candidates_of  # imports optuna

    choices = choices_of(words, CONFIGS)
    requests = candidates_of(choices.words, choices.network, choices.images, choices.paths)
    for request in {request.model: request for request in requests}.values():
        if request.is_named:
            require_known(request.model)
        require_whole_training(request, CONFIGS)
    return at_widths(requests, widths, CONFIGS)


def _run_with_locks(
    locks: Sequence[int],
    module: str,
    words: Sequence[str],
    log: Path,
    *,
    kept_open: Sequence[int] = (),
) -> int:
    """Run a command that holds the locks of the search."""
    return run_in_subprocess(module, words, log, kept_open=[*locks, *kept_open], imported=IMPORTED)


def _spread(options: SearchOptions, words: tuple[str, ...], report: Report) -> Spread:
    """Return the engine for a Ray cluster, whose machines have been checked."""
    from src.search.occupancy import wait_for_trainings

    place = Place(Path.cwd(), options.folder, words)
    engine = Spread(
        functools.partial(connected, options.ray, place, report),
        report,
        functools.partial(wait_for_trainings, options.folder, report),
    )
    report("checking the machines")
    engine.check()
    return engine


def _require_package(argument: str, package: str, extra: str) -> None:
    if missing_packages([package]):
        raise UsageError(
            argument,
            expected=f"the package {package}, which is in the extra {extra}",
            found="none",
            remedy=f"uv pip install {package}",
        )
