"""``python -m src.predict`` on real exports: the predictions of the evaluation, bit for bit."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from src.backends.base import Unavailable
from src.cli.commands.predict import main
from src.errors import LightshipError, UsageError
from src.predict import exported
from src.predict.options import PredictOptions
from src.run.call_size import EVALUATION_BATCH
from src.run.folder import Run
from src.run.layout import as_dict
from src.worker.process import WorkerProcess
from tests.deployment.conftest import FORMATS, MORE_FORMATS, Evaluation, evaluate

Evaluated = Callable[[str], Evaluation]


def predict(run: Run, *argv: object) -> None:
    """Run the command in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["predict", str(run.folder), *(str(word) for word in argv)])
        main()


@pytest.mark.parametrize("name", FORMATS)
def test_a_prediction_is_bit_for_bit_that_of_the_evaluation(
    run: Run, evaluation: Evaluated, name: str, tmp_path: Path
) -> None:
    expected = evaluation(name)
    row = next(row for row in run.read_benchmark().rows if row.format == name)
    # What is compared with is what the report says.
    right = expected.probabilities.argmax(axis=1) == expected.labels
    assert row.accuracy is not None
    assert right.mean() == row.accuracy.top1
    require_same_bits(run, name, expected, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE_FORMATS)
def test_predictions_of_every_runtime_are_those_of_the_evaluation(
    complete_run: Run, name: str, tmp_path: Path
) -> None:
    require_same_bits(complete_run, name, evaluate(complete_run, name), tmp_path)


def require_same_bits(run: Run, name: str, expected: Evaluation, tmp_path: Path) -> None:
    # Fewer images in another order: the batches are different.
    chosen = np.random.default_rng(0).permutation(len(expected.paths))[:7]
    output = tmp_path / "answers.json"
    paths = [expected.paths[index] for index in chosen]
    predict(run, f"format={name}", *paths, "--output", output)
    answers = json.loads(output.read_text(encoding="utf-8"))
    assert [answer["image"] for answer in answers] == [str(path) for path in paths]
    for answer, index in zip(answers, chosen, strict=True):
        assert answer["top"][0]["class"] == expected.classes[index]
        probabilities = sorted(entry["probability"] for entry in answer["top"])
        assert probabilities == sorted(expected.probabilities[index])  # not one bit off


def test_a_folder_is_predicted_with_the_recommended_file(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path("photos") / "sea"
    broken = tmp_path / "broken.jpg"
    broken.write_bytes((folder / "00.jpg").read_bytes()[:300])
    output = tmp_path / "answers.csv"
    with pytest.raises(UsageError, match=r"broken.jpg: expected an image that Pillow can decode"):
        predict(run, broken, folder, "format=onnx_fp32", "on_error=raise", f"output={output}")
    assert not output.exists()  # nothing was known yet
    with pytest.raises(LightshipError, match=r"^1 of 15 images skipped: .* in .*answers.csv"):
        predict(run, broken, folder, "format=onnx_fp32", f"output={output}")
    capsys.readouterr()
    results = as_dict(run.read_benchmark())
    recommended = results["recommended"]["cpu"]
    run.benchmark.write_text(json.dumps(results | {"recommended": {"cpu": "onnx_fp32"}}))
    try:
        predict(run, broken, folder, "on_error=skip", "top=2", "-o", output)
    finally:
        run.benchmark.write_text(json.dumps(results))
    assert recommended in FORMATS
    printed = capsys.readouterr()
    with output.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [line["image"] for line in lines] == [
        str(broken),
        *(str(path) for path in sorted(folder.iterdir())),
    ]
    assert list(lines[0])[1:] == [
        *("predicted", "probability", "predicted_2", "probability_2", "error")
    ]
    assert "Pillow can decode" in lines[0]["error"]
    assert printed.err.splitlines()[-1] == f"1 of {len(lines)} images skipped"
    first = f"{folder / '00.jpg'}: {lines[1]['predicted']} {float(lines[1]['probability']):.2%}, "
    assert printed.out.startswith(first)
    assert len(printed.out.splitlines()) == len(lines) - 1


def test_a_format_whose_environment_cannot_be_made_is_refused_in_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(*_: object) -> NoReturn:
        raise Unavailable("environments/mnn cannot be installed: uv is not installed; install uv")

    monkeypatch.setattr(exported, "WorkerProcess", unavailable)
    refused = "format: expected one that runs on cpu here; found onnx_fp32: environments/mnn cannot"
    with (
        pytest.raises(UsageError, match=refused),
        exported.open_file(run, PredictOptions(format="onnx_fp32")),
    ):
        pass


def test_a_killed_process_leaves_the_earlier_predictions(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    predict_batch = WorkerProcess.predict

    def killed(self: WorkerProcess, images: np.ndarray) -> np.ndarray:
        nonlocal calls
        calls += 1
        if calls > 1:
            self._process.kill()
        return predict_batch(self, images)

    monkeypatch.setattr(WorkerProcess, "predict", killed)
    output = tmp_path / "answers.json"
    paths = [Path("photos") / "sea" / "00.jpg"] * (EVALUATION_BATCH + 3)
    with pytest.raises(LightshipError, match="onnx_fp32: the worker process ended with SIGKILL"):
        predict(run, *paths, "format=onnx_fp32", "-o", output)
    assert len(json.loads(output.read_text(encoding="utf-8"))) == EVALUATION_BATCH


def test_a_format_that_was_not_exported_is_refused(run: Run) -> None:
    with pytest.raises(
        UsageError, match=r"format: expected one of the exported formats onnx_fp32, "
    ):
        predict(run, "photos", "format=torchscript")


def test_an_unmeasured_run_has_no_recommended_format(run: Run) -> None:
    hidden = run.benchmark.rename(run.folder / "hidden.json")
    try:
        with pytest.raises(UsageError, match=r"format: .*; name one of onnx_fp32, onnx_int8"):
            predict(run, "photos")
    finally:
        hidden.rename(run.benchmark)


@pytest.mark.parametrize("words", [[], ["format=onnx_int8"]])
def test_a_changed_file_is_refused_for_prediction(
    run: Run, tmp_path: Path, words: list[str]
) -> None:
    copy = Run(tmp_path / "version_7")
    shutil.copytree(run.folder, copy.folder)
    name = copy.read_benchmark().recommended["cpu"] if not words else "onnx_int8"
    file = copy.exports / name / "model.onnx"
    other = next(other_name for other_name in FORMATS if other_name != name)
    file.write_bytes((copy.exports / other / "model.onnx").read_bytes())  # which would run
    with pytest.raises(UsageError, match=r"format: .*python -m src\.benchmark"):
        predict(copy, "photos", *words)
