"""A training on a folder of images with ``benchmark.load=true``, and its default objective."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.run.folder import Run
from src.run.serving import current_serve_test
from tests.support import photos
from tests.support.warm_command import command

pytestmark = pytest.mark.slow

TRAINING = (
    *("model=torchvision/mobilenet_v3_small", "data=image_folder", "data.root=photos"),
    *("data.image_size=32", "data.batch_size=8", "data.num_workers=0", "data.test_share=0.3"),
    *("trainer.max_epochs=1", "trainer.limit_train_batches=4", "trainer.accelerator=cpu"),
    *("export.formats=[onnx_fp32]", "export.preflight=false", "profiler=none"),
    *("benchmark=quick", "benchmark.threads=1", "benchmark.baseline=onnx_fp32"),
    *("benchmark.load=true", "benchmark.load_max_seconds=25", "benchmark.load_p99_limit=0.1"),
)
BASIS = "because the images of this data set are files; benchmark.objective=latency"


def test_a_training_puts_its_recommended_file_under_load(tmp_path: Path) -> None:
    photos.write(tmp_path / "photos", 14)
    done = command(tmp_path, "src.train", *TRAINING)
    assert done.returncode == 0, done.stderr
    [folder] = tmp_path.glob("lightning_logs/*/version_*")
    run = Run(folder)
    record, results = current_serve_test(run), run.read_benchmark()
    assert record is not None
    assert (record.format, record.device) == ("onnx_fp32", "cpu")
    assert (record.p99_limit_s, record.max_seconds) == (0.1, 25)
    assert any(each.probes for each in record.configurations)
    # On a busy machine no rate may be shown; then a line says so.
    held = record.choice is not None
    assert held or "benchmark.load: no configuration of onnx_fp32" in done.stdout
    assert "## Under load" in run.report.read_text()
    assert '<h2 id="load">Under load</h2>' in run.page.read_text()
    # The images are files, so the file was chosen by the whole time from a file to its label.
    assert results.options.objective is None
    assert results.recommendation["cpu"].objective == "pipeline"
    for text in (done.stdout, run.page.read_text(), run.report.read_text()):
        assert BASIS in text
    # A later command has the options of the training, and does what is left.
    again = command(tmp_path, "src.benchmark", str(folder), "objective=latency")
    assert again.returncode == 0, again.stderr
    assert "measured already" in again.stdout
    known = "all is in serve_test.json" if record.is_complete else "going on from serve_test.json"
    assert known in again.stdout
    decided = run.read_benchmark()
    assert decided.recommendation["cpu"].objective == "latency"
    assert decided.measured_at == results.measured_at
    assert BASIS not in run.report.read_text()
    assert len(list(run.measurements.iterdir())) == 1
