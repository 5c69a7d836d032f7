"""Make the int8 twin of a finished run: a network that is fast in int8 and answers as the run's.

python -m src.twin lightning_logs/efficientnet_b0/version_0
python -m src.twin lightning_logs/efficientnet_b0/version_0 epochs=6 max_minutes=20

Parts that are slow in int8 are found by timing substitutes on this machine. The network with the
fastest parts that can be learnt is distilled from the trained one on the training images, and then
trained under fake quantization with the scales of the exported file. The output is the run's folder
twin; export and measure it as the formats onnx_int8_twin, openvino_int8_twin and onnx_fp32_twin.
"""

from __future__ import annotations

from src.cli.stage_command import command_line, parse
from src.system.console import StageDisplay, open_console
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
    from src.backends.onnx.twin import sentences
    from src.report.writers.console import show_lines
    from src.twin.stage import make_twin

    run.remove_unfinished()
    command = command_line("twin")
    console = open_console()
    with resume_advice(lambda: f"go on with: {command}"), StageDisplay(console) as report:
        record = make_twin(run, options, command, report)
    for plan in record.tried:
        probed = plan.probe_agreement
        learnt = "" if probed is None else f", {probed:.1%} after a few steps"
        show_lines(
            [f"{plan.name}: {plan.speedup:.2f} times the int8 file, {plan.agreement:.1%}{learnt}"],
            console,
        )
    if record.reason is not None:
        show_lines([f"No twin: {record.reason}."], console, style="bold")
        return
    show_lines([*sentences(record)], console, style="bold")
    show_lines(
        [
            f"It took {record.seconds / 60:.1f} minutes. Account: {run.twin_record}",
            f"Export it: python -m src.export {run.quoted} formats=[onnx_fp32,{_FORMATS}]",
        ],
        console,
    )
