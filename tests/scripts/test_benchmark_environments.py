"""The table of formats with an environment of their own, from planted measurements."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from src.errors import UsageError
from src.run.folder import Run
from tests.conftest import ROOT
from tests.report.pages import record
from tests.report.planted import FAILED, latency, results, row


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "scripts"))
        import benchmark_environments

        yield benchmark_environments


def test_the_table_has_every_file_the_fastest_first_and_the_reasons_below(
    script: ModuleType,
) -> None:
    shaken = latency(1, 0.004, stable=False, unstable=["busy"])
    rows = [
        row("onnx_fp32", latency=[latency(1, 0.008)]),
        row(
            "mnn",
            latency=[shaken],
            verdict="same",
            effective={"runtime": "MNN 3.6.1-22982-e213a147257-releases/2026/4"},
        ),
        row("onnx_fp32", device="browser", latency=[latency(1, 0.001)]),
        row(
            "ncnn", **FAILED | {"status": "skipped", "files": [], "reason": "no layer | for Gather"}
        ),
    ]
    content = results(*rows) | {"baseline": "onnx_fp32"}
    content["recommendation"]["cpu"] |= {"format": "mnn", "equals": ["onnx_fp32"]}
    content["recommended"]["cpu"] = "mnn"
    text = "\n".join(script.page_lines([record(content)]))
    assert "| planted | `mnn` | 12.3 | same network | 4.00 ~busy | 2.00 [1.90, 2.10] |\n" in text
    assert "| planted | `onnx_fp32` | 12.3 | inconclusive | 8.00 | 1 |\n" in text
    assert "| planted | `ncnn` | - | skipped: no layer \\| for Gather | - | - |\n" in text
    places = [text.index(f"| planted | `{name}` |") for name in ("mnn", "onnx_fp32", "ncnn")]
    assert places == sorted(places)
    assert "1.00" not in text  # the page in a browser is another destination
    recommended = "- planted: recommended is `mnn`, from which `onnx_fp32` cannot be told apart."
    assert recommended in text
    assert "Measured 2026-01-02 on a CPU" in text
    assert text.endswith("Runtimes: fast 1.0, MNN 3.6.1.")


def test_a_copy_has_no_exports_and_is_found_again(script: ModuleType, tmp_path: Path) -> None:
    run = tmp_path / "logs" / "resnet34" / "version_3"
    for name in ("checkpoints/best.ckpt", "config.yaml", "exports/mnn/model.mnn", "benchmark.json"):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(name)
    root = tmp_path / "root"
    copy = script.copy_of(Run(run), root)
    shutil.rmtree(copy.folder)
    copy.folder.with_name("version_3.part").mkdir()  # of a command that was killed
    assert script.copy_of(Run(run), root).folder == copy.folder
    assert copy.folder.parent.name.startswith("resnet34-")
    assert sorted(path.name for path in copy.folder.iterdir()) == ["checkpoints", "config.yaml"]
    assert (run / "exports" / "mnn" / "model.mnn").is_file()
    (copy.folder / "benchmark.json").write_text("made here")
    assert script.copy_of(Run(run), root).benchmark.read_text() == "made here"
    other = tmp_path / "other" / "resnet34" / "version_3"
    shutil.copytree(run, other)
    assert script.copy_of(Run(other), root).folder != copy.folder
    (run / "checkpoints" / "best.ckpt").write_text("trained further")
    assert script.copy_of(Run(run), root).folder != copy.folder


@pytest.mark.parametrize("argv", [["nowhere"], ["--write", "nowhere"]])
def test_a_run_without_a_checkpoint_is_refused_before_anything_is_made(
    argv: list[str], script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmark_environments.py", *argv, f"--root={tmp_path}"])
    before = script.PAGE.read_text(encoding="utf-8")
    with pytest.raises(UsageError):
        script.main()
    assert list(tmp_path.iterdir()) == []
    assert script.PAGE.read_text(encoding="utf-8") == before


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (
            "export:\n  calibration_images: 7\n  judging_images: 0\n  input: uint8\n",
            (7, 0, "uint8"),
        ),
        ("export:\n  calibration_images: 7\n  formats: [eager]\n", (7, 256, "float")),
        ("export: null\n", (128, 256, "float")),
        ("model: {}\n", (128, 256, "float")),
    ],
)
def test_a_copy_is_exported_with_the_images_and_the_input_of_its_training(
    stored: str, expected: tuple[int, int, str], script: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text(stored)
    options = script.export_options(Run(tmp_path), ["onnx_fp32", "mnn"], 0.02)
    assert (options.calibration_images, options.judging_images, options.input) == expected
    assert (options.formats, options.max_accuracy_drop) == (["onnx_fp32", "mnn"], 0.02)
