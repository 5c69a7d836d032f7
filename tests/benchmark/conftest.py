"""Runs with planted exports."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from src import formats
from src.export.stage import PROBE
from src.run.folder import Run
from src.run.layout import as_dict
from src.system import atomic_files
from tests.benchmark.planted_formats import NAMES, PLANTED, Data, taken
from tests.conftest import ROOT


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run folder with planted exports, and workers that find the planted formats."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "planted.py").write_text(PLANTED)
    (site / "sitecustomize.py").write_text(
        "import importlib\n"
        "from src import formats\n"
        "formats.get = lambda name: importlib.import_module('planted').Planted()\n"
    )
    path = os.pathsep.join([str(site), str(ROOT)])
    monkeypatch.setenv("PYTHONPATH", path)
    planted = ModuleType("planted")
    exec(PLANTED, planted.__dict__)  # noqa: S102  # our own text
    monkeypatch.setattr(formats, "get", lambda _: planted.Planted())

    run = Run(tmp_path / "planted" / "version_0")
    entries = {}
    for name in NAMES:
        (run.exports / name).mkdir(parents=True)
        failed = name == "broken"
        (run.exports / name / "weights").write_text(name)
        entries[name] = {
            "precision": "fp32",
            "status": "failed" if failed else "ok",
            "reason": "it could not be exported" if failed else None,
            "files": [] if failed else taken(run.exports / name, "weights"),
        }
    manifest = {
        "schema_version": 1,
        "run": run.name,
        "model": "planted",
        "parameters": 1,
        "macs": 1,
        "input_shape": [3, 4, 4],
        "num_classes": 3,
        "class_names": ["a", "b", "c"],
        "checkpoint": {"path": "none", "sha256": "0", "epoch": 0},
        "preprocessing": {
            "image_size": 4,
            "resize": "squash",
            "mean": [0.5] * 3,
            "std": [0.5] * 3,
        },
        "calibration": {"split": "train", "images": 0, "images_sha256": []},
        "formats": entries,
    }
    run.manifest.write_text(json.dumps(manifest))
    data = Data()
    np.savez(run.exports / PROBE, images=data.images[:8], logits=data.logits[:8])
    return run


@pytest.fixture
def well_behaved(run: Run) -> Run:
    """The run with the two formats that nothing is wrong with."""
    manifest = as_dict(run.read_manifest())
    manifest["formats"] = {name: manifest["formats"][name] for name in ("eager", "talking")}
    atomic_files.write_json(run.manifest, manifest)
    return run
