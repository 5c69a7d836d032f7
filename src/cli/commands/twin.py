"""Make the int8 twin of a finished run: a network that is fast in int8 and answers as the run's.

python -m src.twin lightning_logs/efficientnet_b0/version_0
python -m src.twin lightning_logs/efficientnet_b0/version_0 epochs=6 max_minutes=20

Parts that are slow in int8 are found by timing substitutes on this machine. The layers of the
network with the fastest parts that can be learnt are refitted to the outputs of the trained one.
Where that is not enough, it is distilled from the trained network on the training images, and
trained under fake quantization with the scales of the exported file. The output is the run's folder
twin; export and measure it as the formats onnx_int8_twin, openvino_int8_twin and onnx_fp32_twin.
"""

from __future__ import annotations

from src.cli.run_lock import RunLock
from src.cli.stage_command import command_line, going_on, parse
from src.cli.writable_run import require_writable
from src.run.earlier_results import EarlierResults
from src.system import log_filters, torch_threads
from src.system.console import StageDisplay, open_console
from src.system.project_commands import typed
from src.system.signals import resume_advice
from src.twin.options import TwinOptions

_FORMATS = "onnx_int8_twin"


def main() -> None:
    """Run the command line of this process.

    Raises:
        UsageError: the command line is wrong.
    """
    run, options = parse("twin", __doc__, TwinOptions)

    # These import torch and Lightning, which --help does not need.
    import torch

    from src.backends.onnx.twin import against_exported, sentences
    from src.report.sections import twin
    from src.report.writers.console import show_lines
    from src.run.twin_files import TwinFiles
    from src.twin.stage import make_twin

    log_filters.silence_lightning()
    torch.set_flush_denormal(True)  # as in the run's training
    torch_threads.limit()
    with RunLock.held(run):
        require_writable(run, run.twin, *run.twin.glob("*/checkpoints"))
        run.remove_unfinished()
        command, earlier = command_line("twin"), EarlierResults(run)
        console = open_console()
        with (
            resume_advice(lambda: going_on("twin", earlier)),
            StageDisplay(console) as report,
        ):
            record = make_twin(run, options, command, report)
        is_kept = TwinFiles(run).without_gain.is_file()
        show_lines([*twin.tried(record)], console)
        if record.reason is not None:
            show_lines([f"No twin: {record.reason}."], console, style="bold")
            if is_kept:
                show_lines([f"The earlier twin stays: {run.twin_record}"], console)
            return
        show_lines([*sentences(record), *against_exported(record)], console, style="bold")
        show_lines(
            [
                f"It took {record.seconds / 60:.1f} minutes. Account: {run.twin_record}",
                f"Export it: {typed('src.export')} {run.quoted} formats=[onnx_fp32,{_FORMATS}]",
            ],
            console,
        )
