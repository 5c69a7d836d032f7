"""The same weights give the same files, byte for byte, also in another process.

The int8 files are made without a search, which chooses by speed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from src import formats
from src.system.packages import missing_packages
from tests.conftest import ROOT

PROGRAM = """
import json, sys
from pathlib import Path
import torch
from src.data.preprocessing import Preprocessing
from src.export.options import ExportOptions
from src.export.source import make_source
from src.export.stage import export_one
from src.formats.onnx_int8 import OnnxInt8Options
from src.formats.openvino_int8 import OpenVinoInt8Options
from src.models.network import NetworkSpec

name, folder = sys.argv[1], Path(sys.argv[2])
torch.manual_seed(0)
torch.set_num_threads(1)
spec = NetworkSpec("shufflenet_v2_x0_5", 10, {})
network = spec.build().eval()
images, labels = torch.rand(40, 3, 32, 32), torch.arange(32) % 10
source = make_source(
    network, spec, [str(label) for label in range(10)], images[:8], Preprocessing(32).facts(),
    folder, (images[8:], labels),
    ExportOptions(
        onnx_int8=OnnxInt8Options(search_seconds=0),
        openvino_int8=OpenVinoInt8Options(search_seconds=0),
    ),
)
entry = export_one(name, source, folder / name)
print(json.dumps([entry.status, entry.reason, [file.sha256 for file in entry.files]]))
"""


def exported(name: str, folder: Path, seed: int) -> list[str] | None:
    folder.mkdir()
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, name, str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": str(seed)},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    status, reason, hashes = json.loads(ended.stdout.strip().splitlines()[-1])
    if status == "skipped":
        pytest.skip(reason)
    assert status == "ok", reason
    return hashes


@pytest.mark.slow
@pytest.mark.parametrize("name", formats.names())
def test_a_format_is_written_the_same_again_or_says_why_not(name: str, tmp_path: Path) -> None:
    if formats.get(name).environment:
        pytest.skip("its environment is installed for tests/formats/test_own_environments.py only")
    if missing := missing_packages(formats.get(name).requires):
        pytest.skip(f"not installed: {', '.join(missing)}")
    same = exported(name, tmp_path / "one", 1) == exported(name, tmp_path / "other", 2)
    assert same == (formats.get(name).varies is None)
