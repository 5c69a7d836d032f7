"""Compare measured runs: which model and which format to ship, or what became worse.

python -m src.compare lightning_logs
python -m src.compare lightning_logs --under 10ms
python -m src.compare OLD NEW --max-slowdown 5% --max-drop 0.5
"""

from __future__ import annotations

import argparse
import re

from rich.console import Console

from src.cli.parser_errors import OneLineParser
from src.errors import LightshipError, UsageError
from src.run.results import Results
from src.system.console import open_console
from src.system.paths import user_path

_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}


def main(argv: list[str] | None = None) -> None:
    from src.compare.collection import collect

    parser = OneLineParser(
        prog="python -m src.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="a run, a folder of runs, or a benchmark.json"
    )
    parser.add_argument("--under", metavar="10ms", help="which file to ship below this latency")
    parser.add_argument("--batch", type=int, help="images a call; by default the fewest in common")
    parser.add_argument(
        "--output", type=user_path, help="folder of comparison.html and comparison.md"
    )
    parser.add_argument("--max-slowdown", metavar="5%", help="exit with 1 if NEW is slower by more")
    parser.add_argument("--max-drop", metavar="0.5", help="... if it loses more points of top-1")
    parser.add_argument(
        "--clock", action="store_true", help="judge milliseconds too: the machine is steady"
    )
    parser.add_argument("--strict", action="store_true", help="exit with 1 where it cannot be told")
    options = parser.parse_args(argv)
    guards = options.max_slowdown is not None or options.max_drop is not None
    _refuse_ignored(options, guards=guards)
    max_slowdown = _share("--max-slowdown", options.max_slowdown)
    max_drop = _points("--max-drop", options.max_drop)
    seconds = None if options.under is None else _duration("--under", options.under)
    found = collect([str(user_path(name, "RUN")) for name in options.runs])
    console = open_console()
    if guards:
        if len(found) != 2:  # noqa: PLR2004
            raise UsageError(
                "RUN",
                expected="two with --max-slowdown or --max-drop, the old one and the new one",
                found=f"{len(found)}: {', '.join(each.name for each in found)}",
                remedy="name two runs",
            )
        _require_no_regression(
            found[0].results,
            found[1].results,
            console,
            max_slowdown=max_slowdown,
            max_drop=max_drop,
            clock=options.clock,
            strict=options.strict,
        )
    else:
        from src.compare.stage import compare_runs

        compare_runs(found, console, wanted=options.batch, seconds=seconds, folder=options.output)


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
    from src.compare.regression import compare

    findings = compare(old, new, max_slowdown=max_slowdown, max_drop=max_drop, clock=clock)
    if not findings:
        raise LightshipError("OLD and NEW have no row in common, so nothing was compared")
    for each in findings:
        console.print(str(each), soft_wrap=True, markup=False)
    counts = {
        outcome: sum(each.outcome == outcome for each in findings)
        for outcome in ("regressed", "inconclusive")
    }
    if counts["regressed"] or (strict and counts["inconclusive"]):
        raise LightshipError(
            f"{counts['regressed']} of {len(findings)} comparisons regressed, "
            f"{counts['inconclusive']} cannot be told"
        )


def _refuse_ignored(options: argparse.Namespace, *, guards: bool) -> None:
    """An option that would have no effect here is a mistake."""
    given = {
        "--under": options.under is not None and guards,
        "--batch": options.batch is not None and guards,
        "--output": options.output is not None and guards,
        "--clock": options.clock and options.max_slowdown is None,
        "--strict": options.strict and not guards,
    }
    for name, ignored in given.items():
        if ignored:
            raise UsageError(
                name,
                expected="it with"
                + ("out" if name in {"--under", "--batch", "--output"} else "")
                + (" --max-slowdown" if name == "--clock" else " --max-slowdown or --max-drop"),
                found="it where it would have no effect",
                remedy="leave it out",
            )


def _duration(name: str, text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|ms|us)", text.strip())
    if not found or not float(found[1]):
        raise UsageError(
            name, expected="a time as 10ms or 0.5s", found=text, remedy="give it a unit"
        )
    return float(found[1]) * _SECONDS[found[2]]


def _share(name: str, text: str | None) -> float | None:
    """``5%`` as 0.05."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text.strip())
    if not found:
        raise UsageError(name, expected="a percentage as 5%", found=text, remedy="add the % sign")
    return float(found[1]) / 100


def _points(name: str, text: str | None) -> float | None:
    """Points of percent, as 0.5, as a share of 1."""
    if text is None:
        return None
    found = re.fullmatch(r"\d+(?:\.\d+)?", text.strip())
    if not found:
        raise UsageError(
            name, expected="points of percent as 0.5", found=text, remedy="give a number alone"
        )
    return float(text) / 100
