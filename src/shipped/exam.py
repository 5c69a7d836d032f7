"""Take the exam that came with the model: is it the same file here, and how fast is it?

python predict.py --exam                  answers, verdict and speed on this machine
python predict.py --exam --seconds 120    with narrower intervals

It needs what predict.py needs, and writes measurement.json, which `python -m src.compare RUN
measurement.json` sets beside the measurement of the run. It ends with exit code 1 if the file, its
classes or its answers are not those of where it was packed, or if it loses more accuracy than
allowed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING or __package__:  # a part of a package
    from . import exam_files, exam_record, predict, summary
    from .answers import Answers
    from .exam_files import ExamError
    from .measure import Sessions
else:  # in the folder of a model
    import exam_files
    import exam_record
    import summary
    from answers import Answers
    from exam_files import ExamError
    from measure import Sessions

    import predict

HERE = Path(__file__).resolve().parent
OUTPUT = "measurement.json"
SECONDS = 30.0
INTERRUPTED = 130  # exit code after Ctrl-C
MOST_SECONDS = 86_400.0


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command line, by default that of this process."""
    options = _parse(argv)
    started = time.monotonic()
    try:
        exam = exam_files.read(HERE)
        settings = {} if options.threads is None else {"threads": options.threads}
        sessions = Sessions(HERE, len(exam.images), options.seconds, settings, _report)
        answers = Answers.of(exam, *sessions.answers())
        measurement = sessions.run()
    except ExamError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("stopped: no measurement was written", file=sys.stderr)
        sys.exit(INTERRUPTED)
    record = exam_record.record_of(exam, answers, measurement, time.monotonic() - started)
    for line in summary.lines(exam, answers.drift, answers.home, record):
        print(line)
    try:
        _write(options.output, json.dumps(record, indent=1, allow_nan=False) + "\n")
    except OSError as error:
        sys.exit(f"error: {options.output}: {error.strerror or error}")
    print(f"written: {options.output}")
    if answers.problems:
        sys.exit(f"error: {'; '.join(answers.problems)}")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="predict.py --exam",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--exam", action="store_true", help="take the exam")
    parser.add_argument(
        "--seconds",
        type=float,
        default=SECONDS,
        help="time limit; the answers and one session always run (default: %(default)g)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(OUTPUT),
        help="file of the measurement, or its folder (default: %(default)s here)",
    )
    parser.add_argument(
        "--threads",
        type=predict.chosen_threads,
        metavar="N",
        help="threads of the runtime, or measured: as many as in the run's measurement",
    )
    options = parser.parse_args(argv)
    if not 0 < options.seconds <= MOST_SECONDS:
        parser.error(f"--seconds: expected a number above 0 and up to {MOST_SECONDS:g}")
    if options.output.is_dir():
        options.output /= OUTPUT
    if not options.output.absolute().parent.is_dir():
        parser.error(f"--output: {options.output.parent} is no folder; make it first")
    return options


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with temporary.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _report(line: str) -> None:
    if sys.stderr.isatty():
        print(f"{line} ...", file=sys.stderr)
