"""Two formats of one run, whose environments have versions of PyTorch that conflict."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from src import formats
from src.benchmark.statistics import fidelity
from src.export.one_format import export_one
from src.export.options import ExportOptions
from src.export.source import make_source
from src.models.network import NetworkSpec
from src.system import environments
from src.worker import protocol
from src.worker.guarded_process import Limits
from src.worker.process import WorkerProcess
from tests.conftest import ROOT
from tests.formats.test_contract import CLASSES, PREPROCESSING, trained_network
from tests.support.planted_wheels import wheel

pytestmark = pytest.mark.slow  # both environments are made, which takes a network

VERSIONS = {"mnn": "0.0.1", "ncnn": "0.0.2"}  # of PyTorch, by the format
LIMITS = Limits(threads=1, answer_seconds=300, resident_bytes=10**11)


def version_in(python: Path | str) -> str:
    program = "import torch; print(torch.__version__)"
    return subprocess.check_output([python, "-c", program], text=True).strip()


def test_each_is_exported_and_runs_with_its_own_and_ours_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, lock = version_in(sys.executable), (ROOT / "requirements.lock").read_bytes()
    root, wheels = tmp_path / "environments", tmp_path / "wheels"
    root.mkdir()
    wheels.mkdir()
    for name, version in VERSIONS.items():
        digest = wheel(wheels, version, "torch")
        text = (environments.ROOT / f"{name}.lock").read_text(encoding="utf-8")
        (root / f"{name}.lock").write_text(
            f"--find-links {wheels}\n{text}torch=={version} --hash=sha256:{digest}\n"
        )
    uv = environments.uv()
    if uv is None:
        pytest.skip("uv is not installed")
    monkeypatch.setattr(environments, "uv", lambda: uv)
    monkeypatch.setattr(environments, "ROOT", root)
    images = torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    spec = NetworkSpec("shufflenet_v2_x0_5", len(CLASSES))
    network = trained_network(spec, images)
    with torch.inference_mode():
        expected = network(images).numpy()
    options = ExportOptions(formats=[*VERSIONS])
    selection = images[8:], torch.from_numpy(expected[8:]).argmax(1)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    source = make_source(
        network, spec, CLASSES, images[:8], PREPROCESSING, scratch, selection, options
    )
    with contextlib.ExitStack() as stack:
        workers = {}
        for name in VERSIONS:  # both processes live at the same time
            entry = export_one(name, source, tmp_path / name)
            assert entry.status == "ok", entry.reason
            worker = stack.enter_context(
                contextlib.closing(WorkerProcess(name, tmp_path / name, "cpu", LIMITS))
            )
            worker.ask(protocol.Load(classes=len(CLASSES)))
            workers[name] = worker
        for name, worker in workers.items():
            tolerance = formats.get(name).tolerance
            logits = worker.predict(images.numpy())
            assert fidelity.mismatch(logits, expected, tolerance) is None
            assert np.isfinite(logits).all()
    found = {name: version_in(formats.get(name).python()) for name in VERSIONS}
    assert found == VERSIONS
    assert version_in(sys.executable) == ours not in VERSIONS.values()
    assert (ROOT / "requirements.lock").read_bytes() == lock
    shutil.rmtree(root)
