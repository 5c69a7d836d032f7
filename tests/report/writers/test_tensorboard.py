from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from src.report.writers import tensorboard
from tests.report.pages import report
from tests.report.planted import FAILED, results, row


def test_tensorboard_has_scalars_of_every_measured_row_and_the_table_as_text(
    tmp_path: Path,
) -> None:
    measured = results(row("eager"), row("onnx", **FAILED))
    tensorboard.write(report(measured), tmp_path, {"model": {"lr": 0.1, "options": None}}, {})
    events = EventAccumulator(str(tmp_path)).Reload()
    scalars = events.Tags()["scalars"]
    assert events.Scalars("benchmark/eager/cpu/batch_8/p50_s")[0].value == pytest.approx(0.05)
    assert events.Scalars("benchmark/eager/cpu/top1")[0].value == pytest.approx(0.9876)
    assert "benchmark/eager/cpu/batch_1/p99_s" not in scalars  # too few samples
    assert not [tag for tag in scalars if "onnx" in tag]
    text = events.Tensors("benchmark/table/text_summary")[0].tensor_proto.string_val[0]
    assert "| eager | cpu |" in text.decode()
    hparams = events.summary_metadata["_hparams_/session_start_info"]
    assert b"model.lr" in hparams.plugin_data.content
