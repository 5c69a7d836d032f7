"""Classify images by an exported file of a finished run.

python -m src.predict lightning_logs/convnext_t/version_0 photos/ cat.jpg --output answers.csv
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from rich.console import Console

from src.cli.stage_command import parse_with
from src.errors import one_line
from src.system import standard_output
from src.system.console import StageDisplay, open_console


def main() -> None:
    from src.predict import images
    from src.predict.exported import open_file
    from src.predict.options import PredictOptions
    from src.predict.output import open_writer
    from src.predict.stage import predictions
    from src.predict.tally import Tally

    run, names, options = parse_with("IMAGE", "predict", __doc__, PredictOptions)
    paths = images.find(names, lambda line: print(line, file=sys.stderr))
    console = open_console()
    with contextlib.ExitStack() as stack:
        tally = stack.enter_context(Tally(len(paths), options.output))
        file = stack.enter_context(open_file(run, options))
        writer = options.output and stack.enter_context(
            open_writer(Path(options.output), file.class_names, options.top)
        )
        # What is printed may go into another program: a bar goes to a terminal or nowhere.
        screen = console if console.is_terminal else Console(stderr=True)
        display = stack.enter_context(StageDisplay(screen)) if screen.is_terminal else None
        found = predictions(file, paths, options.on_error, display)
        for each in stack.enter_context(contextlib.closing(found)):
            if writer:
                writer(each)
            elif not standard_output.is_read():
                raise standard_output.ClosedOutput
            tally.add(each)
            if each.problem:
                print(f"skipped: {each.problem}", file=sys.stderr)
            else:
                answer = ", ".join(
                    f"{name} {probability:.2%}"
                    for name, probability in each.top(file.class_names, options.top)
                )
                console.print(one_line(f"{each.path}: {answer}"), soft_wrap=True, markup=False)
    tally.require_all(options.on_error)
