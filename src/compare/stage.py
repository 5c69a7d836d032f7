"""The compare stage: from measured runs to everything that people read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from src.compare.collection import Measured, folder_of
from src.compare.comparison import Comparison
from src.compare.page import markdown, page, show
from src.errors import UsageError
from src.system import atomic_files


def compare_runs(
    measurements: Sequence[Measured],
    console: Console,
    *,
    wanted: int | None = None,
    seconds: float | None = None,
    folder: Path | None = None,
) -> Path:
    """Print the comparison, and write ``comparison.html`` and ``comparison.md``.

    Args:
        measurements: of one run each.
        console: where to print.
        wanted: images a call; by default the fewest that all were timed at.
        seconds: which file to ship below this latency; None if that was not asked.
        folder: where to write; by default the folder that holds all the runs.

    Returns:
        The page.
    """
    comparison = Comparison.of(measurements, wanted, seconds)
    place = folder or folder_of(measurements)
    if not place.is_dir():
        raise UsageError(
            "--output", expected="a folder", found=f"{place}, which is none", remedy="make it first"
        )
    atomic_files.write_text(place / "comparison.md", markdown(comparison))
    atomic_files.write_text(place / "comparison.html", page(comparison))
    show(comparison, console)
    console.print(f"Comparison: {place / 'comparison.html'}", soft_wrap=True)
    return place / "comparison.html"
