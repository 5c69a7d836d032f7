"""Export a finished run again, without training.

python -m src.export lightning_logs/convnext_t/version_0 --formats '[onnx_int8]'
"""

from __future__ import annotations

import dataclasses

from src import formats
from src.cli.run_lock import RunLock
from src.cli.stage_command import going_on, parse
from src.cli.writable_run import require_writable
from src.export.options import ExportOptions
from src.report.sections import exported, health
from src.report.writers import cards
from src.run.earlier_results import EarlierResults
from src.run.folder import Run
from src.system import torch_threads
from src.system.console import StageDisplay, open_console
from src.system.signals import resume_advice


def main() -> None:
    """Run the command line of this process."""
    # These import torch and Lightning, which --help does not need.
    from src.cli import run_splits
    from src.data.restore import data_of
    from src.export import up_to_date
    from src.export.source import Checkpoint
    from src.export.stage import export_run, require_success

    run, options = parse("export", __doc__, ExportOptions)
    options = with_baseline(run, options)
    checkpoint = run.require(run.exported_checkpoint, "train it again")
    torch_threads.limit()
    with RunLock.held(run):
        before = up_to_date.read(run)  # None if it is damaged: it is written again
        names = dict.fromkeys([*options.formats, *(before.exported if before else ())])
        require_writable(run, run.exports, *(run.exports / name for name in names))
        run.remove_unfinished()
        data = data_of(run)
        console = open_console()
        earlier = EarlierResults(run)
        with resume_advice(lambda: going_on("export", earlier)), StageDisplay(console) as report:
            manifest = export_run(run, Checkpoint.read(checkpoint), data, options, report)
        for line in run_splits.notes(data):
            console.print(line, soft_wrap=True, markup=False)
        if warning := health.warning(manifest.health):
            console.print(warning, soft_wrap=True, style="yellow")
        cards.write(run)
        for line in exported.lines(manifest):
            console.print(line, soft_wrap=True, markup=False)
        require_success(manifest, options.formats)


def with_baseline(run: Run, options: ExportOptions) -> ExportOptions:
    """Add the format that the run's measurement compares the others with, as training does."""
    baseline = (run.read_config().get("benchmark") or {}).get("baseline")
    if baseline not in formats.names() or baseline in options.formats:
        return options
    return dataclasses.replace(options, formats=[baseline, *options.formats])
