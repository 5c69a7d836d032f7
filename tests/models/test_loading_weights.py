"""Networks that ask for more than tensors by name, or give more than logits."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from PIL import Image

from src import formats
from src.backends.base import ExportSource
from src.backends.torch.only_logits import for_scripting
from src.export.source import Checkpoint, make_source
from src.export.stage import export_one
from src.models import builders
from src.models.network import NetworkSpec
from tests.formats.test_contract import CLASSES, PREPROCESSING

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
SPEC = NetworkSpec("mnasnet0_5", len(CLASSES))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> ExportSource:
    """MNASNet, which asks for the version of its weights."""
    torch.manual_seed(0)
    network = SPEC.build().train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn(8, 3, 32, 32))
    scratch = tmp_path_factory.mktemp("scratch")
    return make_source(network.eval(), SPEC, CLASSES, IMAGES, PREPROCESSING, scratch)


def test_a_checkpoint_gives_its_network(source: ExportSource, tmp_path: Path) -> None:
    weights = source.network.state_dict()
    content = {
        "epoch": 0,
        "state_dict": {f"network.{name}": value for name, value in weights.items()},
        "lightship": {"model": "mnasnet0_5", "network": SPEC.to_dict(), "class_names": CLASSES},
    }
    torch.save(content, tmp_path / "best.ckpt")
    network = Checkpoint.read(tmp_path / "best.ckpt").network()
    assert torch.equal(network(IMAGES), source.network(IMAGES))


def test_weights_that_do_not_fit_are_still_refused(source: ExportSource) -> None:
    weights = dict(source.network.state_dict())
    del weights["classifier.1.bias"]
    with pytest.raises(RuntimeError, match=r"classifier\.1\.bias"):
        builders.load_weights(SPEC.build(), weights)
    builders.load_weights(SPEC.build(), weights, strict=False)


def test_its_exported_file_and_its_lines_of_use_work(source: ExportSource, tmp_path: Path) -> None:
    entry = export_one("eager", source, tmp_path / "eager")
    assert entry.status == "ok", entry.reason
    loaded = formats.get("eager").load(tmp_path / "eager", "cpu", 1)
    expected = source.network(IMAGES).detach().numpy()
    assert abs(loaded(IMAGES.numpy()) - expected).max() <= 1e-5 * abs(expected).max()
    Image.new("RGB", (40, 30), (200, 100, 50)).save(tmp_path / "picture.png")
    assert entry.usage is not None
    ended = subprocess.run(
        [sys.executable, "-c", entry.usage.replace("{folder}", str(tmp_path / "eager"))],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() in CLASSES


@pytest.mark.parametrize("name", ["googlenet", "inception_v3", "resnet34"])
def test_torchscript_gives_logits_alone(name: str) -> None:
    # Without memory: only the type of the output is asked for.
    network = builders.outline(name, {"num_classes": 5, **builders.default_options(name, None)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the deprecation of TorchScript
        scripted = torch.jit.script(for_scripting(network.eval()))
    [output] = scripted.forward.schema.returns
    assert output.type.kind() == "TensorType"
