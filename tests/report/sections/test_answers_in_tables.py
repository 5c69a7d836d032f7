"""The cells on answers that two tables share: files after a decoder, and embedded files."""

from __future__ import annotations

from src.report.document import MISSING
from src.report.sections.verdicts import delta_of_answers, verdict_of_answers
from src.run.accuracy import Verdict
from src.run.pipeline import DecoderAnswers


def answers(verdict: Verdict) -> DecoderAnswers:
    return DecoderAnswers(
        images=200,
        otherwise=3,
        top1=0.97,
        delta_top1=-0.005,
        delta_low=-0.02,
        delta_high=0.01,
        mcnemar_p=1.0,
        flips=1,
        lost=1,
        gained=0,
        images_needed=None,
        verdict=verdict,
    )


def test_the_same_network_has_the_colour_of_a_file_that_passes() -> None:
    cell = verdict_of_answers(answers("same"))
    assert (cell.figure, cell.verdict) == ("same", "pass")
    assert verdict_of_answers(answers("fail")).verdict == "fail"


def test_a_change_is_in_points_with_its_interval() -> None:
    cell = delta_of_answers(answers("pass"))
    assert (cell.figure, cell.value) == ("-0.50", -0.005)
    assert cell.interval == "[-2.00, +1.00]"


def test_without_a_comparison_nothing_is_said() -> None:
    assert delta_of_answers(None).figure == verdict_of_answers(None).figure == MISSING
