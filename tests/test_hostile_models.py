"""Exported files from strangers: a worker process refuses them and reads no other file."""

from __future__ import annotations

import contextlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from src.worker import protocol
from src.worker.errors import WorkerError
from src.worker.guarded_process import Limits
from src.worker.process import WorkerProcess


@contextlib.contextmanager
def loaded(name: str, folder: Path) -> Iterator[WorkerProcess]:
    """Load a format's folder in a worker process."""
    limits = Limits(threads=1, answer_seconds=100, resident_bytes=10**11)
    with contextlib.closing(WorkerProcess(name, folder, "cpu", limits)) as worker:
        worker.ask(protocol.Load())
        yield worker


def test_an_onnx_file_cannot_read_weights_outside_of_its_folder(tmp_path: Path) -> None:
    import onnx

    weights = np.ones((4, 4), np.float32)
    (tmp_path / "secret.bin").write_bytes(weights.tobytes())
    constant = onnx.numpy_helper.from_array(weights, "weights")
    onnx.external_data_helper.set_external_data(constant, location="../secret.bin")
    constant.ClearField("raw_data")
    constant.data_location = onnx.TensorProto.EXTERNAL
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["images", "weights"], ["logits"])],
        "stranger",
        [onnx.helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, ["n", 4])],
        [onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["n", 4])],
        [constant],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)])
    folder = tmp_path / "onnx_fp32"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(WorkerError, match=r"(?i)external data"), loaded("onnx_fp32", folder):
        pass


@pytest.mark.parametrize("name", ["torchscript", "onnx_fp32"])
def test_a_damaged_model_file_fails_in_its_worker_only(tmp_path: Path, name: str) -> None:
    for file in ("model.pt", "model.onnx"):
        (tmp_path / file).write_bytes(b"no such file" * 100)
    with pytest.raises(WorkerError), loaded(name, tmp_path):
        pass
    assert torch.get_num_threads() >= 1  # this process is alive


def test_a_package_cannot_write_outside_of_its_scratch_folder(tmp_path: Path) -> None:
    import platform

    folder = tmp_path / "a" / "b" / "torch_export"
    folder.mkdir(parents=True)
    about = {"machine": platform.machine(), "instruction_sets": []}
    with zipfile.ZipFile(folder / "model.pt2", "w") as package:
        package.writestr("x/extra/lightship.json", json.dumps(about))
        package.writestr(f"../../../../../../..{tmp_path}/evil.so", b"no library")
    with pytest.raises(WorkerError), loaded("torch_export", folder):
        pass
    assert not list(tmp_path.rglob("evil.so"))
