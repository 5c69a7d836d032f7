from __future__ import annotations

import io
import json
from hashlib import sha256
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from src.report.stage import report_run
from src.run.folder import Run
from src.run.rounds import VERSIONS, Rounds
from tests.report.planted import results, row
from tests.report.writers.test_cards import manifest
from tests.serve_test.planted import serve_test


def test_the_report_stage_makes_all_pages_from_the_measurement(tmp_path: Path) -> None:
    run = Run(tmp_path)
    (run.exports / "onnx").mkdir(parents=True)
    content = b"a model"
    (run.exports / "onnx" / "model").write_bytes(content)
    exported = {"path": "model", "bytes": len(content), "sha256": sha256(content).hexdigest()}
    described = manifest()
    described["formats"]["onnx"]["files"] = [exported]
    run.manifest.write_text(json.dumps(described))
    run.config.write_text("model: {init_args: {lr: 0.1}}\n")
    measured = results(row("eager"), row("onnx", sha256={"model": exported["sha256"]}))
    run.benchmark.write_text(json.dumps(measured))
    run.serve_test.write_text(json.dumps(serve_test(sha256={"model": exported["sha256"]})))
    console = Console(record=True, width=130)
    report_run(run, console)
    names = {path.stem for path in tmp_path.glob("*.png")}
    charts = {"tradeoff", "latency_batch_1", "latency_batch_8", "size", "training", "per_class"}
    charts.add("load")
    assert names == charts
    events = EventAccumulator(str(tmp_path)).Reload()
    assert set(events.Tags()["images"]) == {f"benchmark/{name}" for name in names}
    for name in names:
        [event] = events.Images(f"benchmark/{name}")
        with (
            Image.open(tmp_path / f"{name}.png") as picture,
            Image.open(io.BytesIO(event.encoded_image_string)) as shown,
        ):
            assert min(picture.size) > 100
            assert picture.convert("RGB").tobytes() == shown.convert("RGB").tobytes()
    assert "12.30" in run.page.read_text()
    assert "12.30" in run.report.read_text()
    assert "12.30" in (run.exports / "onnx" / "README.md").read_text()
    assert "12.30" in console.export_text(clear=False)
    assert '<h2 id="load">Under load</h2>' in run.page.read_text()
    assert "## Under load" in run.report.read_text()
    for text in (run.page.read_text(), run.report.read_text(), console.export_text(clear=False)):
        assert "310 requests" in text
    first = run.page.read_text()
    (tmp_path / "report.html").unlink()
    report_run(run, console)
    assert run.page.read_text() == first


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A measured run without rows, in a folder that a shell would take for two words."""
    run = Run(tmp_path / "my run")
    run.exports.mkdir(parents=True)
    run.manifest.write_text(json.dumps(manifest()))
    run.config.write_text("model: {}\n")
    run.benchmark.write_text(json.dumps(results()))
    return run


@pytest.mark.parametrize(
    ("complete", "said", "outcome"),
    [
        (True, "without its figures", "makes them if"),
        (False, "that did not end", "measures again"),
        (None, "cannot be read", "measures again"),
    ],
)
def test_the_report_says_what_can_be_made_of_a_later_measurement(
    run: Run, complete: bool | None, said: str, outcome: str
) -> None:
    measured = run.read_benchmark()
    if complete is None:
        run.rounds.write_text("{")
    else:
        run.write_rounds(
            Rounds(
                schema_version=VERSIONS[-1],
                checkpoint=measured.checkpoint,
                classes=len(measured.class_names),
                options=measured.options,
                environment=measured.environment,
                measured_at=measured.measured_at,
                measured_seconds=1.0,
                dataset=measured.dataset,
                complete=complete,
                rows=[],
            )
        )
    console = Console(record=True, width=1000)
    report_run(run, console)
    [line] = [line for line in console.export_text().splitlines() if str(run.rounds) in line]
    assert said in line
    assert f"python -m src.benchmark '{run.folder}' {outcome}" in line


def test_the_report_says_nothing_of_a_later_measurement_where_there_is_none(run: Run) -> None:
    console = Console(record=True, width=1000)
    report_run(run, console)
    assert "later measurement" not in console.export_text()
