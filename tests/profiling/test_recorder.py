"""Recorded windows of a small network: their traces, summaries, size limit and clean-up."""

from __future__ import annotations

import gc
import json
import weakref
from pathlib import Path

import msgspec
import pytest
import torch
from torch import nn

from src.profiling.options import ProfilingOptions
from src.profiling.plan import Window
from src.profiling.recorder import Recorder
from src.profiling.trace import Trace
from src.run.training_profile import Context
from src.run.training_profile import Window as RecordedWindow

WINDOW = Window(0, 1, 2)
CONTEXT = Context(
    batch_size=4, num_workers=0, device="cpu", precision="32-true", log_every_n_steps=50
)


def recorder(folder: Path, **options: object) -> Recorder:
    return Recorder(folder / "profile", 0, 1, ProfilingOptions(**options), CONTEXT)


def train(recording: Recorder, steps: int) -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.LazyLinear(10))
    network(torch.zeros(1, 3, 16, 16))
    optimizer = torch.optim.AdamW(network.parameters())
    for _ in range(steps):
        recording.enter("data loading")
        images = torch.randn(4, 3, 16, 16)
        recording.leave("data loading")
        recording.enter("forward")
        loss = network(images).square().sum()
        recording.leave("forward")
        recording.enter("backward")
        loss.backward()
        recording.leave("backward")
        optimizer.step()
        recording.step()


def test_a_window_ends_after_its_steps_and_writes_one_trace(tmp_path: Path) -> None:
    recording = recorder(tmp_path)
    recording.open(WINDOW, "train", epoch=3, step=40, global_step=40)
    assert recording.recording
    train(recording, 5)
    assert not recording.recording
    [window] = recording.windows
    assert window.problems == []
    assert (window.stage, window.epoch, window.first_step) == ("train", 3, 41)
    [file] = (tmp_path / "profile").glob("*.pt.trace.json.gz")
    assert file.name == window.file
    assert file.stat().st_size == window.bytes
    assert [step.name for step in Trace.read(file).steps] == ["ProfilerStep#41", "ProfilerStep#42"]
    assert sum(window.regions.values()) == pytest.approx(sum(window.step_seconds) / 2, rel=1e-3)
    assert {"aten::addmm", "aten::convolution_backward"} <= {
        operator.name for operator in window.operators
    }
    content = json.loads((tmp_path / "profile" / "rank0.json").read_text())
    assert msgspec.convert(content["windows"], list[RecordedWindow]) == [window]
    assert not torch.autograd._profiler_enabled()


def test_steps_between_windows_are_not_recorded(tmp_path: Path) -> None:
    recording = recorder(tmp_path)
    train(recording, 2)
    assert recording.windows == []
    assert not (tmp_path / "profile").exists()


def test_a_window_closed_early_keeps_its_complete_steps(tmp_path: Path) -> None:
    recording = recorder(tmp_path)
    recording.open(Window(0, 1, 3), "train", epoch=0, step=0, global_step=0)
    train(recording, 3)
    recording.close()
    [window] = recording.windows
    assert len(window.step_seconds) == 2
    assert window.problems == []


def test_a_window_closed_before_recording_adds_a_note(tmp_path: Path) -> None:
    recording = recorder(tmp_path)
    recording.open(WINDOW, "train", epoch=0, step=0, global_step=0)
    recording.close()
    assert recording.windows == []
    assert recording.notes == ["no trace of epoch 0 (train): it ended before a step was recorded"]
    assert list((tmp_path / "profile").glob("*")) == []


def traced_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*.pt.trace.json.gz"))


def test_all_traces_together_stay_within_max_trace_bytes(tmp_path: Path) -> None:
    first = recorder(tmp_path / "first")
    first.open(WINDOW, "train", epoch=0, step=0, global_step=0)
    train(first, 3)
    size = first.windows[0].bytes
    bound = int(2.5 * size)
    recording = recorder(tmp_path, max_trace_bytes=bound)
    for epoch in range(6):
        recording.open(WINDOW, "train", epoch=epoch, step=0, global_step=0)
        train(recording, 3)
    assert 0 < traced_bytes(tmp_path / "profile") <= bound
    assert len(recording.windows) < 6
    assert any("max_trace_bytes" in note for note in recording.notes)


def test_a_trace_over_max_trace_bytes_is_deleted_but_its_figures_stay(tmp_path: Path) -> None:
    recording = recorder(tmp_path, max_trace_bytes=100)
    recording.open(WINDOW, "train", epoch=0, step=0, global_step=0)
    train(recording, 3)
    assert traced_bytes(tmp_path / "profile") == 0
    [window] = recording.windows
    assert window.file is None
    assert window.operators
    assert any("was not kept" in note for note in recording.notes)


def test_an_unwritable_folder_adds_a_note_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "profile").write_text("a file where the folder should be")
    recording = recorder(tmp_path)
    recording.open(WINDOW, "train", epoch=0, step=0, global_step=0)
    train(recording, 4)
    assert not recording.recording
    assert any("could not be written" in note for note in recording.notes)


def test_a_damaged_trace_adds_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_half(_: object, path: str) -> None:
        Path(path).write_bytes(b"\x1f\x8b\x08")

    monkeypatch.setattr(torch.profiler.profile, "export_chrome_trace", write_half)
    recording = recorder(tmp_path)
    recording.open(WINDOW, "train", epoch=0, step=0, global_step=0)
    train(recording, 3)
    [note] = recording.notes
    assert "is broken: not a whole gzip file" in note


def test_a_finished_window_frees_its_profiler(tmp_path: Path) -> None:
    recording = recorder(tmp_path)
    recording.open(WINDOW, "train", epoch=0, step=0, global_step=0)
    reference = weakref.ref(recording._profiler)
    gc.disable()  # the window itself must free it
    try:
        train(recording, 3)
        assert reference() is None
    finally:
        gc.enable()


def test_a_second_recorder_of_a_folder_keeps_windows_notes_and_the_size_limit(
    tmp_path: Path,
) -> None:
    first = recorder(tmp_path)
    first.open(WINDOW, "train", epoch=0, step=0, global_step=0)
    train(first, 3)
    first.notes.append("a fault")
    first.save()
    size = first.windows[0].bytes
    second = recorder(tmp_path, max_trace_bytes=size + size // 4)
    assert second.windows == first.windows
    assert second.notes == ["a fault"]
    second.open(WINDOW, "train", epoch=1, step=3, global_step=3)
    train(second, 3)
    assert traced_bytes(tmp_path / "profile") == size
    assert any("max_trace_bytes" in note for note in second.notes)
    assert second.windows == first.windows


@pytest.mark.parametrize("content", ["", "[]", '{"schema_version": 99}', '{"windows": 3}'])
def test_a_damaged_record_of_the_windows_so_far_adds_a_note(tmp_path: Path, content: str) -> None:
    (tmp_path / "profile").mkdir()
    (tmp_path / "profile" / "rank0.json").write_text(content)
    recording = recorder(tmp_path)
    [note] = recording.notes
    assert note.startswith("the windows of the training so far are lost: ")
    recording.save()
    assert json.loads((tmp_path / "profile" / "rank0.json").read_text())["windows"] == []
