from __future__ import annotations

from pathlib import Path

import markdown as python_markdown
import pytest
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams.backend_context import Context
from torch.utils.tensorboard import SummaryWriter

from src.report.document import MISSING
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
    assert "| figure | eager |" in text.decode()
    assert "| size MB | 12.3 |" in text.decode()
    hparams = events.summary_metadata["_hparams_/session_start_info"]
    assert b"model.lr" in hparams.plugin_data.content


def rendered(text: str) -> str:
    """Return the text as HTML, by the library and the extension that TensorBoard uses."""
    return python_markdown.Markdown(extensions=["tables"]).convert(text)


def test_the_text_of_any_number_of_files_is_narrow_and_has_every_figure() -> None:
    names = [f"some_format_number_{number}" for number in range(11)]
    shown = report(results(*map(row, names)))
    for section in (shown.measurements, shown.answers, shown.more):
        text = tensorboard.figures_by_file(section.table)
        lines = [line for line in text.splitlines() if line.startswith("|")]
        columns = [cell.split("<br>") for line in lines for cell in line.split(" | ")]
        assert max(len(part) for parts in columns for part in parts) < 40
        assert max(line.count(" | ") for line in lines) <= 4
        page = rendered(text)
        for name in names:
            assert page.count(f"<th>{name}</th>") == 1
        for measured in section.table.measured:
            for head, cell in zip(section.table.heads, measured.cells, strict=True):
                if head.name not in {"format", "device"} and cell.figure != MISSING:
                    assert f"<td>{'<br>'.join(cell.parts)}</td>" in page
    main = tensorboard.figures_by_file(shown.measurements.table)
    assert main.count("| size MB | ") == main.count("| figure | ") == 6
    assert "<td>-1.23<br>[-2.34, +0.12]</td>" in rendered(main)


def test_markup_in_a_name_is_text_in_the_text_tab() -> None:
    bad = row("eager")
    bad["accuracy"]["worst_class"]["name"] = "<script>x</script> | **a** <br>"
    text = rendered(tensorboard.figures_by_file(report(results(bad)).answers.table))
    assert "<script" not in text
    assert "&lt;script&gt;x&lt;/script&gt; | **a** &lt;br&gt; -5.0" in text


def test_the_operators_of_many_files_are_in_several_tables() -> None:
    traced = {"trace": {"file": "a.json.gz", "bytes": 5}}
    profile = row("any")["profile"] | {"call_seconds": 0.01}
    rows = [row(f"format_{number}", profile=profile, **traced) for number in range(7)]
    section = report(results(*rows)).operators
    assert section is not None
    text = tensorboard.operators(section)
    assert text.startswith("\n## Where the time of a call goes\n\n| format_0 cpu | ")
    assert rendered(text).count("<table>") == 4
    assert rendered(text).count("<td>QLinearConv 7.50 ms (75%)</td>") == 7
    assert text.endswith(f"\n- {section.notes[-1]}")


def test_a_run_without_figures_says_so_in_the_text_tab() -> None:
    shown = report(results(row("onnx", **FAILED)))
    assert tensorboard.figures_by_file(shown.measurements.table) == "Nothing was measured."


def columns(folder: Path) -> tuple[set[str], set[str]]:
    """Return the hyperparameters and the metrics that TensorBoard's HParams tab has."""
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(folder))
    context = Context(TBContext(data_provider=provider, logdir=str(folder)))
    request = RequestContext()
    known = context.hparams_metadata(request, "")
    experiment = context.experiment_from_metadata(request, "", True, known, [])
    return (
        {info.name for info in experiment.hparam_infos},
        {info.name.tag for info in experiment.metric_infos},
    )


def test_the_hparams_tab_has_the_columns_of_all_runs(tmp_path: Path) -> None:
    first = {"model": {"lr": 0.1}, "data": {"noise": 0.3}, "export": {"enabled": True}}
    second = {"model": {"lr": 0.2, "width": 0.5}, "data": None}
    tensorboard.write(report(results(row("eager"))), tmp_path / "first", first, {})
    with SummaryWriter(str(tmp_path / "second")) as writer:  # a training that was stopped
        tensorboard.add_hyperparameters(writer, second)
        writer.add_scalar("val/top1", 0.9, 3)
    parameters, metrics = columns(tmp_path)
    assert parameters == {"model.lr", "data.noise", "model.width"}
    assert {"val/top1", "benchmark/eager/cpu/top1"} <= metrics
