"""Put an exported file of a finished run under load: the highest rate at which it stays quick.

python -m src.serve_test lightning_logs/convnext_t/version_0 format=onnx_int8
python -m src.serve_test lightning_logs/convnext_t/version_0 p99_limit=0.02 windows=[0,0.004] runs=5

Requests come at random times, whether earlier ones are answered or not. The highest rate whose p99
is within the limit is searched for without batching and with it, over streams and threads. The
output is serve_test.json and load.png in the run; the same command goes on where it was stopped.
"""

from __future__ import annotations

import functools

from src.cli.run_lock import RunLock
from src.cli.stage_command import command_line, going_on, parse
from src.cli.writable_run import require_writable
from src.errors import LightshipError
from src.run.earlier_results import EarlierResults
from src.serve_test.options import ServeTestOptions
from src.system.console import StageDisplay, open_console
from src.system.project_commands import typed
from src.system.signals import resume_advice


def main() -> None:
    """Run the command line of this process.

    Raises:
        UsageError: the command line is wrong, or the file cannot run here.
        LightshipError: no configuration held a rate.
    """
    run, options = parse("serve_test", __doc__, ServeTestOptions)

    # These import torch and matplotlib, which --help does not need.
    from src.report.charts.chart import save
    from src.report.charts.load import load_chart
    from src.report.sections import load
    from src.report.writers.console import rich_table, show_lines
    from src.serve_test.stage import serve_test

    with RunLock.held(run):
        require_writable(run)
        run.remove_unfinished()
        command = command_line("serve_test")
        console = open_console()
        advice = functools.partial(going_on, "serve_test", EarlierResults(run))
        with resume_advice(advice), StageDisplay(console) as report:
            record = serve_test(run, options, command, report)
        # An earlier result stays in its place if this one has none.
        is_kept = record.choice is None and not record.is_complete
        place = run.unfinished_serve_test
        place = place if is_kept and place.is_file() else run.serve_test
        chart = load_chart(record)
        if chart is not None and place == run.serve_test:
            save(chart.draw(), run.own(f"{chart.name}.png"))
        section = load.section(record)
        console.print(rich_table(section.table, narrow=console.is_terminal, bold_chosen=True))
        show_lines(section.notes, console)
        show_lines(section.sentences, console, style="bold")
        show_lines([f"Measurement: {place}"], console)
        if run.benchmark.is_file() and place == run.serve_test:
            show_lines([f"Add it to the report: {typed('src.report')} {run.quoted}"], console)
        if record.choice is None:
            rest = load.remedy(record, "max_seconds", "the same command")
            raise LightshipError(
                f"no configuration of {record.format} was shown to hold a rate{rest}"
            )
