"""Loggers of a command."""

from __future__ import annotations

from pathlib import Path

import pytest
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from src.cli.default_callbacks import as_list, loggers
from src.errors import UsageError


def test_a_csv_logger_that_would_delete_earlier_metrics_is_refused(tmp_path: Path) -> None:
    def chosen(version: int | None) -> CSVLogger:
        return CSVLogger(str(tmp_path), name="curves", version=version)

    first = chosen(0)
    assert loggers(first, None) == [first]
    metrics = tmp_path / "curves" / "version_0" / "metrics.csv"
    metrics.parent.mkdir(parents=True)
    metrics.write_text("step,train/loss\n1,2.5\n")
    for configured in (chosen(0), [chosen(1), chosen(0)]):
        with pytest.raises(UsageError, match=r"trainer.logger: expected a CSVLogger .*metrics.csv"):
            loggers(configured, None)
    assert metrics.read_text().startswith("step")
    following = chosen(None)  # has a version of its own
    assert loggers(following, None) == [following]


def test_the_run_folder_is_that_of_the_first_logger_whatever_the_user_adds(tmp_path: Path) -> None:
    folder = tmp_path / "lightning_logs" / "resnet34" / "version_3"
    own = TensorBoardLogger(str(tmp_path / "elsewhere"), name="curves", version=0)
    table = CSVLogger(str(tmp_path / "elsewhere"), name="table", version=0)
    for configured in (None, True, own, table, [own, table]):
        first, *others = loggers(configured, folder)
        assert Path(str(first.log_dir)) == folder
        assert others == [logger for logger in (own, table) if logger in as_list(configured)]
