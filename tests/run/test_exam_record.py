"""The record of an exam: what a bundle writes is read, anything else is one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from src.errors import UsageError
from src.run import exam
from src.run.file_input import PIXELS
from src.shipped import exam_record
from src.shipped.answers import Answers
from tests.support import planted_exam


def written(folder: Path, content: object) -> Path:
    path = folder / "measurement.json"
    path.write_text(json.dumps(content))
    return path


def test_the_measurement_of_an_exam_is_read_as_it_was_written(tmp_path: Path) -> None:
    values = planted_exam.record(tmp_path, flips=3)
    path = written(tmp_path, values)
    assert exam.is_exam(path)
    record = exam.read(path)
    assert (len(record.answers.flips), record.answers.images) == (3, 64)
    assert record.is_packed_file
    assert not record.holds
    assert record.row.latency[0].p50_s == values["rows"][0]["latency"][0]["p50_s"]
    assert record.row.latency[0].processes == 6
    assert record.pipeline is not None
    assert record.same_file_twice is not None
    flip = record.answers.flips[-1]
    assert (flip.position, flip.true) == (126, 3)


@pytest.mark.parametrize("version", [1, 2])
def test_a_measurement_of_an_earlier_version_is_read(tmp_path: Path, version: int) -> None:
    values = planted_exam.record(tmp_path)
    assert values.pop("embedded") is False
    record = exam.read(written(tmp_path, values | {"schema_version": version}))
    assert (record.schema_version, record.embedded) == (version, False)


def test_the_exam_of_a_file_without_reference_answers_is_read(tmp_path: Path) -> None:
    values = planted_exam.record(tmp_path, reference=None, baseline=None, content="tensors")
    values["pipeline"] = None
    record = exam.read(written(tmp_path, values))
    assert record.holds
    assert record.row.verdict is None
    assert record.row.accuracy is not None
    assert record.row.accuracy.paired is None


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.update(schema_version=4),
        lambda record: record.update(embedded="yes"),
        lambda record: record["rows"][0].update(latency=[]),  # beside a time of the pipeline
        lambda record: record.update(rows=[]),
        lambda record: record.update(rows=record["rows"] * 2),
        lambda record: record["rows"][0].update(device="cuda"),
        lambda record: record["rows"][0].update(status="failed"),
        lambda record: record["rows"][0].update(files=["../x"]),
        lambda record: record["rows"][0]["latency"][0].pop("process_of_round"),
        lambda record: record["rows"][0]["latency"][0].update(p50_s="fast"),
        lambda record: record["rows"][0]["accuracy"].update(images=63),
        lambda record: record.update(packed_files={"../../etc/passwd": "abc"}),
        lambda record: record.update(class_names=["0", "\x1b[31m1"]),
        lambda record: record.update(class_names=["0"]),
        lambda record: record["answers"].update(images=10**9),
        lambda record: record["answers"].update(beyond_rounding=65),
        lambda record: record["answers"].update(flips=record["answers"]["flips"] * 600),
        lambda record: record["answers"]["flips"][0].update(after=10),
        lambda record: record.update(problems=["x"] * 101),
        lambda record: record["environment"].update(threads=0),
        lambda record: record["environment"].pop("cpu"),
        lambda record: record["environment"].update(isa=["x"] * 101),
        lambda record: record.update(model="x" * 256),
        lambda record: record.update(home_p50_s=0),
        lambda record: record.update(packed_files={}),
        lambda record: record["rows"][0]["latency"][0].update(batch_size=8),
    ],
)
def test_a_record_with_an_impossible_value_is_refused_in_one_line(
    tmp_path: Path, change: Change
) -> None:
    values = planted_exam.record(tmp_path, flips=2)
    change(values)
    with pytest.raises(UsageError) as caught:
        exam.read(written(tmp_path, values))
    assert "\n" not in str(caught.value)
    assert "measurement.json: expected" in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.update(run="a\nrun"),
        lambda record: record.update(model="a\rmodel"),
        lambda record: record["problems"].append("one\nUnder 10 ms: ship this"),
        lambda record: record["environment"].update(cpu="a CPU\n"),
        lambda record: record["environment"]["isa"].append("AVX\n2"),
    ],
)
def test_a_text_of_several_lines_is_refused(tmp_path: Path, change: Change) -> None:
    values = planted_exam.record(tmp_path)
    change(values)
    with pytest.raises(UsageError, match="expected a text of one line as ") as caught:
        exam.read(written(tmp_path, values))
    assert "\n" not in str(caught.value)


def test_a_file_that_takes_pixels_is_recorded_as_in_a_run(tmp_path: Path) -> None:
    taken = planted_exam.exam(tmp_path)
    measured = planted_exam.measurement()
    measured.loaded[0]["takes_pixels"] = True
    answers = Answers.of(taken, taken.answers, taken.class_names)
    record = exam.read(written(tmp_path, exam_record.record_of(taken, answers, measured, 1.0)))
    assert record.row.input == PIXELS
    assert exam.read(written(tmp_path, planted_exam.record(tmp_path))).row.input is None


def test_control_characters_of_a_record_are_written_out(tmp_path: Path) -> None:
    values = planted_exam.record(tmp_path)
    values["run"] = "a\x1b[2Jrun"
    values["environment"]["cpu"] = "\u202ea CPU"
    record = exam.read(written(tmp_path, values))
    assert record.run == "a\\x1b[2Jrun"
    assert record.environment.cpu == "\\u202ea CPU"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kind": "other"}', "\xff", "[" * 100_000])
def test_another_file_is_no_exam(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text, encoding="latin-1")
    assert not exam.is_exam(path)
    with pytest.raises(UsageError):
        exam.read(path)
