"""Runs with a profile, made without a training: real traces of a tiny network, planted figures."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import torch
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from src.profiling.options import ProfilingOptions
from src.profiling.plan import Window
from src.profiling.recorder import Recorder
from src.run.training_profile import Context
from tests.report.planted import FAILED, results, row

# The name of an operator and of a run, and an error; what it would do if it were not text.
HOSTILE = "<img src=x onerror=document.title='taken'>"
SCALARS = {
    "throughput/images_per_second": 800.0,
    "throughput/step_seconds": 0.04,
    "throughput/data_share": 0.1,
    "throughput/peak_rss_bytes": 9e8,
}
_CONTEXT = Context(
    batch_size=4, num_workers=0, device="cpu", precision="32-true", log_every_n_steps=50
)


def profiled_run(folder: Path) -> Path:
    """Write a run with two windows, the throughput, and two measured files, one with a trace.

    Args:
        folder: of the run; it must not exist.
    """
    profile = folder / "profile"
    options = ProfilingOptions(record_shapes=True, with_stack=True)
    recorder = Recorder(profile, 0, 1, options, _CONTEXT)
    for epoch in range(2):
        recorder.open(Window(0, 1, 2), "train", epoch=epoch, step=epoch * 9, global_step=epoch * 9)
        _train(recorder, 4)
    assert len(recorder.windows) == 2
    with SummaryWriter(str(folder)) as writer:
        for step in range(10, 110, 10):
            for tag, value in SCALARS.items():
                writer.add_scalar(tag, value * (1 + step / 1000), step)
    failed = row("onnx_int8", **{**FAILED, "reason": HOSTILE})
    planted = results(row("eager"), row("onnx_fp32"), failed)
    (folder / "benchmark.json").write_text(json.dumps(planted))
    (profile / "inference").mkdir()
    trace = next(profile.glob("train-*.json.gz"))
    shutil.copy(trace, profile / "inference" / "eager-cpu.pt.trace.json.gz")
    return folder


def hostile_copy(run: Path, folder: Path) -> Path:
    """Write a copy of a run whose operators have a hostile name."""
    shutil.copytree(run, folder)
    for trace in (folder / "profile").glob("*.json.gz"):
        text = gzip.decompress(trace.read_bytes()).decode()
        assert "aten::addmm" in text
        trace.write_bytes(gzip.compress(text.replace("aten::addmm", HOSTILE).encode()))
    return folder


def _train(recorder: Recorder, steps: int) -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.LazyLinear(10))
    network(torch.zeros(1, 3, 16, 16))
    optimizer = torch.optim.AdamW(network.parameters())
    for _ in range(steps):
        recorder.enter("data loading")
        images = torch.randn(4, 3, 16, 16)
        recorder.leave("data loading")
        recorder.enter("forward")
        loss = network(images).square().sum()
        recorder.leave("forward")
        recorder.enter("backward")
        loss.backward()
        recorder.leave("backward")
        optimizer.step()
        recorder.step()
