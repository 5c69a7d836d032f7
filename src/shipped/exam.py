"""Take the exam that came with the model: is it the same file here, and how fast is it?

python predict.py --exam                  answers, verdict and speed on this machine
python predict.py --exam --seconds 120    with narrower intervals
python predict.py --exam --answers        answers and verdict alone, for an emulator

It needs what predict.py needs, and writes measurement.json, which `python -m src.compare RUN
measurement.json` sets beside the measurement of the run. It ends with exit code 1 if the file, its
classes or its answers are not those of where it was packed, or if it loses more accuracy than
allowed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING or __package__:  # a part of a package
    from . import exam_files, exam_output, exam_record, machine, summary, terminal, untimed
    from .answers import Answers
    from .exam_checks import MOST_IMAGES
    from .exam_files import ExamError
    from .exam_output import Output, UnusableOutputError
    from .measure import Measurement, Sessions
    from .predict_opening import UnusableModelError, description
    from .predict_threads import chosen_threads
else:  # in the folder of a model
    import exam_files
    import exam_output
    import exam_record
    import machine
    import summary
    import terminal
    import untimed
    from answers import Answers
    from exam_checks import MOST_IMAGES
    from exam_files import ExamError
    from exam_output import Output, UnusableOutputError
    from measure import Measurement, Sessions
    from predict_opening import UnusableModelError, description
    from predict_threads import chosen_threads

HERE = Path(__file__).resolve().parent
SECONDS = 30.0  # of an exam that is timed
MOST_SECONDS = 86_400.0


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command line, by default that of this process."""
    terminal.accept_every_character()
    parser = _parser()
    options = parser.parse_args(argv)
    _require_possible(parser, options)
    written: Path | None = None
    try:
        with _ending_on_signals(), _opened(parser, options.output) as output:
            taken = _take(options, output)
            written = output.path
            _print([*taken.lines, f"written: {written}"])
            if isinstance(taken.stop, KeyboardInterrupt):
                raise taken.stop
    except (ExamError, UnusableOutputError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt as stop:
        result = "no measurement was written" if written is None else f"{written} is written"
        with contextlib.suppress(OSError):  # SIGHUP tells that the terminal has gone
            print(f"stopped: {result}", file=sys.stderr)
        # As a shell gives it for a process that a signal has ended.
        sys.exit(128 + (stop.number if isinstance(stop, Terminated) else signal.SIGINT))
    if taken.problems:
        sys.exit(f"error: {'; '.join(taken.problems)}")


class Terminated(KeyboardInterrupt):
    """A signal to end has arrived, which stops an exam as Ctrl-C does.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class _Taken(NamedTuple):
    """An exam whose measurement is written."""

    lines: list[str]  # its summary
    problems: list[str]  # in the answers, and the failure that ended it
    stop: untimed.Stop


def _take(options: argparse.Namespace, output: Output) -> _Taken:
    """Take the exam and write the measurement.

    A failure, Ctrl-C or a signal to end after the answers costs the speed and no answer.

    Raises:
        ExamError: the exam or the model is damaged, or there is no answer.
        UnusableOutputError: the file cannot be written any more. The lines are printed.
    """
    started = time.monotonic()
    exam = exam_files.read(HERE)
    settings = {"threads": options.threads or _threads()}
    if options.answers:
        most = min(options.images or len(exam.labels), len(exam.labels))
        seconds = MOST_SECONDS if options.seconds is None else options.seconds
        logits, measurement, stop = untimed.answers(HERE, most, seconds, settings, _report)
        exam = exam.first(len(logits))
        answers = Answers.of(exam, logits, measurement.loaded[0]["class_names"])
        missing = f"{len(logits)} of {most} images are answered"
    else:
        seconds = SECONDS if options.seconds is None else options.seconds
        sessions = Sessions(HERE, len(exam.images), seconds, settings, _report)
        answers = Answers.of(exam, *sessions.answers())
        measurement, stop = _timed(sessions)
        missing = "the speed is not measured"
    record = exam_record.record_of(exam, answers, measurement, time.monotonic() - started)
    lines = list(summary.lines(exam, answers.drift, answers.home, record))
    try:
        output.write(json.dumps(record, indent=1, allow_nan=False) + "\n")
    except UnusableOutputError as error:
        _print(lines)
        raise UnusableOutputError(f"--output: {error}") from error
    failures = [f"{missing}: {stop}"] if isinstance(stop, ExamError) else []
    return _Taken(lines, [*answers.problems, *failures], stop)


def _timed(sessions: Sessions) -> tuple[Measurement, untimed.Stop]:
    """Return the measurement; one without times if a process fails or a signal stops the exam."""
    try:
        return sessions.run(), None
    except (ExamError, KeyboardInterrupt) as error:
        return sessions.untimed(), error


def _threads() -> int:
    """Return the threads of the measurement, or of all usable cores if they are fewer.

    Without a number, a runtime takes the cores of the machine, not those of its container.

    Raises:
        ExamError: the description of the model is damaged.
    """
    cores = machine.usable_cores()
    try:
        return min(description(HERE)["threads"] or cores, cores)
    except UnusableModelError as error:
        raise ExamError(f"{error}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="predict.py --exam",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--exam", action="store_true", help="take the exam")
    parser.add_argument(
        "--seconds",
        type=float,
        help="limit of the whole; the answers, the memory and a first session of some seconds "
        "always run, and a further one only if the last one's time is left (default: "
        f"{SECONDS:g}); with --answers, no image but the first one is begun after it (default: "
        "none)",
    )
    parser.add_argument(
        "--answers",
        action="store_true",
        help="measure no speed and no memory, and answer one image at a time",
    )
    parser.add_argument(
        "--images",
        type=int,
        metavar="N",
        help="with --answers, the first N images of the exam only",
    )
    parser.add_argument(
        "--output",
        default=exam_output.NAME,
        help="file of the measurement, or its folder; not in the folder of a signed model "
        "(default: %(default)s here)",
    )
    parser.add_argument(
        "--threads",
        type=chosen_threads,
        metavar="N",
        help="threads of the runtime, or measured: as many as in the run's measurement (default: "
        "as many as that, and at most the usable cores; without a measurement, all of them)",
    )
    return parser


def _require_possible(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if options.images is not None and not options.answers:
        parser.error("--images: expected it with --answers; add that, or leave it out")
    if options.images is not None and not 1 <= options.images <= MOST_IMAGES:
        parser.error(f"--images: expected a number from 1 to {MOST_IMAGES}, found {options.images}")
    if options.seconds is not None and not 0 < options.seconds <= MOST_SECONDS:
        parser.error(f"--seconds: expected a number above 0 and up to {MOST_SECONDS:g}")
    cores = machine.usable_cores()
    if options.threads is not None and options.threads > cores:
        parser.error(
            f"--threads: expected a number from 1 to {cores}, the usable cores here, found "
            f"{options.threads}"
        )


def _opened(parser: argparse.ArgumentParser, words: str) -> Output:
    try:
        return Output(words, HERE)
    except UnusableOutputError as error:
        parser.error(f"--output: {error}")


@contextlib.contextmanager
def _ending_on_signals() -> Iterator[None]:
    """Raise :class:`Terminated` on a signal to end, so that nothing is lost or left behind."""
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    # One that is ignored, as by nohup, stays so.
    ended = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]
    for number in ended:
        signal.signal(number, _end)
    try:
        yield
    finally:
        for number in ended:
            signal.signal(number, signal.SIG_DFL)


def _end(number: int, _frame: FrameType | None) -> None:
    raise Terminated(number)


def _print(lines: Sequence[str]) -> None:
    """Print lines, and nothing where nobody reads them any more: the file has all of it."""
    try:
        print("\n".join(lines), flush=True)
    except (OSError, ValueError) as error:  # the latter is a closed stream
        terminal.discard_output()
        with contextlib.suppress(OSError):
            print(f"the summary cannot be printed: {error}", file=sys.stderr)


def _report(line: str) -> None:
    if sys.stderr.isatty():
        print(f"{line} ...", file=sys.stderr)
