"""Files with their preprocessing inside, with planted formats: scored, timed, stored and told."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from src.benchmark import results as figures
from src.benchmark import up_to_date
from src.benchmark.options import BenchmarkOptions
from src.benchmark.row_embedded import RowEmbedded
from src.benchmark.suite import measure, measure_unless_done
from src.data.pipeline import encoded
from src.report.sections.report import report_of
from src.run.embedded import EmbeddedFigures
from src.run.folder import Run
from src.run.layout import as_dict
from src.run.record import InvalidValueError
from src.system import atomic_files
from src.worker import process, protocol
from src.worker.process import WorkerProcess
from tests.benchmark.planted_formats import FEW, silent, taken
from tests.benchmark.test_row_pipeline import Files
from tests.report.pages import markdown_page

OPTIONS = replace(FEW, pipeline=True, pipeline_images=6, rounds=3, decoders=["pillow"])


def embedded(run: Run, name: str) -> None:
    """Give the format ``talking`` an embedded file in the folder ``name``."""
    manifest = as_dict(run.read_manifest())
    (run.exports / name).mkdir()
    (run.exports / name / "weights").write_text(name)
    manifest["formats"]["talking"]["embedded"] = {
        "folder": name,
        "status": "ok",
        "reason": None,
        "files": taken(run.exports / name, "weights"),
    }
    atomic_files.write_json(run.manifest, manifest)


@pytest.fixture
def data(tmp_path: Path) -> Files:
    return Files(tmp_path / "files", 24)


def measured_file(run: Run, data: Files, options: BenchmarkOptions = OPTIONS) -> EmbeddedFigures:
    results = measure(run, data, options, silent)
    assert run.read_benchmark() == results
    row = results.row("talking", "cpu")
    assert row is not None
    assert row.is_ok, row.reason
    assert row.embedded is not None
    return row.embedded


def test_an_embedded_file_is_scored_on_all_images_and_timed_from_the_file(
    well_behaved: Run, data: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded(well_behaved, "of-files")
    with monkeypatch.context() as patch:  # the figures are made later, of the raw measurement
        patch.setattr(figures, "write_figures", Mock(side_effect=OSError("full")))
        with pytest.raises(OSError, match="full"):
            measure(well_behaved, data, OPTIONS, silent)
    results = measure_unless_done(well_behaved, data, OPTIONS, silent)
    assert results == well_behaved.read_benchmark()
    file = results.rows[1].embedded
    assert file is not None
    assert (file.folder, file.status, file.size_bytes) == ("of-files", "ok", len("of-files"))
    assert file.pipeline is not None
    answers = file.pipeline.answers
    assert answers is not None
    # The planted file calls every image class 0; the plain file answers by the planted images.
    expected = int((data.logits.argmax(axis=1) != 0).sum())
    assert (answers.images, answers.flips) == (50, expected)
    assert answers.top1 == pytest.approx(1 - expected / 50)
    assert file.flipped_low is not None
    assert file.flipped_high is not None
    assert file.flipped_low < expected / 50 < file.flipped_high
    assert file.against_baseline is not None
    assert file.against_baseline.verdict == "fail"
    assert file.pipeline.over_reference is not None
    assert file.pipeline.stages["infer"].mean_s > 0
    assert file.pipeline.stages["resize"].mean_s < 1e-3  # the file's own work is in its call
    # It is a row of the report.
    report = report_of(results)
    assert report.embedded is not None
    [row] = report.embedded.table.rows
    assert (row.name, row.status) == ("of-files", "ok")
    assert "## With the preprocessing inside" in markdown_page(results)


def test_a_baseline_that_failed_midway_through_the_scoring_gives_an_embedded_file_no_verdict(
    well_behaved: Run, data: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded(well_behaved, "of-files")
    plain, batches = RowEmbedded.add, itertools.count()

    def add(self: RowEmbedded, contents: Any, logits: Any, baseline: Any, targets: Any) -> None:
        half = len(targets) // 2
        for part in (slice(0, half), slice(half, None)) if self.is_answering else ():
            last = None if next(batches) else baseline[part]
            plain(self, contents[part], logits[part], last, targets[part])

    monkeypatch.setattr(RowEmbedded, "add", add)
    file = measured_file(well_behaved, data)
    assert file.pipeline is not None
    assert file.pipeline.answers is not None
    assert file.pipeline.answers.images == 50
    assert file.against_baseline is None


@pytest.mark.parametrize("is_warm", [True, False])
def test_an_embedded_file_is_warmed_up_before_it_is_timed_and_marked_if_it_stays_cold(
    well_behaved: Run, data: Files, monkeypatch: pytest.MonkeyPatch, is_warm: bool
) -> None:
    embedded(well_behaved, "of-files")
    asked: dict[WorkerProcess, list[Any]] = {}
    plain = WorkerProcess.ask

    def ask(self: WorkerProcess, request: Any, *images: Any) -> Any:
        answer = plain(self, request, *images)
        asked.setdefault(self, []).append(request)
        if isinstance(request, protocol.WarmUp) and request.files:
            return protocol.WarmedUp(warm=is_warm, seconds=0.1)
        return answer

    monkeypatch.setattr(WorkerProcess, "ask", ask)
    with monkeypatch.context() as patch:  # the figures are made later, of the raw measurement
        patch.setattr(figures, "write_figures", Mock(side_effect=OSError("full")))
        with pytest.raises(OSError, match="full"):
            measure(well_behaved, data, OPTIONS, silent)
    file = measure_unless_done(well_behaved, data, OPTIONS, silent).rows[1].embedded
    assert file is not None
    assert file.pipeline is not None
    assert file.pipeline.files == 6
    assert ("cold" in file.pipeline.whole.unstable) == (not is_warm)
    (requests,) = [
        requests
        for requests in asked.values()
        if any(isinstance(one, protocol.Load) and one.embedded for one in requests)
        and any(isinstance(one, protocol.TimePipeline) for one in requests)
    ]
    kinds = [type(one) for one in requests if not isinstance(one, protocol.Rest)]
    held = kinds.index(protocol.HoldFiles)
    assert kinds[held + 1 : held + 3] == [protocol.WarmUp, protocol.TimePipeline]
    assert kinds.count(protocol.WarmUp) == 1


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("of-files-nan", "not finite"),
        pytest.param("of-files-unloadable", "no such file", marks=pytest.mark.slow),
    ],
)
def test_a_file_that_fails_ends_alone_and_is_told(
    well_behaved: Run, data: Files, name: str, reason: str
) -> None:
    embedded(well_behaved, name)
    file = measured_file(well_behaved, data)
    assert file.status == "failed"
    assert reason in str(file.reason)
    assert file.pipeline is None
    section = report_of(well_behaved.read_benchmark()).embedded
    assert section is not None
    assert reason in str(section.table.rows[0].reason)


def test_a_new_embedded_file_is_measured_and_the_same_one_is_not(
    well_behaved: Run, data: Files
) -> None:
    few = replace(OPTIONS, rounds=1, memory=False)
    measure(well_behaved, data, few, silent)
    unread = lambda: None  # noqa: E731
    assert up_to_date.find(well_behaved, few, unread) is not None
    embedded(well_behaved, "of-files")
    assert up_to_date.find(well_behaved, few, unread) is None
    first = measure_unless_done(well_behaved, data, few, silent)
    assert measure_unless_done(well_behaved, data, few, silent) == first
    (well_behaved.exports / "of-files" / "weights").write_text("another")
    assert up_to_date.find(well_behaved, few, unread) is None


def test_a_measurement_that_was_cut_off_is_not_taken_for_one_of_a_new_embedded_file(
    well_behaved: Run, data: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = replace(OPTIONS, rounds=1, memory=False)
    embedded(well_behaved, "of-files")
    with monkeypatch.context() as patch:
        patch.setattr(figures, "write_figures", Mock(side_effect=OSError("full")))
        with pytest.raises(OSError, match="full"):
            measure(well_behaved, data, few, silent)
    unread = lambda: None  # noqa: E731
    assert up_to_date.find_rounds(well_behaved, few, unread) is not None
    (well_behaved.exports / "of-files" / "weights").write_text("another")
    assert up_to_date.find_rounds(well_behaved, few, unread) is None


def test_the_figures_of_an_embedded_file_that_is_gone_are_measured_anew(
    well_behaved: Run, data: Files
) -> None:
    few = replace(OPTIONS, rounds=1, memory=False)
    before = as_dict(well_behaved.read_manifest())
    embedded(well_behaved, "of-files")
    measure(well_behaved, data, few, silent)
    assert up_to_date.find(well_behaved, few, lambda: None) is not None
    atomic_files.write_json(well_behaved.manifest, before)
    assert up_to_date.find(well_behaved, few, lambda: None) is None


def test_photos_travel_to_a_file_in_parts_of_a_bounded_size(
    well_behaved: Run, data: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    ask = WorkerProcess.ask

    def asking(worker: WorkerProcess, request: Any, images: Any = None) -> Any:
        if isinstance(request, protocol.AnswerFiles):
            sent.append(len(request.contents))
        return ask(worker, request, images)

    contents = [encoded.content_of(data.dataset("test"), number) for number in range(50)]
    monkeypatch.setattr(process, "MOST_MESSAGE_BYTES", 2 * max(map(len, contents)))
    monkeypatch.setattr(WorkerProcess, "ask", asking)
    embedded(well_behaved, "of-files")
    file = measured_file(well_behaved, data, replace(OPTIONS, rounds=1))
    assert sum(sent) == 50
    assert 1 < max(sent) < 5
    assert file.pipeline is not None
    assert file.pipeline.answers is not None
    assert file.pipeline.answers.images == 50


def test_a_record_without_its_figures_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="figures if, and only if, its status is ok"):
        EmbeddedFigures(folder="x", status="ok", reason=None)
