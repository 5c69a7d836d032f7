"""Compare a run's exported files under another version of their runtime.

python -m src.benchmark lightning_logs/convnext_t/version_0 --with onnxruntime==1.30.0

Both versions score the test images and are timed in turn, in one session. The exit code is 1 if a
file is slower by more than max_slowdown, loses more than max_accuracy_drop, or no longer runs; with
strict=true also if that cannot be told.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from src.cli.run_lock import RunLock
from src.cli.stage_command import parse
from src.cli.writable_run import require_writable
from src.errors import LightshipError, UsageError
from src.system.console import StageDisplay, open_console
from src.system.project_commands import typed
from src.system.signals import resume_advice

if TYPE_CHECKING:
    from src.run.version_comparison import VersionComparison


def main() -> None:
    """Run the command line of this process.

    Raises:
        UsageError: the command line is wrong, or the version cannot be installed.
        LightshipError: a file regressed, or with ``strict`` it cannot be told.
    """
    from src.benchmark import exported_preprocessing
    from src.benchmark.other_version import VersionOptions, compare_versions
    from src.cli import run_splits
    from src.data.restore import data_of
    from src.report.sections.versions import sentences

    _require_version(sys.argv[1:])
    run, options = parse("benchmark", __doc__, VersionOptions, needed="--with PACKAGE==VERSION ")
    with RunLock.held(run):
        require_writable(run, run.versions)
        run.remove_unfinished()
        data = data_of(run)
        exported_preprocessing.require_same(run, data)
        console = open_console()
        advice = f"start again with: {typed('src.benchmark', sys.argv[1:])}"
        with resume_advice(lambda: advice), StageDisplay(console) as report:
            comparison = compare_versions(run, data, options, report)
        for line in run_splits.notes(data):
            console.print(line, soft_wrap=True, markup=False)
        for sentence in sentences(comparison):
            console.print(sentence, soft_wrap=True, markup=False)
        console.print(f"Figures: {run.versions}", soft_wrap=True, markup=False)
        require_no_regression(comparison, strict=options.strict)


def _require_version(argv: list[str]) -> None:
    """Refuse ``--with`` without a value.

    Raises:
        UsageError: there is none.
    """
    follows = argv[argv.index("--with") + 1 :] if "--with" in argv else ["given as with=VALUE"]
    if not follows or follows[0].startswith("-"):
        raise UsageError(
            "--with",
            expected="a package and a version",
            found=follows[0] if follows else "nothing",
            remedy="name them, as in --with onnxruntime==1.30.0",
        )


def require_no_regression(comparison: VersionComparison, *, strict: bool) -> None:
    """Raise an error if a file regressed under the other version, or could not be compared.

    Args:
        comparison: of all files.
        strict: refuse an inconclusive comparison too.

    Raises:
        LightshipError: it is slower or answers otherwise beyond what is allowed, or does not run.
    """
    unknown = [file.format for file in comparison.files if not file.runs_here]
    regressed = [file.format for file in comparison.files if file.regressed]
    if regressed:
        raise LightshipError(
            f"{len(regressed)} of {len(comparison.files)} files regressed under "
            f"{comparison.package} {comparison.there}: {', '.join(regressed)}"
        )
    if unknown:
        raise LightshipError(
            f"{len(unknown)} of {len(comparison.files)} files do not run under the installed "
            f"{comparison.package} {comparison.here}, so nothing is known: {', '.join(unknown)}"
        )
    undecided = [file.format for file in comparison.files if file.is_inconclusive]
    if strict and undecided:
        raise LightshipError(
            f"strict: {len(undecided)} of {len(comparison.files)} files cannot be told to keep the "
            f"limits under {comparison.package} {comparison.there}: {', '.join(undecided)}; "
            "measure longer (max_seconds), or with more test images"
        )
