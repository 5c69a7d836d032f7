"""Start and end of the rows' answers as on older processors: see :mod:`src.system.cpuid_mask`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from src.benchmark.row import Row
from src.system.console import Report
from src.system.cpuid_mask import InstructionSet
from src.worker.guarded_process import Limits


@contextmanager
def answering(
    rows: Sequence[Row],
    exports: Path,
    limits: Limits,
    instruction_sets: Sequence[InstructionSet],
    report: Report,
) -> Iterator[None]:
    """Run a process for each row of a CPU and each instruction set while the block scores them.

    Args:
        rows: all rows; those that are not ok are skipped.
        exports: the folder that holds the formats' folders.
        limits: of each process.
        instruction_sets: the newest one that each process may use.
        report: gets the progress.
    """
    chosen = [row for row in rows if row.ok and row.device == "cpu"] if instruction_sets else []
    try:
        for number, row in enumerate(chosen):
            report("loading for older processors", row.name, number, len(chosen))
            file = (row.name, exports / row.name, limits, row.batch_maker)
            row.instruction_sets.start(*file, instruction_sets, row.python)
        yield
    finally:
        for row in chosen:
            row.instruction_sets.close()
