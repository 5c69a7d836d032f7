"""Classify images with an exported file of a finished run.

python -m src.predict lightning_logs/convnext_t/version_0 photos/ cat.jpg --output answers.csv
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from src.cli.stage_command import parse_with_operands
from src.errors import escape_harmful
from src.predict import exported, images
from src.predict.options import PredictOptions
from src.predict.output import open_writer
from src.predict.stage import predictions
from src.predict.tally import Tally
from src.system import standard_output
from src.system.console import StageDisplay, open_console


def main() -> None:
    """Run the command line of this process."""
    run, names, options = parse_with_operands("IMAGE", "predict", __doc__, PredictOptions)
    paths = images.find(names, lambda line: print(line, file=sys.stderr))
    console = open_console()
    with contextlib.ExitStack() as stack:
        tally = stack.enter_context(Tally(len(paths), options.output))
        file = stack.enter_context(exported.open_file(run, options))
        if file.doubt:
            print(f"warning: {file.doubt}", file=sys.stderr)
        writer = options.output and stack.enter_context(
            open_writer(Path(options.output), file.class_names, options.top)
        )
        # Another program may read standard output, so a progress bar is shown on a terminal only.
        screen = console if console.is_terminal else open_console(stderr=True)
        display = stack.enter_context(StageDisplay(screen)) if screen.is_terminal else None
        stream = predictions(file, paths, options.on_error, display)
        for prediction in stack.enter_context(contextlib.closing(stream)):
            if writer:
                writer(prediction)
            elif not standard_output.has_reader():
                raise standard_output.ClosedOutput
            tally.add(prediction)
            if prediction.problem:
                print(f"skipped: {prediction.problem}", file=sys.stderr)
            else:
                answer = ", ".join(
                    f"{name} {probability:.2%}"
                    for name, probability in prediction.top(file.class_names, options.top)
                )
                line = escape_harmful(f"{prediction.path}: {answer}")
                console.print(line, soft_wrap=True, markup=False)
    tally.require_all(options.on_error)
