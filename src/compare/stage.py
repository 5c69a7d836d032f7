"""The compare stage: prints and writes the comparison of measured runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from src.compare.collection import Measured, TakenExam, folder_of
from src.compare.comparison import Comparison
from src.compare.page import html_page, markdown_page, show
from src.errors import UsageError
from src.system import atomic_files


def compare_runs(
    measurements: Sequence[Measured],
    console: Console,
    *,
    batch_size: int | None = None,
    seconds: float | None = None,
    folder: Path | None = None,
    exams: Sequence[TakenExam] = (),
    left_out: Sequence[str] = (),
) -> Path:
    """Print the comparison, and write ``comparison.html`` and ``comparison.md``.

    Args:
        measurements: of one run each.
        console: the console to print to.
        batch_size: images per call; by default the smallest batch that all were timed at.
        seconds: latency limit of the file to ship; None to search for none.
        folder: output folder; by default the folder that contains all runs.
        exams: that bundles took elsewhere.
        left_out: reasons why further runs are not in the comparison.

    Returns:
        The path of the HTML page.

    Raises:
        UsageError: ``folder`` is not a folder or cannot be written, which is told after the
            comparison is printed; or the runs have no such batch size in common.
    """
    comparison = Comparison.of(measurements, batch_size, seconds, exams, left_out)
    output = folder or folder_of(measurements, exams)
    if not output.is_dir():
        raise UsageError(
            "--output",
            expected="a folder",
            found=f"{output}, which is none",
            remedy="make it first",
        )
    show(comparison, console)
    try:
        atomic_files.write_text(output / "comparison.md", markdown_page(comparison))
        atomic_files.write_text(output / "comparison.html", html_page(comparison))
    except OSError as error:
        raise UsageError(
            "--output",
            expected="a folder that can be written, for comparison.html",
            found=f"{output} ({error.strerror or error})",
            remedy="name another one with --output FOLDER",
        ) from error
    console.print(f"Comparison: {output / 'comparison.html'}", soft_wrap=True)
    return output / "comparison.html"
