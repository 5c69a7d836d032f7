from __future__ import annotations

from pathlib import Path

import pytest

from src.callbacks.evaluation import EvaluationTable
from src.data.datasets.digits import Digits
from tests.support.small_training import SmallNet
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


@pytest.mark.parametrize(("stage", "images"), [("validate", 180), ("test", 540)])
@pytest.mark.parametrize("limit", [None, 1, 0.5])
def test_the_number_of_images_is_told_where_all_were_evaluated(
    stage: str,
    images: int,
    limit: float | None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    limits = {} if limit is None else {"limit_val_batches": limit, "limit_test_batches": limit}
    evaluation = trainer(tmp_path, callbacks=[EvaluationTable()], **limits)
    data = Digits(image_size=16, num_workers=0)
    getattr(evaluation, stage)(SmallNet(), datamodule=data, verbose=False)
    found = [line.split() for line in capsys.readouterr().out.splitlines() if "images" in line]
    assert found == ([["images", str(images)]] if limit is None else [])
