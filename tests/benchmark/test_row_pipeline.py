"""Pipelines of planted formats: timed in turns, compared by decoder, stored and computed later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from PIL import Image

from src.benchmark import pipeline_files
from src.benchmark import results as figures
from src.benchmark.pipeline_files import Decoded, add_answers
from src.benchmark.row_pipeline import WARMUP_SHARE, RowPipeline, with_limited_warmup
from src.benchmark.statistics import paired, shares
from src.benchmark.statistics import pipeline as statistics
from src.benchmark.suite import measure, measure_unless_done
from src.data.pipeline import encoded
from src.data.pipeline.image_file import UnreadableImageError
from src.data.pipeline.image_files import ImageFiles
from src.data.preprocessing import Preprocessing
from src.errors import UsageError
from src.report.sections.report import report_of
from src.run.folder import Run
from src.run.pipeline import (
    DECODERS,
    STAGES,
    AnswerSums,
    Pipeline,
    PipelineTurn,
    RawPipeline,
)
from src.run.record import InvalidValueError
from src.run.rounds import named
from src.shipped.jpeg_decoders import MissingDecoderError
from src.worker import protocol
from src.worker.process import WorkerProcess
from tests.benchmark.planted_formats import FEW, Data, only, silent
from tests.support import damaged_images, photos

OPTIONS = replace(
    FEW,
    pipeline=True,
    pipeline_images=6,
    rounds=3,
    decoders=["pillow", "pillow_draft", "simplejpeg", "torchvision"],
)
FACTS = Preprocessing(4).facts()


class Files(Data):
    """The planted data, whose test images are also files."""

    def __init__(self, folder: Path, side: int, ending: str = "jpg") -> None:
        super().__init__()
        folder.mkdir()
        self.paths = []
        for number in range(50):
            path = folder / f"{number}.{ending}"
            Image.fromarray(photos.pixels(side, side, number)).save(path)
            self.paths.append(str(path))

    def dataset(self, split: str) -> Any:
        assert split == "test"
        images = ImageFiles(self.paths, self.logits.argmax(axis=1))
        return SimpleNamespace(images=images, indices=np.arange(50))


def test_every_row_is_timed_from_files_to_labels(well_behaved: Run, tmp_path: Path) -> None:
    pytest.importorskip("simplejpeg")
    measured = measure(well_behaved, Files(tmp_path / "files", 48), OPTIONS, silent)
    assert well_behaved.read_benchmark() == measured
    sample = measured.image_sample
    assert sample is not None
    assert (sample.images, sample.kinds, sample.width_p50) == (6, {"JPEG": 6}, 48)
    for row in measured.rows:
        assert [timed.decoder for timed in row.pipeline] == ["pillow", "pillow_draft", "simplejpeg"]
        # The planted runtime is numpy.
        reason = "it needs torch, which the file runs without"
        assert row.decoders_left_out == {"torchvision": reason}
        for timed in row.pipeline:
            whole = timed.whole
            assert (whole.rounds, whole.processes, whole.batch_size) == (3, 1, 1)
            total = sum(timed.stages[stage].mean_s for stage in STAGES)
            assert total == pytest.approx(whole.mean_s, rel=0.03)
            assert all(len(calls) == 4 for calls in whole.seconds.values())  # of four files
            cpu = whole.busy_cores / whole.images_per_second
            assert timed.cpu_seconds_per_image == cpu > 0
    eager, talking = measured.rows
    reference, drafted, simple = talking.pipeline
    assert eager.pipeline[0].whole.speedup is None
    assert reference.whole.speedup is not None
    assert (reference.answers, reference.over_reference) == (None, None)
    assert drafted.over_reference is not None
    assert drafted.answers is not None
    assert (drafted.answers.images, drafted.answers.otherwise) == (50, 50)
    assert drafted.answers.flips >= drafted.answers.lost + drafted.answers.gained
    assert simple.answers == drafted.answers  # the same libjpeg at the same scale
    low, high = shares.wilson(drafted.answers.flips / 50, 50)
    assert (drafted.answers.flips_low, drafted.answers.flips_high) == (max(low, 0), min(high, 1))
    section = report_of(measured).pipeline
    assert section is not None
    assert f"The decoder torchvision was left out: {reason}." in section.notes


def test_a_decoder_whose_package_is_missing_is_left_out_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> Any:
        raise MissingDecoderError(f"no {name}")

    data, options = Files(tmp_path / "files", 48), replace(OPTIONS, decoders=list(DECODERS))
    with monkeypatch.context() as patch:
        patch.setattr(pipeline_files, "load", missing)
        files = pipeline_files.chosen(data, "test", FACTS, options)
    assert files is not None
    assert files.decoders == ["pillow", "pillow_draft"]
    reasons = {name: f"no {name}" for name in ("simplejpeg", "opencv", "torchvision")}
    assert files.left_out == reasons
    png = Files(tmp_path / "png", 48, "png")
    files = pipeline_files.chosen(png, "test", FACTS, options)
    assert files is not None
    assert (files.decoders, files.left_out) == (["pillow"], {})  # all is Pillow's


def test_inputs_of_several_decoders_are_told_apart_by_their_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Files(tmp_path / "files", 48)
    files = pipeline_files.PipelineFiles(
        encoded.sample("test", data.dataset("test"), 6, FACTS),
        ["pillow", "pillow_draft", "simplejpeg", "opencv"],
        {},
    )
    plain, other = np.zeros((3, 2, 2), np.float32), np.ones((3, 2, 2), np.float32)
    given: dict[str, Any] = {
        "pillow_draft": [None, other, plain],
        "simplejpeg": [other, other * 2, None],
    }

    def decoded_by(decoder: str, *_: Any) -> Any:
        if decoder not in given:
            raise UnreadableImageError("7.jpg: damaged")
        return given[decoder]

    monkeypatch.setattr(encoded, "decoded_by", decoded_by)
    decoded = pipeline_files.decoded(data, "test", files, [5, 6, 7], np.stack([plain] * 3))
    assert np.array_equal(decoded.inputs, np.stack([other, other * 2]))
    assert {name: found.tolist() for name, found in decoded.positions.items()} == {
        "pillow_draft": [-1, 0, -1],
        "simplejpeg": [0, 1, -1],
    }
    assert files.left_out == {"opencv": "7.jpg: damaged"}
    assert files.decoders == ["pillow", "pillow_draft", "simplejpeg"]


def test_figures_of_pipelines_are_computed_later_as_at_once(
    well_behaved: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Files(tmp_path / "files", 48)
    with monkeypatch.context() as patch:
        patch.setattr(figures, "recommend", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            measure(well_behaved, data, OPTIONS, silent)
    raw = well_behaved.read_rounds()
    later = measure_unless_done(well_behaved, data, OPTIONS, silent)
    assert later.image_sample == raw.image_sample
    for row, before in zip(later.rows, raw.rows, strict=True):
        assert before.pipeline is not None
        for timed in row.pipeline:
            turns = before.pipeline.rounds[timed.decoder]
            assert timed.whole.seconds == {
                number: [round(value, 7) for value in turn.seconds]
                for number, turn in turns.items()
            }


def test_the_pipeline_can_be_the_objective_or_left_out(well_behaved: Run, tmp_path: Path) -> None:
    data = Files(tmp_path / "files", 8, "png")
    options = replace(OPTIONS, objective="pipeline")
    measured = measure(well_behaved, data, options, silent)
    advice = measured.recommendation["cpu"]
    assert (advice.objective, advice.batch_size) == ("pipeline", None)
    assert advice.format in {"eager", "talking"}
    # No decoder makes a PNG smaller, so there is one only.
    assert {len(row.pipeline) for row in measured.rows} == {1}
    without = measure(well_behaved, Data(), FEW, silent)
    assert without.image_sample is None
    assert [row.pipeline for row in without.rows] == [[], []]
    assert report_of(without).pipeline is None


class NoFiles(Files):
    """The same data, which must not be read: nothing is measured again."""

    def batches(self, split: str, batch_size: int = 64) -> Iterator[Any]:
        raise AssertionError("it is measured again")


def test_images_in_files_are_recommended_for_by_the_pipeline_unless_an_objective_is_named(
    well_behaved: Run, tmp_path: Path
) -> None:
    options = replace(OPTIONS, decoders=["pillow"])
    measured = measure(well_behaved, Files(tmp_path / "files", 8, "png"), options, silent)
    assert measured.options.objective is None
    assert measured.recommendation["cpu"].objective == "pipeline"
    kept = {path: path.read_bytes() for path in well_behaved.measurements.iterdir()}
    # Another objective is a decision of its own, for which nothing is measured.
    data = NoFiles(tmp_path / "same", 8, "png")
    named = replace(options, objective="latency")
    by_latency = measure_unless_done(well_behaved, data, named, silent)
    assert by_latency == well_behaved.read_benchmark()
    assert by_latency.options.objective == "latency"
    advice = by_latency.recommendation["cpu"]
    assert (advice.objective, advice.batch_size) == ("latency", 1)
    assert by_latency.recommended == {"cpu": advice.format}
    assert by_latency.rows == measured.rows
    # The default again is the first measurement again.
    assert measure_unless_done(well_behaved, data, options, silent) == measured
    assert {path: path.read_bytes() for path in well_behaved.measurements.iterdir()} == kept


def test_figures_that_are_computed_later_are_judged_by_the_present_objective(
    well_behaved: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = replace(OPTIONS, decoders=["pillow"])
    with monkeypatch.context() as patch:
        patch.setattr(figures, "recommend", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            measure(well_behaved, Files(tmp_path / "files", 8, "png"), options, silent)
    data = NoFiles(tmp_path / "same", 8, "png")
    later = measure_unless_done(well_behaved, data, replace(options, objective="size"), silent)
    assert later.options.objective == "size"
    assert later.recommendation["cpu"].objective == "size"


def test_a_file_that_became_unreadable_is_named(well_behaved: Run, tmp_path: Path) -> None:
    data = Files(tmp_path / "files", 48)
    Path(data.paths[0]).write_bytes(damaged_images.a_png_of_half_its_bytes())
    with pytest.raises(UsageError, match=r"0\.jpg: expected an image that Pillow can decode"):
        measure(well_behaved, data, OPTIONS, silent)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_process_that_ends_while_its_pipeline_is_timed_costs_no_other_figure(
    run: Run, tmp_path: Path, processes: int
) -> None:
    reasons = {"crashing-on-files": "SIGABRT", "hanging-on-files": "no answer to hold_files"}
    only(run, "eager", *reasons)
    options = replace(OPTIONS, decoders=["pillow"], processes=processes, timeout_seconds=5)
    measured = measure(run, Files(tmp_path / "files", 8, "png"), options, silent)
    assert run.read_benchmark() == measured
    eager, *others = measured.rows
    assert eager.pipeline
    for row in others:
        assert (row.status, row.pipeline) == ("ok", []), row.reason
        assert reasons[row.format] in str(row.pipeline_reason)
        assert [cell.rounds for cell in row.latency] == [cell.rounds for cell in eager.latency]
        assert row.profile == eager.profile
        started = (run.exports / row.format / "started").read_text().split()
        assert len(started) == len(row.loads_seconds or []) == processes + 1


class FakeRow:
    """A row that answers every image with class 0."""

    def __init__(self) -> None:
        self.counted: list[tuple[Any, ...]] = []
        self.asked = 0
        self.pipeline = SimpleNamespace(add_answers=lambda *counts: self.counted.append(counts))

    def predict(self, images: Any) -> Any:
        self.asked += len(images)
        return np.tile(np.array([[1, 0, 0]], np.float32), (len(images), 1))


def test_only_images_with_other_pixels_are_classified_again() -> None:
    row: Any = FakeRow()
    reference = np.tile(np.array([[0, 1, 0]], np.float32), (4, 1))
    targets = np.array([0, 1, 1, 1])
    images = np.zeros((2, 3, 4, 4), np.float32)
    changed = {"pillow_draft": np.array([0, -1, 1, -1])}
    baseline = np.tile(np.array([[0, 0, 1]], np.float32), (4, 1))
    some: Any = Decoded(images, changed)  # type: ignore[arg-type]
    add_answers(row, some, reference, baseline, targets)
    nothing: Any = {"pillow_draft": np.full(4, -1)}
    add_answers(row, Decoded(images[:0], nothing), reference, None, targets)
    assert row.asked == 2
    (decoder, logits, (before, beside), labels, otherwise), unchanged = row.counted
    assert beside is baseline
    assert unchanged[2][1] is None
    assert (decoder, otherwise, unchanged[4]) == ("pillow_draft", 2, 0)
    assert logits.argmax(axis=1).tolist() == [0, 1, 0, 1]
    assert before.argmax(axis=1).tolist() == [1, 1, 1, 1]
    sums = statistics.added(AnswerSums(), logits, before, labels, otherwise)
    assert sums == AnswerSums(images=4, otherwise=2, right=3, flips=2, lost=1, gained=1)


def test_answers_of_a_decoder_are_tested_as_those_of_a_quantized_file() -> None:
    sums = AnswerSums(images=2000, otherwise=1500, right=1800, flips=40, lost=25, gained=10)
    answers = statistics.compared(sums, 0.01)
    assert answers.delta_top1 == -15 / 2000
    assert (answers.delta_low, answers.delta_high) == paired.score_interval(25, 10, 2000)
    assert answers.verdict == paired.non_inferiority(25, 10, 2000, 0.01).verdict == "inconclusive"
    assert answers.images_needed == paired.non_inferiority(25, 10, 2000, 0.01).images_needed
    worse = AnswerSums(images=2000, otherwise=1500, right=1000, flips=200, lost=200, gained=0)
    assert statistics.compared(worse, 0.01).verdict == "fail"
    alike = AnswerSums(images=5, otherwise=0, right=5, flips=0, lost=0, gained=0)
    assert statistics.compared(alike, 0.01).verdict == "same"


STAGE_SECONDS = {"decode": 4.0, "resize": 3.0, "convert": 0.5, "infer": 2.0, "label": 0.5}


def figures_after(wrong: int, wrong_decoded: int, *, baseline: bool) -> Pipeline:
    """Return the figures of a faster decoder.

    Args:
        wrong: images of 20,000 that the file answers wrongly, and the baseline rightly.
        wrong_decoded: those that it answers wrongly after the decoder.
        baseline: the baseline answered.
    """
    images = 20_000
    targets = np.zeros(images, np.int64)

    def answering(count: int) -> Any:
        return np.eye(2, dtype=np.float32)[(np.arange(images) < count).astype(int)]

    others = answering(wrong), answering(0) if baseline else None
    measured = RowPipeline()
    rounds = {
        "pillow": named(dict(turns(1.0, STAGE_SECONDS))),
        "pillow_draft": named(dict(turns(0.5, STAGE_SECONDS))),
    }
    measured.restore(RawPipeline(rounds=rounds, answers={}))  # type: ignore[arg-type]
    for part in (slice(0, images // 2), slice(images // 2, images)):
        logits = answering(wrong_decoded)[part]
        before, beside = (None if each is None else each[part] for each in others)
        measured.add_answers("pillow_draft", logits, (before, beside), targets[part], len(logits))
    restored = RowPipeline()
    restored.restore(measured.raw())
    figures_at_once, figures_later = measured.figures(None, 0.01), restored.figures(None, 0.01)
    assert figures_at_once == figures_later
    return figures_at_once[1]


@pytest.mark.parametrize(
    ("wrong", "wrong_decoded", "against_file", "in_all"),
    [
        (0, 140, "pass", "pass"),
        (140, 280, "pass", "fail"),  # each of the two loses 0.7 points of one
        (140, 200, "pass", "inconclusive"),
        (300, 150, "pass", "pass"),  # it happens to repair what the file loses
        (100, 400, "fail", "fail"),
    ],
)
def test_a_decoder_and_its_file_keep_the_budget_together(
    wrong: int, wrong_decoded: int, against_file: str, in_all: str
) -> None:
    timed = figures_after(wrong, wrong_decoded, baseline=True)
    assert timed.answers is not None
    assert timed.against_baseline is not None
    assert timed.answers.verdict == against_file
    assert timed.against_baseline.verdict == in_all
    assert timed.against_baseline.delta_top1 == -wrong_decoded / 20_000
    assert timed.keeps_budget == (against_file == in_all == "pass")
    # Without a baseline, and in a measurement of before, the file's own answers decide.
    alone = figures_after(wrong, wrong_decoded, baseline=False)
    assert alone.against_baseline is None
    assert alone.keeps_budget == (against_file == "pass")


def test_a_baseline_that_failed_midway_through_the_scoring_decides_on_no_decoder() -> None:
    def answering(wrong: int) -> Any:
        return np.eye(2, dtype=np.float32)[(np.arange(1000) < wrong).astype(int)]

    measured, targets = RowPipeline(), np.zeros(1000, np.int64)
    rounds = {
        "pillow": named(dict(turns(1.0, STAGE_SECONDS))),
        "pillow_draft": named(dict(turns(0.5, STAGE_SECONDS))),
    }
    measured.restore(RawPipeline(rounds=rounds, answers={}))  # type: ignore[arg-type]
    for baseline in (answering(0), None):  # the second batch has none
        others = answering(300), baseline
        measured.add_answers("pillow_draft", answering(300), others, targets, 1000)
    restored = RowPipeline()
    restored.restore(measured.raw())
    for row in (measured, restored):
        timed = row.figures(None, 0.01)[1]
        assert timed.answers is not None
        assert timed.answers.images == 2000
        assert timed.against_baseline is None
        assert timed.keeps_budget


@pytest.mark.parametrize("pipelines", [0, 1, 12])
def test_the_warm_ups_of_all_pipelines_share_a_part_of_a_process(pipelines: int) -> None:
    options = replace(OPTIONS, max_seconds=60.0, processes=5, warmup_seconds=2.0)
    limited = with_limited_warmup(options, pipelines)
    assert limited.warmup_seconds * max(1, pipelines) == pytest.approx(WARMUP_SHARE * 12)
    assert replace(limited, warmup_seconds=2.0) == options
    assert with_limited_warmup(replace(options, warmup_seconds=0.001), 1).warmup_seconds == 0.001


def test_every_decoder_is_compared_with_the_baseline_too(well_behaved: Run, tmp_path: Path) -> None:
    measured = measure(well_behaved, Files(tmp_path / "files", 48), OPTIONS, silent)
    for row in measured.rows:
        reference, drafted, *_ = row.pipeline
        assert reference.against_baseline is None
        assert drafted.answers is not None
        assert drafted.against_baseline is not None
        # Both planted files compute the same network.
        assert drafted.against_baseline.lost == drafted.answers.lost
        assert drafted.against_baseline.verdict == drafted.answers.verdict


def test_the_sample_is_told_of_the_files_that_were_timed(well_behaved: Run, tmp_path: Path) -> None:
    options = replace(OPTIONS, decoders=["pillow"], pipeline_images=50, rounds=3)
    data = Files(tmp_path / "files", 24)
    data.paths[:] = data.paths[:25]
    for number in range(25, 50):  # half of the files are others
        data.paths.append(str(tmp_path / "files" / f"{number}.png"))
        Image.fromarray(photos.pixels(36, 36, number)).save(data.paths[-1])
    files = pipeline_files.chosen(data, "test", FACTS, options)
    measured = measure(well_behaved, data, options, silent)
    assert files is not None
    assert files.sample.facts.images == 50
    sample = measured.image_sample
    assert sample is not None
    first = [encoded.kind_of(content) for content in files.sample.contents[:12]]
    assert (sample.images, sample.kinds) == (12, dict(Counter(first)))  # of three rounds
    for row in measured.rows:
        assert row.pipeline[0].files == 12
        assert row.pipeline[0].files_of_round == {
            str(number): [*range(4 * number, 4 * number + 4)] for number in range(3)
        }
    section = report_of(measured).pipeline
    assert section is not None
    assert "A sample of 12 files of the test split" in section.notes[0]
    assert "Each image file counts once" in " ".join(section.notes)


@pytest.mark.parametrize("is_warm", [True, False])
def test_pipelines_are_warmed_up_in_each_process_and_marked_where_they_stay_cold(
    well_behaved: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_warm: bool
) -> None:
    asked: list[tuple[WorkerProcess, Any]] = []
    plain = WorkerProcess.ask

    def ask(self: WorkerProcess, request: Any, *images: Any) -> Any:
        answer = plain(self, request, *images)
        asked.append((self, request))
        if isinstance(request, protocol.WarmUp) and request.files:
            return protocol.WarmedUp(warm=is_warm, seconds=0.1)
        return answer

    monkeypatch.setattr(WorkerProcess, "ask", ask)
    options = replace(OPTIONS, decoders=["pillow", "pillow_draft"], processes=2, rounds=2)
    measured = measure(well_behaved, Files(tmp_path / "files", 48), options, silent)
    for process in {process for process, _ in asked}:
        of_files = [
            request
            for other, request in asked
            if other is process
            and isinstance(request, protocol.HoldFiles | protocol.TimePipeline | protocol.WarmUp)
            and (not isinstance(request, protocol.WarmUp) or request.files)
        ]
        if of_files:
            kinds = [type(request) for request in of_files]
            turns_only = [protocol.TimePipeline] * (len(kinds) - 2)
            assert kinds == [protocol.HoldFiles, protocol.WarmUp, *turns_only]
            assert turns_only
            assert of_files[1].files == of_files[2].files
            # The two rows have equal parts.
            share = WARMUP_SHARE * options.max_seconds / options.processes / 2
            assert of_files[1].max_seconds == min(options.warmup_seconds, share)
    for row in measured.rows:
        for timed in row.pipeline:
            assert ("cold" in timed.whole.unstable) == (not is_warm)


def turns(scale: float, stages: dict[str, float]) -> Iterator[tuple[int, PipelineTurn]]:
    for number in range(6):
        calls = [scale * sum(stages.values())] * 2
        yield (
            number,
            PipelineTurn(
                seconds=calls,
                stages={name: [scale * value] * 2 for name, value in stages.items()},  # type: ignore[misc]
                elapsed_seconds=sum(calls),
                cpu_seconds=1.5 * sum(calls),
                process=number // 2,
            ),
        )


def test_the_figures_of_planted_stages_are_theirs() -> None:
    stages = STAGE_SECONDS
    timed = statistics.figures("pillow", dict(turns(1.0, stages)), None, None, None)
    assert {name: time.mean_s for name, time in timed.stages.items()} == stages
    assert {name: time.p50_s for name, time in timed.stages.items()} == stages
    assert timed.whole.p50_s == 10.0
    assert timed.whole.images_per_second == pytest.approx(0.1)
    assert timed.cpu_seconds_per_image == pytest.approx(15.0)
    assert timed.keeps_budget


@pytest.mark.parametrize("files", [[], [0, 0], [0, 1, 2], [0, 1, 2, 3, 4, 5, 6, 7]])
def test_files_that_a_turn_takes_no_whole_passes_over_are_refused(files: list[int]) -> None:
    stages: Any = {stage: [0.2] * 4 for stage in STAGES}
    with pytest.raises(InvalidValueError, match="whole passes in 4 calls"):
        PipelineTurn(
            seconds=[1.0] * 4,
            stages=stages,
            elapsed_seconds=4.0,
            cpu_seconds=4.0,
            process=0,
            files=files,
        )
    turn = {"seconds": [1.0] * 4, "elapsed_seconds": 4.0, "cpu_seconds": 4.0, "process": 0}
    timed = statistics.figures(
        "pillow", {0: PipelineTurn(**turn, stages=stages, files=[0, 1])}, None, None, None
    )
    with pytest.raises(InvalidValueError, match="whole passes in 4 calls"):
        Pipeline(**msgspec.structs.asdict(timed) | {"files_of_round": {"0": files}})
    with pytest.raises(InvalidValueError, match="the rounds of whole"):
        Pipeline(**msgspec.structs.asdict(timed) | {"files_of_round": {"1": [0, 1]}})


@pytest.mark.parametrize("stages", [{}, {"decode": [1.0, 2.0]}, {"decode": [1.0]}])
def test_a_turn_without_every_stage_of_each_call_is_refused(stages: dict[str, Any]) -> None:
    whole = {key: [1.0] for key in STAGES} | stages if stages else {}
    if stages == {"decode": [1.0]}:
        whole.pop("label")
    with pytest.raises(InvalidValueError, match="as many as calls"):
        PipelineTurn(seconds=[5.0], stages=whole, elapsed_seconds=5.0, cpu_seconds=5.0, process=0)
