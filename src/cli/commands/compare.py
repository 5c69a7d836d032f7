"""Compare measured runs: show which model and format to ship, or find regressions.

python -m src.compare lightning_logs
python -m src.compare lightning_logs --under 10ms
python -m src.compare OLD NEW --max-slowdown 5% --max-drop 0.5
python -m src.compare RUN measurement.json
"""

from __future__ import annotations

import argparse
import re

from rich.console import Console

from src.cli import quantities
from src.cli.parser_errors import OneLineParser
from src.compare import conditions
from src.compare.collection import collect, exams_among, is_file_of_exam, old_and_new
from src.errors import LightshipError, UsageError, one_line
from src.run.results import Results
from src.system.console import open_console
from src.system.paths import user_path


def main(argv: list[str] | None = None) -> None:
    """Run one command line, by default that of this process.

    Raises:
        UsageError: the command line is wrong.
        LightshipError: a file regressed, or --strict is given and a comparison is inconclusive.
    """
    options = _parse(argv)
    guards = options.max_slowdown is not None or options.max_drop is not None
    _refuse_ignored(options, guards=guards)
    max_slowdown = (
        None
        if options.max_slowdown is None
        else quantities.fraction("--max-slowdown", options.max_slowdown)
    )
    max_drop = _points("--max-drop", options.max_drop)
    seconds = None if options.under is None else quantities.latency("--under", options.under)
    names = [str(user_path(name, "RUN")) for name in options.runs]
    exams = exams_among(names)
    console = open_console()
    if not guards:
        from src.compare.stage import compare_runs  # imports matplotlib

        left_out: list[str] = []
        compare_runs(
            collect([name for name in names if not is_file_of_exam(name)], left_out.append),
            console,
            batch_size=options.batch,
            seconds=seconds,
            folder=options.output,
            exams=exams,
            left_out=left_out,
        )
        return
    if exams:
        raise UsageError(
            "RUN",
            expected="runs with --max-slowdown or --max-drop, which compare whole measurements",
            found=f"{exams[0].path}, the measurement of an exam",
            remedy="leave out these options to see it beside the run",
        )
    runs = old_and_new(names)
    for measured, label in zip(runs, ("OLD", "NEW"), strict=True):
        line = f"{label}: {measured.name}, measured at {measured.results.measured_at}"
        console.print(one_line(line), soft_wrap=True, markup=False)
    for note in conditions.notes(runs):
        console.print(f"note: {one_line(note)}", soft_wrap=True, markup=False)
    _require_no_regression(
        runs[0].results,
        runs[1].results,
        console,
        max_slowdown=max_slowdown,
        max_drop=max_drop,
        clock=options.clock,
        strict=options.strict,
    )


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = OneLineParser(
        prog="python -m src.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="a run, a folder of runs, a benchmark.json, or the measurement.json of an exam",
    )
    parser.add_argument(
        "--under", metavar="10ms", help="recommend the file to ship below this latency"
    )
    parser.add_argument(
        "--batch", type=int, help="images per call (default: the fewest that all runs have)"
    )
    parser.add_argument(
        "--output", type=user_path, help="folder of comparison.html and comparison.md"
    )
    parser.add_argument(
        "--max-slowdown", metavar="5%", help="exit with 1 if NEW is slower by more than this"
    )
    parser.add_argument(
        "--max-drop", metavar="0.5", help="exit with 1 if NEW loses more points of top-1"
    )
    parser.add_argument(
        "--clock",
        action="store_true",
        help="also compare milliseconds (only if the machine's speed is steady)",
    )
    parser.add_argument(
        "--strict", action="store_true", help="exit with 1 if a comparison is inconclusive"
    )
    return parser.parse_args(argv)


def _require_no_regression(
    old: Results,
    new: Results,
    console: Console,
    *,
    max_slowdown: float | None,
    max_drop: float | None,
    clock: bool,
    strict: bool,
) -> None:
    from src.compare.regression import compare  # imports scipy

    findings = compare(old, new, max_slowdown=max_slowdown, max_drop=max_drop, clock=clock)
    if not findings:
        raise LightshipError("OLD and NEW have no row in common, so nothing was compared")
    for finding in findings:
        console.print(str(finding), soft_wrap=True, markup=False)
    counts = {
        outcome: sum(finding.outcome == outcome for finding in findings)
        for outcome in ("regressed", "inconclusive")
    }
    if counts["regressed"] or (strict and counts["inconclusive"]):
        raise LightshipError(
            f"{counts['regressed']} of {len(findings)} comparisons regressed, "
            f"{counts['inconclusive']} cannot be told"
        )


def _refuse_ignored(options: argparse.Namespace, *, guards: bool) -> None:
    """Refuse an option that would have no effect."""
    ignored_options = {
        "--under": options.under is not None and guards,
        "--batch": options.batch is not None and guards,
        "--output": options.output is not None and guards,
        "--clock": options.clock and options.max_slowdown is None,
        "--strict": options.strict and not guards,
    }
    for name, ignored in ignored_options.items():
        if ignored:
            raise UsageError(
                name,
                expected="it with"
                + ("out" if name in {"--under", "--batch", "--output"} else "")
                + (" --max-slowdown" if name == "--clock" else " --max-slowdown or --max-drop"),
                found="it where it would have no effect",
                remedy="leave it out",
            )


def _points(name: str, text: str | None) -> float | None:
    """Return percentage points as a fraction: ``0.5`` as 0.005."""
    if text is None:
        return None
    if not re.fullmatch(r"\d+(?:\.\d+)?", text.strip()):
        raise UsageError(
            name, expected="points of percent as 0.5", found=text, remedy="give a number alone"
        )
    return quantities.percent(text.strip())
