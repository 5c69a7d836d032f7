"""The measurement of an exam beside the run that its file came from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from src.compare import __main__ as command
from src.compare.candidate import Candidate
from src.compare.collection import collect, exams_among
from src.compare.comparison import Comparison
from src.compare.page import charts, html_page, markdown_page
from src.errors import UsageError
from src.shipped import exam_record
from tests.compare.test_comparison import file, keep
from tests.report.planted import embedded, latency, pipeline, results, row
from tests.support import planted_exam


def run_of(folder: Path, sha256: str | None = None) -> Path:
    """A run whose onnx_fp32 is the file of the planted exam."""
    taken = planted_exam.exam(folder)
    measured = file("onnx_fp32", 0.0025, 0.98, verdict="same")
    measured["sha256"] = {"model.onnx": sha256 or taken.model_files["model.onnx"]}
    return keep(folder, "planted", results(file("eager", 0.008, 0.98), measured))


def taken_exam(folder: Path, name: str = "measurement.json", **changes: Any) -> Path:
    values = planted_exam.record(folder, **changes)
    values["environment"] |= {"cpu": "another CPU", "isa": ["AVX2"], "threads": 2}
    (folder / name).write_text(json.dumps(values))
    return folder / name


def compared(run: Path, *exams: Path, seconds: float | None = None) -> Comparison:
    return Comparison.of(
        collect([str(run)]), None, seconds, exams_among([str(path) for path in exams])
    )


def rewritten(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The measurement of an exam with a change."""
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
    return path


def there(comparison: Comparison) -> Candidate:
    """The row of the exam's machine."""
    (row,) = [row for row in comparison.rows() if row.testbed.processor.startswith("another")]
    return row


def test_an_exam_is_a_row_of_its_own_testbed_and_holds_there(tmp_path: Path) -> None:
    comparison = compared(run_of(tmp_path), taken_exam(tmp_path))
    assert {str(testbed) for testbed in comparison.testbeds} == {
        "a CPU, 2 threads",
        "another CPU (AVX2), 2 threads",
    }
    assert there(comparison).run == "planted/version_0, exam"
    assert there(comparison).test_set.images == 64
    (told,) = comparison.answers()
    assert told.startswith(
        "onnx_fp32 of planted/version_0 on another CPU (AVX2), 2 threads: holds there: no answer "
        "flips of 64 images, and the logits are the same within rounding; p50 2.0"
    )
    assert told.endswith("ms there, 2.50 ms in the run; the file is the run's.")


def test_several_exams_of_one_network_are_no_choice_by_the_test_images(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    one, two = taken_exam(tmp_path, "one.json"), taken_exam(tmp_path, "two.json")
    told = compared(run, one, two, seconds=0.01).answers()
    assert any("exam 1" in answer or "exam 2" in answer for answer in told)
    assert not any("expect a little less" in answer for answer in told)

    def other_network(values: dict[str, Any]) -> None:
        values["checkpoint_sha256"] = "another"

    told = compared(run, one, rewritten(two, other_network), seconds=0.01).answers()
    (answer,) = [answer for answer in told if "expect a little less" in answer]
    assert "the most accurate of 2 runs" in answer


def test_an_exam_that_reaches_the_limit_is_not_told_to_have_more_processes(tmp_path: Path) -> None:
    path = taken_exam(tmp_path)
    p50 = json.loads(path.read_text())["rows"][0]["latency"][0]["p50_s"]
    told = compared(run_of(tmp_path), path, seconds=1.0001 * p50).answers()
    (answer,) = [answer for answer in told if "reaches the limit" in answer]
    assert "ms reaches the limit: an exam tells no more." in answer


def test_an_exam_of_few_images_holds_nothing(tmp_path: Path) -> None:
    (told,) = compared(run_of(tmp_path), taken_exam(tmp_path, images=29)).answers()
    assert ": no answer flips there of 29 images, which are too few to tell more; p50" in told


def test_flips_there_are_told_with_the_first_reason(tmp_path: Path) -> None:
    comparison = compared(run_of(tmp_path), taken_exam(tmp_path, flips=2))
    (told,) = comparison.answers()
    assert "2 flips there of 64 images; does not hold there: a probability differs by" in told


def test_a_file_of_no_run_is_told_and_exams_alone_are_compared(tmp_path: Path) -> None:
    (told,) = compared(run_of(tmp_path, "other"), taken_exam(tmp_path)).answers()
    assert told.endswith("ms there; no run of this comparison measured that file.")
    one, two = taken_exam(tmp_path, "one.json"), taken_exam(tmp_path, "two.json", flips=1)
    alone = Comparison.of([], None, None, exams_among([str(one), str(two)]))
    assert len(alone.answers()) == len({row.key for row in alone.rows()}) == 2


def test_the_command_writes_the_pages_and_a_damaged_file_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, path = run_of(tmp_path), taken_exam(tmp_path)
    command.main([str(run), str(path)])
    page = (tmp_path / "planted" / "comparison.html").read_text()
    assert "holds there" in page
    assert "holds there" in (tmp_path / "planted" / "comparison.md").read_text()
    with pytest.raises(UsageError, match="RUN: expected runs with --max-slowdown"):
        command.main([str(run), str(path), "--max-slowdown", "5%"])
    content = path.read_text()
    for damaged in (content[: len(content) // 2], content.replace('"p50_s"', '"p_s"'), "hello"):
        path.write_text(damaged)
        with pytest.raises(UsageError, match=r"measurement\.json: expected") as caught:
            command.main([str(run), str(path)])
        assert "\n" not in str(caught.value)


OTHER_BYTES = {"model.onnx": "f" * 64}


@pytest.mark.parametrize(
    "change",
    [
        lambda values: values.update(problems=["the model has 9 classes instead of 10"]),
        lambda values: values["rows"][0].update(sha256=OTHER_BYTES),  # told by no problem
    ],
)
def test_a_file_that_does_not_hold_there_is_neither_recommended_nor_on_the_front(
    tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    run = run_of(tmp_path)
    sound = compared(run, taken_exam(tmp_path), seconds=0.01)
    assert sound.answers()[-1].endswith("(planted/version_0, exam).")
    assert there(sound).key in sound.on_front
    comparison = compared(run, rewritten(taken_exam(tmp_path), change), seconds=0.01)
    told, *_, answer = comparison.answers()
    assert there(comparison).row.verdict == "same"
    assert "; does not hold there: the model" in told
    assert "nothing that keeps its accuracy budget; the fastest is planted as onnx_fp32" in answer
    assert answer.endswith("which does not hold there.")
    assert there(comparison).key not in comparison.on_front
    words = [chart.description for chart in charts(comparison)]
    assert sum("On the Pareto front: none." in told for told in words) == 1
    assert "A file that does not hold at its exam is not on the front." in comparison.notes()


def test_an_exam_that_is_judged_by_another_budget_than_the_run_is_named_with_it(
    tmp_path: Path,
) -> None:
    path = rewritten(
        taken_exam(tmp_path), lambda record: record.update({"max_accuracy_drop": 0.05})
    )
    notes = " ".join(compared(run_of(tmp_path), path).notes())
    assert "planted/version_0, exam: 5 points" in notes
    assert "planted/version_0: 1 point;" in notes


def test_the_baseline_of_an_exam_is_judged_like_any_file(tmp_path: Path) -> None:
    path = taken_exam(tmp_path, format="eager", reference=None)
    comparison = compared(run_of(tmp_path), path, seconds=0.01)
    assert there(comparison).row.verdict is None
    assert "nothing that keeps its accuracy budget" in comparison.answers()[-1]


def test_the_file_is_the_runs_only_with_the_same_hash_under_the_same_name(tmp_path: Path) -> None:
    path = taken_exam(tmp_path)
    values = json.loads(path.read_text())
    files = {"other.onnx": values["packed_files"]["model.onnx"]}
    rewritten(path, lambda values: values["rows"][0].update(sha256=files))
    rewritten(path, lambda values: values.update(packed_files=files))
    (told,) = compared(run_of(tmp_path), path).answers()
    assert told.endswith("no run of this comparison measured that file.")


@pytest.mark.parametrize(
    ("batch", "sizes", "remedy"),
    [
        (8, (1, 8), "exams are timed at batch size 1: leave out --batch"),
        (None, (4, 8), "at batch size 1: measure every run at it too, with benchmark.batch_sizes"),
    ],
)
def test_a_batch_size_that_no_exam_has_is_refused_with_a_remedy_that_helps(
    tmp_path: Path, batch: int | None, sizes: tuple[int, ...], remedy: str
) -> None:
    timed = [latency(size, 0.01) for size in sizes]
    runs = collect([str(keep(tmp_path, "one", results(row("eager", latency=timed))))])
    exams = exams_among([str(taken_exam(tmp_path))])
    with pytest.raises(UsageError, match="--batch: expected") as caught:
        Comparison.of(runs, batch, None, exams)
    assert str(caught.value).endswith(remedy)


def test_a_file_that_takes_pixels_is_named_so_wherever_it_is_named(tmp_path: Path) -> None:
    pixels = file("onnx_int8", 0.002, 0.98) | {"input": exam_record.PIXELS}
    run = keep(tmp_path, "small", results(file("eager", 0.008, 0.98), pixels))
    changed = taken_exam(tmp_path)
    rewritten(changed, lambda values: values["rows"][0].update(input=exam_record.PIXELS))
    comparison = compared(run, changed, seconds=0.01)
    named = {candidate.name for candidate in comparison.rows()}
    assert named == {
        "small as eager",
        "small as onnx_int8, uint8 input",
        "planted as onnx_fp32, uint8 input",
    }
    told, *answers = comparison.answers()
    assert told.startswith("onnx_fp32, uint8 input of planted/version_0 on")
    assert sum("uint8 input, p50" in answer for answer in answers) == 2
    assert "| small as onnx_int8, uint8 input |" in markdown_page(comparison)
    words = " ".join(chart.description for chart in charts(comparison))
    assert "small as onnx_int8, uint8 input: 2.00 ms" in words


def test_a_file_with_its_preprocessing_inside_is_named_so_and_not_ranked(tmp_path: Path) -> None:
    # It is the fastest by far, of the same machine and images as the file without.
    fast = taken_exam(tmp_path, "inside.json", embedded=True, seconds=0.0001)
    comparison = compared(run_of(tmp_path), taken_exam(tmp_path), fast, seconds=1.0)
    (inside,) = [row for row in comparison.rows() if row.embedded]
    assert inside.name == "planted as onnx_fp32_embedded"
    (group,) = [group for group in comparison.groups.values() if inside in group]
    assert [row.key in comparison.on_front for row in group] == [False, True]
    assert inside.holds
    assert not inside.keeps_budget
    assert "uint8" not in markdown_page(comparison)
    _, told, *answers = comparison.answers()
    assert told.startswith("onnx_fp32_embedded of planted/version_0 on")
    assert sum("planted as onnx_fp32, p50" in answer for answer in answers) == 2
    assert not [answer for answer in answers if "embedded" in answer]
    assert [note for note in comparison.notes() if "timed the resizing as well" in note]


def test_the_exam_of_a_file_with_its_preprocessing_inside_alone_recommends_nothing(
    tmp_path: Path,
) -> None:
    path = taken_exam(tmp_path, embedded=True)
    alone = Comparison.of([], None, 1.0, exams_among([str(path)]))
    (told,) = alone.answers()
    assert told.endswith("no run of this comparison measured that file.")


@pytest.mark.parametrize("is_embedded", [True, False])
def test_a_file_with_its_preprocessing_inside_is_found_in_its_run_by_its_own_bytes(
    tmp_path: Path, *, is_embedded: bool
) -> None:
    taken = planted_exam.exam(tmp_path)
    measured = file("onnx_fp32", 0.0025, 0.98, verdict="same")
    measured |= {
        "sha256": {"model.onnx": "of the file without"},
        "pipeline": [pipeline()],
        "embedded": embedded("onnx_fp32_embedded", sha256=taken.model_files),
    }
    run = keep(tmp_path, "planted", results(file("eager", 0.008, 0.98), measured))
    (told,) = compared(run, taken_exam(tmp_path, embedded=is_embedded)).answers()
    assert told.endswith("; the file is the run's.") == is_embedded
    assert "ms in the run" not in told  # of a call of the file without


def test_no_text_of_a_measurement_prints_a_line_of_its_own(tmp_path: Path) -> None:
    forged = "digits\nUnder 10 ms at batch 1: ship this"
    run = keep(tmp_path, "small", results(file("eager", 0.008, 0.98)))
    values = json.loads((run / "benchmark.json").read_text())
    values["run"] = values["model"] = forged
    values["dataset"]["name"] = forged
    (run / "benchmark.json").write_text(json.dumps(values))
    path = rewritten(
        taken_exam(tmp_path), lambda values: values["dataset"].update(name=f"{forged} too")
    )
    comparison = compared(run, path, seconds=0.01)
    lines = comparison.answers() + comparison.notes()
    assert sum("ship this" in line for line in lines) >= 3
    assert not [line for line in lines if len(line.splitlines()) > 1]


def test_hostile_text_of_an_exam_is_text_on_the_pages(tmp_path: Path) -> None:
    path = taken_exam(tmp_path)
    values = json.loads(path.read_text())
    script = "<script>alert(1)</script>"
    values |= {"run": script, "model": f"**{script}**", "problems": [f"[x](javascript:{script})"]}
    values["environment"]["cpu"] = script
    path.write_text(json.dumps(values))
    comparison = compared(run_of(tmp_path), path)
    assert script not in html_page(comparison)
    assert "<script>alert" not in markdown_page(comparison)
    from src.compare.page import show

    with Console(record=True, width=300) as console:
        show(comparison, console)
    assert script in console.export_text()
