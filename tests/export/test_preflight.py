"""The trial export before the first step, and the comparison of networks that comes before it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from lightning.pytorch import Trainer
from torch import nn

from src.callbacks.benchmark import BenchmarkCallback
from src.callbacks.export import ExportCallback
from src.data.preprocessing import Preprocessing
from src.errors import UsageError
from src.export import stage
from src.export.options import ExportOptions
from src.export.preflight import preflight
from src.export.source import Checkpoint
from src.formats.eager import Eager
from src.models.classifier import Classifier
from src.models.network import NetworkSpec
from src.run.folder import Run
from tests.support.small_network import BUILDER

CLASSES = ["ant", "bee", "cat"]
PREPROCESSING = Preprocessing(32)


class Named(Classifier):
    builder = BUILDER


class Altered(Named):
    def __init__(self, **options: Any) -> None:
        super().__init__(CLASSES, **options)
        self.network.maxpool = nn.Identity()


def trainer_of(*callbacks: object, is_zero: bool = True, shards: bool = False) -> Trainer:
    """Return what the callback reads of a Trainer."""
    data = SimpleNamespace(preprocessing=PREPROCESSING)
    strategy = SimpleNamespace(restore_checkpoint_after_setup=shards)
    trainer = SimpleNamespace(
        callbacks=list(callbacks), is_global_zero=is_zero, datamodule=data, strategy=strategy
    )
    return cast("Trainer", trainer)


def begin(callback: ExportCallback, model: Classifier, **options: Any) -> None:
    """Call the hooks before the first step."""
    trainer = trainer_of(callback, **options)
    callback.setup(trainer, model, "fit")
    callback.on_fit_start(trainer, model)


@pytest.mark.parametrize("shards", [False, True])
@pytest.mark.parametrize("tries", [False, True])
def test_a_changed_network_is_refused_before_the_first_step(tries: bool, shards: bool) -> None:
    with pytest.raises(UsageError) as error:
        begin(ExportCallback(preflight=tries), Altered(), shards=shards)
    line = str(error.value)
    assert line.startswith(f"model: expected {BUILDER} unchanged")
    assert "found maxpool is Identity and not MaxPool2d(" in line
    assert "src/models/own/" in line
    assert "export.enabled=false benchmark.enabled=false" in line


def test_a_sharded_network_is_compared_only_while_it_is_whole() -> None:
    callback = ExportCallback(preflight=False)
    callback.on_fit_start(trainer_of(shards=True), Altered())
    callback.setup(trainer_of(shards=True), Altered(), "test")


def test_an_unchanged_network_goes_on_to_the_trial_export() -> None:
    begin(ExportCallback(formats=["eager"]), Named(CLASSES))


def test_other_processes_compare_nothing() -> None:
    begin(ExportCallback(preflight=False), Altered(), is_zero=False)


@pytest.mark.parametrize("kind", [Altered, lambda: Named(CLASSES)])
def test_a_changed_network_that_was_trained_without_exports_is_refused_by_a_later_one(
    kind: Any, tmp_path: Path
) -> None:
    model = kind()
    begin(ExportCallback(enabled=False), model)
    content: dict[str, Any] = {"epoch": 0, "state_dict": model.state_dict()}
    content["lightship"] = saved_facts(model)
    path = tmp_path / "best.ckpt"
    torch.save(content, path)
    checkpoint = Checkpoint.read(path)
    if not isinstance(model, Altered):
        assert checkpoint.alteration == ""
        checkpoint.require_unaltered()
        return
    with pytest.raises(UsageError, match=r"maxpool is Identity.*models/own/.*, and train again"):
        stage.export_run(
            Run(tmp_path), checkpoint, cast("Any", None), ExportOptions(), lambda *_: None
        )


def saved_facts(model: Classifier) -> Any:
    """Return what a checkpoint says of its network."""
    checkpoint: dict[str, Any] = {}
    model._epoch_loss = cast("Any", SimpleNamespace(state_dict=lambda _: {}))
    model._trainer = cast("Any", SimpleNamespace())
    model.on_save_checkpoint(checkpoint)
    return checkpoint["lightship"]


@pytest.mark.parametrize(
    ("others", "names_baseline"),
    [
        ([BenchmarkCallback()], True),
        ([BenchmarkCallback(baseline="onnx_fp32")], False),
        ([BenchmarkCallback(enabled=False)], False),
        ([], False),
    ],
)
def test_a_format_that_fails_is_named_with_a_remedy_that_works(
    others: list[Any], names_baseline: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("shared")

    monkeypatch.setattr(Eager, "export", fail)
    callback = ExportCallback(formats=["eager"])
    with pytest.raises(UsageError, match="eager, which failed: RuntimeError: shared") as error:
        callback.on_fit_start(trainer_of(*others, callback), Named(CLASSES))
    assert "leave it out of export.formats" in str(error.value)
    assert ("benchmark.baseline" in str(error.value)) is names_baseline


def test_a_network_with_shared_weights_is_exported_in_every_quick_format() -> None:
    pytest.importorskip("timm")
    spec = NetworkSpec.of("timm/coat_tiny", 3, 32, {})
    options = ExportOptions(formats=["eager", "torchscript"])
    preflight(
        spec,
        CLASSES,
        PREPROCESSING.input_shape,
        PREPROCESSING.facts(),
        options,
        lambda *_: None,
    )
