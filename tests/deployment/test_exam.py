"""The exam of a bundle: taken elsewhere without torch, it finds another file or runtime."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from src.bundle import exam_check, exam_images
from src.bundle.options import BundleOptions
from src.compare.collection import collect, exams_among
from src.compare.comparison import Comparison
from src.data.restore import data_of
from src.data.stratified import stratified
from src.errors import UsageError
from src.run import exam
from src.run.accuracy import Flip
from src.run.folder import Run
from src.run.row import Row
from src.shipped import accuracy, exam_files, file_hash, latencies, measure
from src.shipped.answers import Answers
from src.shipped.exam_files import Exam, ExamError
from src.shipped.measure import Sessions
from src.shipped.model_process import logits_of
from src.shipped.session import Session
from src.shipped.stages import STAGES
from tests.deployment.conftest import Evaluation
from tests.deployment.test_bundle import bundled, classify
from tests.support import planted_exam

Evaluated = Callable[[str], Evaluation]


@pytest.fixture(scope="module")
def bundle(run: Run, started_in: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with an exam of all test images."""
    output = tmp_path_factory.mktemp("exam") / "model.zip"
    return bundled(run, output, "format=onnx_fp32", "exam=512")


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    return shutil.copytree(bundle, tmp_path / "copy")


def take(folder: Path) -> Answers:
    """The answers of a bundle here, as ``predict.py --exam`` gets them."""
    taken = exam_files.read(folder)
    sessions = Sessions(folder, 0, 1.0, {"threads": 1}, lambda _: None)
    return Answers.of(taken, *sessions.answers())


def change_model(folder: Path, change: Callable[[onnx.ModelProto], None]) -> None:
    path = folder / "model.onnx"
    model = onnx.load(path)
    change(model)
    onnx.save(model, path)


def pass_for_packed(folder: Path) -> None:
    """Let the exam take a changed model for the packed one."""
    facts = json.loads((folder / "exam" / "exam.json").read_text())
    facts["model_files"] = {"model.onnx": file_hash.sha256_of(folder / "model.onnx")}
    (folder / "exam" / "exam.json").write_text(json.dumps(facts))


def change_program(folder: Path, before: str, after: str) -> None:
    """Change the bundle's program, wherever in it the line is."""
    changed = 0
    for path in folder.glob("*.py"):
        text = path.read_text()
        changed += text.count(before)
        path.write_text(text.replace(before, after))
    assert changed, before


def test_the_exam_is_the_test_images_with_the_files_own_answers(
    bundle: Path, evaluation: Evaluated
) -> None:
    taken, expected = exam_files.read(bundle), evaluation("onnx_fp32")
    assert sorted(taken.positions) == list(range(len(expected.labels)))
    assert np.array_equal(taken.labels, expected.labels[taken.positions])
    files = [expected.paths[position].read_bytes() for position in taken.positions]
    assert files == taken.contents()
    exponentials = np.exp(taken.answers.astype(np.float64))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    assert np.allclose(probabilities, expected.probabilities[taken.positions], atol=1e-12)
    assert taken.baseline == "onnx_fp32"
    assert taken.reference is not None
    assert np.array_equal(taken.reference, taken.answers)


def test_the_arrays_of_an_exam_have_no_time(bundle: Path) -> None:
    with zipfile.ZipFile(bundle / "exam" / "answers.npz") as arrays:
        assert {member.date_time[0] for member in arrays.infolist()} == {1980}


@pytest.mark.slow
def test_a_bundle_with_an_exam_is_reproducible_byte_for_byte(
    run: Run, bundle: Path, tmp_path: Path
) -> None:
    time.sleep(max(0.0, 2.1 - (time.time() - bundle.stat().st_ctime)))  # a zip file's clock
    bundled(run, tmp_path / "model.zip", "format=onnx_fp32", "exam=512")
    assert (tmp_path / "model.zip").read_bytes() == bundle.with_suffix(".zip").read_bytes()


def test_the_exam_is_taken_and_written_without_torch(
    run: Run, bundle: Path, tmp_path: Path
) -> None:
    output = tmp_path / "measurement.json"
    before = sorted(bundle.rglob("*"))
    ended = classify(bundle, "--exam", "--seconds", "0.1", "--output", output)
    assert ended.returncode == 0, ended.stderr
    new = [path for path in bundle.rglob("*") if path not in before]
    assert not [path for path in new if "__pycache__" not in path.parts]
    lines = ended.stdout.splitlines()
    assert 12 <= len(lines) <= 15
    # 13 images are no proof of the same network.
    assert "result: no answer flips here, on too few images to tell more" in lines
    assert os.listdir(tmp_path) == ["measurement.json"]  # noqa: PTH208
    record = exam.read(output)
    assert record.holds
    assert record.is_packed_file
    assert record.row.verdict == "inconclusive"
    assert record.answers.max_abs_logit_diff <= 1e-5
    assert record.row.latency[0].processes == 2
    assert record.row.latency[0].rounds == 6
    assert record.pipeline is not None
    assert record.pipeline.stages["decode"].mean_s > 0
    assert record.pipeline.files == 13  # of four rounds
    total = sum(stage.mean_s for stage in record.pipeline.stages.values())
    assert total == pytest.approx(record.pipeline.whole.mean_s, rel=0.03)
    assert record.row.latency[0].peak_memory is not None
    assert (record.row.latency[0].peak_memory.peak_rss_bytes or 0) > 1e6
    assert record.same_file_twice is not None
    assert record.same_file_twice.processes == 1
    comparison = Comparison.of(collect([str(run.folder)]), 1, None, exams_among([str(output)]))
    assert ": no answer flips there of 13 images" in comparison.answers()[0]
    assert comparison.answers()[0].endswith("the file is the run's.")
    assert len({testbed.processor for testbed in comparison.testbeds}) == 1


def test_an_exam_of_answers_has_no_speed_and_is_compared(
    run: Run, bundle: Path, tmp_path: Path
) -> None:
    output = tmp_path / "measurement.json"
    ended = classify(bundle, "--exam", "--answers", "--images", "5", "--output", output)
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert ", 5 of 13 images of " in lines[0]
    assert "speed and memory: not measured" in lines
    assert lines[-2].startswith("result: no answer flips here")
    assert not re.search(r"\d ms|MB", ended.stdout)
    record = exam.read(output)
    assert record.holds
    assert (record.row.verdict, record.answers.images) == ("inconclusive", 5)
    assert record.cell is record.pipeline is record.call_seconds is None
    assert record.row.load_seconds is record.row.first_inference_seconds is None
    values = json.loads(output.read_text())
    output.write_text(json.dumps(values | {"schema_version": 1}))
    with pytest.raises(UsageError, match=r"rows\[0\].latency"):
        exam.read(output)
    output.write_text(json.dumps(values))
    taken = exams_among([str(output)])
    comparison = Comparison.of(collect([str(run.folder)]), None, 1.0, taken)
    first, *_ = comparison.answers()
    assert ": no answer flips there of 5 images, which are too few to tell more;" in first
    assert first.endswith("; its speed there was not measured; the file is the run's.")
    assert all("exam" not in candidate.run for candidate in comparison.rows())
    with pytest.raises(UsageError, match="RUN: expected a run, or an exam with times"):
        Comparison.of([], None, None, taken)


def test_the_exam_refuses_a_wrong_command_in_one_line(bundle: Path, tmp_path: Path) -> None:
    for words, told in (
        (["--seconds", "0"], "--seconds: expected a number above 0"),
        (["--output", tmp_path / "no" / "x.json"], "is no folder"),
        (["--surprise"], "unrecognized arguments"),
    ):
        ended = classify(bundle, "--exam", *words)
        assert ended.returncode == 2
        assert told in ended.stderr.splitlines()[-1]


def swap_class_names(model: onnx.ModelProto) -> None:
    (entry,) = [entry for entry in model.metadata_props if entry.key == "class_names"]
    names = json.loads(entry.value)
    entry.value = json.dumps([names[1], names[0], *names[2:]])


def last_layer(model: onnx.ModelProto) -> Any:
    """The bias of the last layer, (K,)."""
    classes = len(
        json.loads(
            next(entry.value for entry in model.metadata_props if entry.key == "class_names")
        )
    )
    return next(
        tensor for tensor in reversed(model.graph.initializer) if list(tensor.dims) == [classes]
    )


def flip_bit(model: onnx.ModelProto, bit: int) -> None:
    tensor = last_layer(model)
    values = numpy_helper.to_array(tensor).copy()
    # The largest one: after a short training others are so small that no answer depends on them.
    values.view(np.uint32)[np.abs(values).argmax()] ^= np.uint32(1 << bit)
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def swap_outputs(model: onnx.ModelProto) -> None:
    """Exchange the first two logits behind the network."""
    names = {entry.key: entry.value for entry in model.metadata_props}
    order = np.arange(len(json.loads(names["class_names"])))
    order[:2] = (1, 0)
    (output,) = model.graph.output
    inner = f"{output.name}_before"
    for node in model.graph.node:
        for place, name in enumerate(node.output):
            if name == output.name:
                node.output[place] = inner
    model.graph.initializer.append(numpy_helper.from_array(order, "swapped_order"))
    model.graph.node.append(
        onnx.helper.make_node("Gather", [inner, "swapped_order"], [output.name], axis=1)
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (swap_class_names, "the model's class 0 is"),
        (swap_outputs, "a probability differs by"),
        (lambda model: flip_bit(model, 29), "a probability differs by"),
    ],
    ids=["class names", "outputs", "a weight's exponent"],
)
def test_another_model_is_found_by_its_bytes_and_by_its_answers(
    copy: Path, change: Callable[[onnx.ModelProto], None], told: str
) -> None:
    change_model(copy, change)
    assert exam_files.read(copy).changed_files() == ["model.onnx"]
    pass_for_packed(copy)
    first, *others = take(copy).problems
    assert told in first
    # Two swapped outputs may cost more than the budget as well: it depends on the answers.
    assert all(problem.startswith("top-1 is ") for problem in others)


def test_the_lowest_bit_of_a_weight_is_found_by_the_bytes(copy: Path) -> None:
    change_model(copy, lambda model: flip_bit(model, 0))
    taken = exam_files.read(copy)
    answers = Answers.of(taken, taken.answers, taken.class_names)
    assert answers.problems == ["model.onnx is another file than was packed"]


def test_another_filter_of_the_resizing_is_found_by_the_answers(copy: Path) -> None:
    change_program(copy, "Image.Resampling.BILINEAR", "Image.Resampling.NEAREST")
    (problem,) = take(copy).problems
    assert problem.startswith("a probability differs by")


def test_a_runtime_that_rounds_otherwise_is_found_by_the_logits(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accuracy, "LEAST_SAME", 1)  # the run has few test images
    change_program(copy, "wide: Array = answer.astype", "wide: Array = coarse(answer).astype")
    text = (copy / "predict.py").read_text()
    coarse = "\n\ndef coarse(answer):\n    return answer.astype('float16')\n\n\nif __name__"
    (copy / "predict.py").write_text(text.replace("\n\nif __name__", coarse))
    answers = take(copy)
    assert answers.drift.beyond_rounding > 0
    assert answers.verdict != "same"


@pytest.mark.slow
def test_an_exam_of_arrays_holds_and_shows_no_image_file(run: Run, tmp_path: Path) -> None:
    folder = bundled(
        run, tmp_path / "model.zip", "format=onnx_int8", "exam=8", "exam_content=tensors"
    )
    assert sorted(path.name for path in (folder / "exam").iterdir()) == [
        "answers.npz",
        "exam.json",
        "inputs.npz",
    ]
    answers = take(folder)
    assert not answers.problems
    assert answers.home.flips == answers.drift.beyond_rounding == 0
    assert answers.reference is not None


@pytest.mark.slow
def test_the_speed_of_an_exam_of_arrays_has_no_pipeline(run: Run, tmp_path: Path) -> None:
    words = ("format=onnx_fp32", "exam=8", "exam_content=tensors")
    folder = bundled(run, tmp_path / "model.zip", *words)
    output = tmp_path / "measurement.json"
    ended = classify(folder, "--exam", "--seconds", "0.1", "--output", tmp_path)
    assert ended.returncode == 0, ended.stderr
    record = exam.read(output)
    assert record.pipeline is None
    assert record.row.pipeline_reason == "the exam has arrays and no image files"
    assert "from file to label: not timed, the exam has arrays" in ended.stdout
    assert record.row.latency[0].samples > 10


@pytest.mark.slow
def test_the_exam_of_a_file_with_its_preprocessing_inside_holds(run: Run, tmp_path: Path) -> None:
    folder = bundled(run, tmp_path / "model.zip", "format=onnx_fp32", "embedded=true", "exam=6")
    answers = take(folder)
    assert not answers.problems
    assert answers.drift.beyond_rounding == 0
    assert answers.reference_drift is not None
    assert answers.reference_drift.probability < 1e-2
    with pytest.raises(UsageError, match="exam_content: expected images with embedded=true"):
        BundleOptions("model.zip", embedded=True, exam_content="tensors")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("answers.npz", b"", "answers.npz is another file than was packed"),
        ("exam.json", b"{", "exam: "),
        ("exam.json", b"[]", "exam: "),
        ("exam.json", b'{"schema_version": 2, "hashes": {}}', "schema_version 2 instead of 1"),
        ("000.jpg", b"x", "000.jpg is another file than was packed"),
        (None, b"", "no exam/exam.json here"),
    ],
)
def test_a_damaged_exam_is_one_line(
    copy: Path, name: str | None, content: bytes, told: str
) -> None:
    if name is None:
        shutil.rmtree(copy / "exam")
    else:
        [path] = [*(copy / "exam").glob(f"{Path(name).stem}.*")]
        path.write_bytes(content)
        told = told.replace("000.jpg", path.name)
    with pytest.raises(ExamError) as caught:
        exam_files.read(copy)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_that_cannot_be_opened_is_one_line(copy: Path) -> None:
    (copy / "model.onnx").write_bytes(b"no model")
    ended = subprocess.run(
        [sys.executable, copy / "predict.py", "--exam"],
        capture_output=True,
        text=True,
        cwd=copy,
        check=False,
    )
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: load: ")
    assert not (copy / "measurement.json").exists()


def test_images_are_chosen_by_class_in_proportion_and_the_same_each_time(run: Run) -> None:
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    order = stratified(labels)
    assert sorted(order.tolist()) == list(range(1000))
    assert np.array_equal(order, stratified(labels))
    for count in (10, 50, 64, 500):
        counts = np.bincount(labels[order[:count]], minlength=3)
        assert np.abs(counts - count * np.array([0.6, 0.3, 0.1])).max() <= 1.5
    test = data_of(run).dataset("test")
    few, whole = (exam_images.chosen(test, count) for count in (5, 512))
    assert len(few.positions) == len(few.contents) == 5
    assert few.positions == whole.positions[:5]


def test_a_last_batch_is_filled_up_with_its_last_image(tmp_path: Path) -> None:
    """A runtime may take other kernels for another number of images."""
    batches = []

    class Summing:
        def logits(self, images: list[Any]) -> Any:
            batches.append([float(image) for image in images])
            return np.array([[float(image), 0.0] for image in images])

    session = Session.__new__(Session)
    session._exam = planted_exam.exam(tmp_path, batch=4, content="tensors")
    session._tensors = [np.float32(number) for number in range(6)]
    session._model = Summing()
    session._exam = dataclasses.replace(session._exam, labels=np.zeros(6))
    first, last = session.batch(start=0), session.batch(start=4)
    assert batches == [[0, 1, 2, 3], [4, 5, 5, 5]]
    assert (first["left"], last["left"]) == (2, 0)
    logits = np.concatenate([logits_of(first), logits_of(last)])
    assert logits[:, 0].tolist() == [0, 1, 2, 3, 4, 5]


class Planted:
    """Answers of the shape that a process of an exam gives; a warm-up of files may stay cold."""

    fails, is_warm = False, True
    asked: list[tuple[str, dict[str, Any]]]  # of all processes

    def __init__(self, folder: Path) -> None:
        pass

    def ask(self, name: str, **request: Any) -> dict[str, Any]:
        type(self).asked.append((name, request))
        if name == "pipeline" and self.fails:
            raise ExamError("the stages miss the whole by 9.0% of its time")
        calls = len(request.get("files", [0]))
        timed = {
            "seconds": [0.001] * calls,
            "elapsed_seconds": 0.001 * calls,
            "cpu_seconds": 0.001 * calls,
            "settled": True,
            "request_cpu_seconds": 0.001,
        }
        return {
            "load": {
                "load_seconds": 0.1,
                "first_seconds": 0.1,
                "takes_pixels": False,
                "nice": 0,
            },
            "peak": {"bytes": 10**6},
            "warm_up": {"warm": True, "settled": True},
            "warm_up_files": {"warm": self.is_warm, "settled": True},
            "time": timed,
            "pipeline": {**timed, "stages": {stage: [0.0002] * calls for stage in STAGES}},
        }[name]

    def close(self) -> None:
        pass


def sessions(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, files: int = 4, **planted: bool
) -> measure.Measurement:
    """Return the measurement of planted processes, whose clock is planted too."""
    process = type("PlantedNow", (Planted,), {"asked": [], **planted})
    monkeypatch.setattr(measure, "Process", process)
    clock = iter(range(10**6))
    return Sessions(
        bundle, files, 20.0, {"threads": 1}, lambda _: None, clock=lambda: float(next(clock))
    ).run()


@pytest.mark.parametrize("is_warm", [True, False])
def test_the_pipelines_of_an_exam_are_warmed_up_in_each_process_and_count_each_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_warm: bool
) -> None:
    measured = sessions(tmp_path, monkeypatch, files=10, is_warm=is_warm)
    assert measured.pipeline_warm == is_warm
    asked = [entry for entry in measure.Process.asked if "files" in entry[1]]  # type: ignore[attr-defined]
    started = measured.loaded
    assert [name for name, _ in asked].count("warm_up_files") == len(started)
    per_session = ["warm_up_files"] * 2 + ["pipeline"] * 2 * measure.PIPELINE_ROUNDS
    assert [name for name, _ in asked] == per_session * (len(started) // 2)
    assert asked[0][1]["files"] == asked[2][1]["files"] == [0, 1, 2, 3]
    assert [turn.files for turn in measured.pipelines.values()] == [
        request["files"] for name, request in asked if name == "pipeline"
    ]
    assert measured.pipelines[4].files == [8, 9, 0, 1]
    cold = latencies.cell(measured.pipelines, warm=measured.pipeline_warm)
    assert ("cold" in cold["unstable"]) == (not is_warm)
    # The rounds of calls have used the time of the session, but not that of this warm-up.
    limits = [request["max_seconds"] for name, request in asked if name == "warm_up_files"]
    assert min(limits) > 0
    first = limits[0] / measure.PIPELINE_WARMUP_SHARE  # the time of a session
    assert 0.8 * 20 / measure.PROCESSES < first <= 20 / measure.PROCESSES
    assert cold["p90_s"] is None  # of ten files


def test_a_pipeline_that_fails_costs_no_other_figure(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = sessions(bundle, monkeypatch, fails=True)
    assert measured.pipeline_reason == "the stages miss the whole by 9.0% of its time"
    assert not measured.pipelines
    processes = len(measured.loaded) // 2
    assert 1 < processes < measure.PROCESSES  # the time was up
    assert len(measured.merged) >= 2 * measure.LEAST_ROUNDS * processes
    assert len({turn.process for turn in measured.merged.values()}) == 2 * processes


def test_an_exam_is_bounded_in_bytes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    test = data_of(run).dataset("test")
    whole = exam_images.chosen(test, 512)
    monkeypatch.setattr(exam_images, "MOST_BYTES", sum(map(len, whole.contents)) // 2)
    part = exam_images.chosen(test, 512)
    assert 1 < len(part.positions) < len(whole.positions)
    assert sum(map(len, part.contents)) <= exam_images.MOST_BYTES
    for count in (-1, 513):
        with pytest.raises(UsageError, match="exam: expected a number of images from 0 to 512"):
            BundleOptions("model.zip", exam=count)
    with pytest.raises(UsageError, match="exam_content: expected an exam"):
        BundleOptions("model.zip", exam=0, exam_content="tensors")


def test_no_image_of_the_data_leaves_unasked() -> None:
    assert BundleOptions("model.zip").exam_images == 64
    assert BundleOptions("model.zip", test_image="mine.png").exam_images == 0
    assert BundleOptions("model.zip", test_image="mine.png", exam=8).exam_images == 8


def test_answers_that_are_not_the_measured_ones_are_not_packed(
    run: Run, bundle: Path, evaluation: Evaluated
) -> None:
    taken: Exam = exam_files.read(bundle)
    results = run.read_benchmark()
    row = results.row("onnx_fp32", "cpu")
    assert row is not None
    assert row.accuracy is not None
    assert row.accuracy.paired is not None
    images = exam_images.chosen(data_of(run).dataset("test"), 512)
    first = images.positions[0]

    def check(answers: Any, row: Row = row, reference: Any = taken.reference) -> None:
        exam_check.require_measured_answers(results, row, images, answers, reference, 1e-3)

    def measured(**flip: int) -> Row:
        """The row, measured with a flip of the first image."""
        assert row.accuracy is not None
        paired = msgspec.structs.replace(
            row.accuracy.paired, flips=[Flip(position=first, before=0, **flip)]
        )
        return msgspec.structs.replace(
            row, accuracy=msgspec.structs.replace(row.accuracy, paired=paired)
        )

    check(taken.answers)
    label, answer = int(taken.labels[0]), int(taken.answers[0].argmax())
    check(taken.answers, measured(true=label, after=answer))
    with pytest.raises(UsageError, match=r"another class for \d+ of \d+ images"):
        check(50 * np.roll(taken.answers, 1, axis=1))
    with pytest.raises(UsageError, match=rf"another class for 1 of .* test image {first}\b"):
        check(50 * taken.answers, measured(true=label, after=(answer + 1) % 3), reference=None)
    with pytest.raises(UsageError, match="the labels of the measurement"):
        check(taken.answers, measured(true=(label + 1) % 3, after=answer))
    fewer = exam_images.ExamImages(
        images.contents, images.names, images.labels, images.positions, images.available + 1
    )
    with pytest.raises(UsageError, match="test images of the measurement"):
        exam_check.require_measured_answers(results, row, fewer, taken.answers, None, 1e-3)


@pytest.mark.slow
def test_a_sound_file_passes_a_hundred_times(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accuracy, "LEAST_SAME", 1)  # the run has few test images
    for _ in range(100):
        answers = take(bundle)
        assert not answers.problems
        assert answers.home.flips == answers.drift.beyond_rounding == 0
        assert answers.verdict == "same"
