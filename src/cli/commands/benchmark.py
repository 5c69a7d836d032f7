"""Measure the exported files of a finished run, without training.

python -m src.benchmark lightning_logs/convnext_t/version_0 --batch_sizes '[1,32]'
"""

from __future__ import annotations

from src.cli.stage_command import parse, typed
from src.system.console import StageDisplay, open_console
from src.system.signals import telling


def main() -> None:
    from src.benchmark.options import BenchmarkOptions
    from src.benchmark.suite import measure_unless_done, require_success
    from src.data.restore import data_of
    from src.report.stage import report_run

    run, options = parse("benchmark", __doc__, BenchmarkOptions)
    run.remove_unfinished()
    data = data_of(run)
    console = open_console()
    with telling(lambda: f"go on with: {typed('benchmark')}"), StageDisplay(console) as report:
        results = measure_unless_done(run, data, options, report)
    report_run(run, console)
    require_success(results.rows, options)
