"""The notes of a survey: what was timed and probed is not timed and probed again."""

from __future__ import annotations

import pytest
from torch import nn

from src.run.folder import Run
from src.run.twin_files import TwinFiles
from src.twin import survey
from src.twin.kept_survey import KeptSurvey
from src.twin.replacements import Replacement
from src.twin.survey import Survey, Surveyed
from tests.twin.test_twin_survey import surveyed

RELU = (Replacement("SiLU", "ReLU", ("a", "b")),)
DROPPED = (*RELU, Replacement("squeeze-excite", "drop", ("c",)))


def noted(run: Run) -> KeptSurvey:
    kept = KeptSurvey(TwinFiles(run), "key", "vnni")
    kept.keep_time(Surveyed(RELU, 1.5, 0.75))
    kept.keep_probe(DROPPED, 0.5)
    kept.keep_time(Surveyed(DROPPED, 2.0, 0.25))
    return kept


def test_a_later_command_has_what_was_noted(run: Run) -> None:
    first = noted(run)
    later = KeptSurvey(TwinFiles(run), "key", "vnni")
    assert (
        later.timed
        == first.timed
        == {
            RELU: Surveyed(RELU, 1.5, 0.75),
            DROPPED: Surveyed(DROPPED, 2.0, 0.25),
        }
    )
    assert later.probed == first.probed == {DROPPED: 0.5}


def test_notes_of_something_else_are_not_used(run: Run) -> None:
    noted(run)
    files = TwinFiles(run)
    for other in (
        KeptSurvey(files, "another key", "vnni"),
        KeptSurvey(files, "key", "avx2"),
        KeptSurvey(files, "key", "vnni", again=True),
    ):
        assert (other.timed, other.probed) == ({}, {})
    assert KeptSurvey(files, "key", "vnni").timed  # until others are written
    files.write_survey(None)
    assert not KeptSurvey(files, "key", "vnni").timed


def test_a_survey_that_was_begun_anew_goes_on(run: Run) -> None:
    files = TwinFiles(run)
    KeptSurvey(files, "key", "vnni", again=True).keep_probe(RELU, 0.5)
    assert KeptSurvey(files, "key", "vnni", again=True).probed == {RELU: 0.5}
    KeptSurvey(files, "key", "vnni").keep_probe(DROPPED, 0.25)  # goes on with it
    assert len(KeptSurvey(files, "key", "vnni", again=True).probed) == 2


def test_the_time_of_all_commands_counts(run: Run) -> None:
    files = TwinFiles(run)
    for earlier in (0.0, 5.0, 10.0):
        clock = iter([100.0, 105.0])
        kept = KeptSurvey(files, "key", "vnni", clock=lambda clock=clock: next(clock))
        assert kept.earlier_seconds == earlier
        kept.keep_probe(RELU, 0.5)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema_version": 9}', "\0\0"])
def test_notes_that_cannot_be_read_cost_the_survey_alone(
    content: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    noted(run)
    (run.twin / "survey.json").write_text(content)
    assert KeptSurvey(TwinFiles(run), "key", "vnni").timed == {}
    assert "the survey begins anew" in capsys.readouterr().out


def test_a_plan_that_was_timed_is_not_timed_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = nn.Sequential(nn.SiLU(), nn.Flatten(), nn.Linear(48, 4))
    timed: list[Surveyed] = []
    first, lines = surveyed(network, monkeypatch, keep=timed.append)
    monkeypatch.setattr(survey, "speedup_in_turn", lambda *_: 1.25)
    all_of_first = first.run()
    assert all_of_first[1:] == timed
    assert len(timed) == 3
    kept = {each.plan: each for each in timed[:2]}
    second, lines = surveyed(network, monkeypatch, kept=kept)
    assert second.run()[1:3] == timed[:2]
    assert lines == ["timing 1 SiLU by hard swish"]


def test_the_survey_of_a_making_is_kept_in_the_run(run: Run) -> None:
    from src.export.source import Checkpoint
    from src.twin.making import Making
    from src.twin.options import TwinOptions

    checkpoint = Checkpoint.read(run.best_checkpoint)
    making = Making(run, checkpoint, TwinOptions(), lambda *_, **__: None)
    of_making: Survey = making.survey
    of_making.keep(Surveyed(RELU, 1.5, 0.75))
    again = Making(run, checkpoint, TwinOptions(), lambda *_, **__: None)
    assert dict(again.survey.kept) == {RELU: Surveyed(RELU, 1.5, 0.75)}
    other = Making(run, checkpoint, TwinOptions(epochs=7), lambda *_, **__: None)
    assert not other.survey.kept
