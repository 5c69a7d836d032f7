"""The result of an exam in words, beside the run that its file came from."""

from __future__ import annotations

from collections.abc import Sequence

from src.compare.candidate import file_name
from src.compare.collection import Measured, TakenExam
from src.compare.comparability import testbed_of_cpu
from src.run.exam import ExamMeasurement
from src.run.row import Row
from src.shipped.accuracy import LEAST_SAME


def exam_in_words(taken: TakenExam, measurements: Sequence[Measured]) -> str:
    """Return a sentence on an exam: whether the file's answers hold there, and its latency."""
    exam = taken.record
    row = _row_of(exam, measurements)
    name = file_name(exam.row, embedded=exam.embedded)
    return (
        f"{name} of {exam.run} on {testbed_of_cpu(exam.environment)}: "
        f"{_result(exam)}; {_latency(row, exam)}; {_origin(row, exam)}."
    )


def _latency(row: Row | None, exam: ExamMeasurement) -> str:
    if exam.cell is None:
        return "its speed there was not measured"
    # The run timed a file with its preprocessing inside from the image file on, not its calls.
    here = row.cell(exam.cell.batch_size) if row and not exam.embedded else None
    beside = f", {1e3 * here.p50_s:.2f} ms in the run" if here else ""
    return f"p50 {1e3 * exam.cell.p50_s:.2f} ms there{beside}"


def _result(exam: ExamMeasurement) -> str:
    answers, flips = exam.answers, len(exam.answers.flips)
    images = f"of {answers.images} images"
    if not exam.holds:
        first, *others = exam.problems or ["the model's files are others than were packed"]
        more = f" (and {len(others)} more)" if others else ""
        return f"{_flips(flips)} {images}; does not hold there: {first}{more}"
    if flips:
        verdict = f", verdict {exam.row.verdict}" if exam.row.verdict else ""
        return f"{_flips(flips)} {images}{verdict}"
    if answers.images < LEAST_SAME:
        return f"no answer flips there {images}, which are too few to tell more"
    if answers.beyond_rounding:
        return f"holds there: no answer flips {images}, though that machine rounds otherwise"
    return f"holds there: no answer flips {images}, and the logits are the same within rounding"


def _flips(count: int) -> str:
    return f"{count} flip{'' if count == 1 else 's'} there"


def _row_of(exam: ExamMeasurement, measurements: Sequence[Measured]) -> Row | None:
    """Return the row that was measured with the very files of the exam; None if there is none."""
    for measured in measurements:
        row = measured.results.row(exam.row.format, "cpu")
        if row is None or not row.is_ok or measured.results.class_names != exam.class_names:
            continue
        if exam.packed_files.items() <= _hashes(row, embedded=exam.embedded).items():
            return row
    return None


def _hashes(row: Row, *, embedded: bool) -> dict[str, str | None]:
    """Return the SHA-256 of the files of a row, by name."""
    if embedded:
        return row.embedded.sha256 if row.embedded else {}
    return row.sha256 or {}


def _origin(row: Row | None, exam: ExamMeasurement) -> str:
    if row is None:
        return "no run of this comparison measured that file"
    return "the file is the run's" if exam.is_packed_file else "the run's file was changed there"
