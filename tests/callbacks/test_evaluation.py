from __future__ import annotations

from pathlib import Path

import pytest

from src.callbacks.evaluation import EvaluationTable
from tests.support.tiny_classifier import TinyNet, loader, trainer

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("stage", ["validate", "test"])
def test_each_metric_is_one_line_when_output_is_no_terminal(
    stage: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    model = TinyNet()
    model.class_names = ["ant", "bee", "a class with a name that takes more than half of a line"]
    evaluation = trainer(tmp_path, callbacks=[EvaluationTable()])
    getattr(evaluation, stage)(model, loader(), verbose=False)
    lines = capsys.readouterr().out.splitlines()
    for name, value in evaluation.callback_metrics.items():
        [line] = [line for line in lines if line.strip().startswith(f"{name} ")]
        assert float(line.split()[-1]) == pytest.approx(float(value), rel=1e-5)


def test_a_validation_within_a_training_prints_no_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer(tmp_path, max_epochs=1, callbacks=[EvaluationTable()]).fit(
        TinyNet(), loader(), loader()
    )
    assert "metric" not in capsys.readouterr().out
