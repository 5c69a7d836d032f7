"""Measure the exported files of a finished run, without training.

python -m src.benchmark lightning_logs/convnext_t/version_0 --batch_sizes '[1,32]'
python -m src.benchmark lightning_logs/convnext_t/version_0 load=true

Compare the files under another version of their runtime, side by side:

python -m src.benchmark lightning_logs/convnext_t/version_0 --with onnxruntime==1.30.0
"""

from __future__ import annotations

import sys

from src.benchmark.options import BenchmarkOptions
from src.cli.commands import other_version
from src.cli.run_lock import RunLock
from src.cli.stage_command import going_on, parse
from src.cli.writable_run import card_folders, require_writable
from src.run.earlier_results import EarlierResults
from src.system import torch_threads
from src.system.console import StageDisplay, open_console
from src.system.project_commands import typed, without_again
from src.system.signals import resume_advice


def main() -> None:
    """Run the command line of this process."""
    if any(word.partition("=")[0] in {"--with", "with"} for word in sys.argv[1:]):
        other_version.main()
        return
    # These import torch, Lightning or matplotlib, which --help does not need.
    from src.benchmark import exported_preprocessing
    from src.benchmark.suite import measure_unless_done
    from src.cli import run_splits
    from src.data.restore import data_of
    from src.serve_test.measurement_end import finish_measurement

    run, options = parse("benchmark", __doc__, BenchmarkOptions)
    torch_threads.limit()
    with RunLock.held(run):
        require_writable(
            run,
            *(run.measurements, run.flipped),
            *((run.inference_traces,) if options.trace else ()),
            *card_folders(run),
        )
        run.remove_unfinished()
        data = data_of(run)
        exported_preprocessing.require_same(run, data)
        console = open_console()
        earlier = EarlierResults(run)
        command = typed("src.benchmark", without_again(sys.argv[1:]))
        with resume_advice(lambda: going_on("benchmark", earlier)):
            with StageDisplay(console) as report:
                results = measure_unless_done(run, data, options, report, command)
            for line in run_splits.notes(data):
                console.print(line, soft_wrap=True, markup=False)
            finish_measurement(run, results, options, console)
