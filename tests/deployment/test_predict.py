"""python -m src.predict on real exports: the answers of the evaluation, bit for bit."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from src.cli.commands.predict import main
from src.errors import LightshipError, UsageError
from src.run.folder import Run
from src.run.layout import as_dict
from src.worker.process import EVALUATION_BATCH, WorkerProcess
from tests.deployment.conftest import FORMATS, MORE_FORMATS, Evaluation, evaluate

Evaluated = Callable[[str], Evaluation]


def predict(run: Run, *argv: object) -> None:
    """The command, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["predict", str(run.folder), *(str(word) for word in argv)])
        main()


@pytest.mark.parametrize("name", FORMATS)
def test_a_picture_has_the_answer_that_evaluation_gave(
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
def test_so_it_has_by_every_runtime(complete_run: Run, name: str, tmp_path: Path) -> None:
    require_same_bits(complete_run, name, evaluate(complete_run, name), tmp_path)


def require_same_bits(run: Run, name: str, expected: Evaluation, tmp_path: Path) -> None:
    # Fewer pictures, in another order: other neighbours, and another number of them.
    chosen = np.random.default_rng(0).permutation(len(expected.paths))[:7]
    output = tmp_path / "answers.json"
    paths = [expected.paths[index] for index in chosen]
    predict(run, f"format={name}", *paths, "--output", output)
    answers = json.loads(output.read_text(encoding="utf-8"))
    assert [answer["image"] for answer in answers] == [str(path) for path in paths]
    for answer, index in zip(answers, chosen, strict=True):
        assert answer["top"][0]["class"] == expected.classes[index]
        found = sorted(each["probability"] for each in answer["top"])
        assert found == sorted(expected.probabilities[index])  # not one bit off


def test_a_folder_is_answered_with_the_recommended_file(
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


def test_a_process_that_is_killed_half_way_leaves_the_answers_before(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    predict_batch = WorkerProcess.predict

    def killed(self: WorkerProcess, images: np.ndarray) -> np.ndarray:
        nonlocal asked
        asked += 1
        if asked > 1:
            self._process.kill()
        return predict_batch(self, images)

    monkeypatch.setattr(WorkerProcess, "predict", killed)
    output = tmp_path / "answers.json"
    pictures = [Path("photos") / "sea" / "00.jpg"] * (EVALUATION_BATCH + 3)
    with pytest.raises(LightshipError, match="onnx_fp32: the worker process ended with SIGKILL"):
        predict(run, *pictures, "format=onnx_fp32", "-o", output)
    assert len(json.loads(output.read_text(encoding="utf-8"))) == EVALUATION_BATCH


def test_what_was_not_exported_is_named(run: Run) -> None:
    with pytest.raises(
        UsageError, match=r"format: expected one of the exported formats onnx_fp32, "
    ):
        predict(run, "photos", "format=torchscript")


def test_a_run_that_was_not_measured_recommends_nothing(run: Run) -> None:
    hidden = run.benchmark.rename(run.folder / "hidden.json")
    try:
        with pytest.raises(UsageError, match=r"format: .*; name one of onnx_fp32, onnx_int8"):
            predict(run, "photos")
    finally:
        hidden.rename(run.benchmark)


@pytest.mark.parametrize("words", [[], ["format=onnx_int8"]])
def test_a_file_that_was_changed_predicts_nothing(
    run: Run, tmp_path: Path, words: list[str]
) -> None:
    copy = Run(tmp_path / "version_7")
    shutil.copytree(run.folder, copy.folder)
    name = copy.read_benchmark().recommended["cpu"] if not words else "onnx_int8"
    file = copy.exports / name / "model.onnx"
    other = next(each for each in FORMATS if each != name)
    file.write_bytes((copy.exports / other / "model.onnx").read_bytes())  # which would run
    with pytest.raises(UsageError, match=r"format: .*python -m src\.benchmark"):
        predict(copy, "photos", *words)
