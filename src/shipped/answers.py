"""The answers of the model here, beside those at home and those of the trained network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING or __package__:  # a part of a package
    from . import accuracy
    from .accuracy import Changes, Drift
    from .exam_files import Exam, ExamError
else:  # in the folder of a model
    import accuracy
    from accuracy import Changes, Drift
    from exam_files import Exam, ExamError

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Answers:
    """The answers here beside those at home and those of the trained network."""

    logits: Array  # (n, K)
    drift: Drift  # from the file's own at home
    home: Changes  # likewise
    reference_drift: Drift | None  # from the trained network's
    reference: Changes | None
    verdict: str | None  # on the accuracy here, against the budget
    problems: list[str]

    @classmethod
    def of(cls, exam: Exam, logits: Array, class_names: Sequence[str]) -> Answers:
        """Compare the logits (n, K) that the model gives here.

        Raises:
            ExamError: it has another number of classes.
        """
        if logits.shape != exam.answers.shape:
            raise ExamError(
                f"logits of shape {list(logits.shape)} instead of {list(exam.answers.shape)}"
            )
        predicted = logits.argmax(axis=1)
        before = exam.answers.argmax(axis=1)
        drift = accuracy.drift(logits, exam.answers)
        home = accuracy.changes(predicted, before, exam.labels, exam.max_drop)
        problems = [
            f"{name} is another file than was packed" for name in exam.changed_files()
        ] + _other_classes(exam.class_names, class_names)
        if drift.probability > exam.tolerance:
            problems.append(
                f"a probability differs by {drift.probability:.2g} from that of where the model "
                f"was packed, {exam.tolerance:g} is due; {home.flips} of {len(logits)} answers flip"
            )
        reference_drift = reference = verdict = None
        if exam.reference is not None:
            reference_drift = accuracy.drift(logits, exam.reference)
            wanted = exam.reference.argmax(axis=1)
            reference = accuracy.changes(predicted, wanted, exam.labels, exam.max_drop)
            verdict = reference.verdict
            is_same = not reference.flips and not reference_drift.beyond_rounding
            is_enough = len(logits) >= accuracy.LEAST_SAME
            if exam.precision == "fp32" and is_same and is_enough:
                verdict = "same"
            # A few images may fail by chance. So this says nothing of answers that are those of
            # home, unless all test images failed there as well.
            is_as_at_home = not home.flips and not drift.beyond_rounding
            if verdict == "fail" and not (is_as_at_home and exam.measured_verdict != "fail"):
                problems.append(
                    f"top-1 is {-100 * reference.delta:.2f} points below the trained network's, "
                    f"{100 * exam.max_drop:g} are allowed"
                )
        return cls(logits, drift, home, reference_drift, reference, verdict, problems)


def _other_classes(packed: Sequence[str], here: Sequence[str]) -> list[str]:
    if list(packed) == list(here):
        return []
    pairs = zip(packed, here, strict=False)
    index = next((index for index, (one, other) in enumerate(pairs) if one != other), None)
    if index is None:
        return [f"the model has {len(here)} classes instead of {len(packed)}"]
    return [
        f"the model's class {index} is {here[index]!r}, and {packed[index]!r} where it was packed"
    ]
