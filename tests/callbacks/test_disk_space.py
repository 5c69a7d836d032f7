"""Room on the disk for checkpoints and exports, before the first step."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from src.callbacks import disk_space
from src.callbacks.averaging import MovingAverage
from src.callbacks.disk_space import checkpoint_bytes
from src.cli import app
from src.cli.entry_point import run_command
from src.errors import UsageError
from tests.support.small_network import NAME
from tests.support.tiny_classifier import TinyNet, loader, trainer
from tests.training.test_errors_in_training import SHORT, error_line, train

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("elsewhere")]
CHECKPOINT = 4.2e6  # bytes of one of the small network with AdamW's state, about


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return a function that sets the free bytes of every disk."""

    def pretend(size: float, total: int = 10**12) -> None:
        usage = SimpleNamespace(total=total, used=0, free=int(size))
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)

    return pretend


def test_a_training_whose_checkpoints_do_not_fit_is_refused_and_leaves_no_run(
    free: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    free(10e6)  # the best and the last one, and no third one while one is replaced
    assert train() == UsageError.exit_code
    line = error_line(capsys)
    assert line.startswith("error: trainer.default_root_dir: expected 13 MB of free disk space, ")
    assert "for checkpoints of 4 MB each; found 10 MB in " in line
    assert not list(Path().iterdir())


def test_a_training_goes_on_with_the_room_to_replace_one_checkpoint(
    free: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    free(2.5 * CHECKPOINT)
    assert train("trainer.max_epochs=1") == 0  # nothing is replaced
    free(1.5 * CHECKPOINT)
    assert train("ckpt_path=last") == 0
    free(0.5 * CHECKPOINT)
    capsys.readouterr()
    assert train("trainer.max_epochs=3", "ckpt_path=last") == UsageError.exit_code
    assert "expected 4 MB of free disk space" in error_line(capsys)
    assert Path(f"lightning_logs/{NAME}/version_0/checkpoints/last.ckpt").is_file()


def test_a_line_tells_that_exports_and_traces_may_not_fit(
    free: Callable[[float], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("src.callbacks.export.ExportCallback.export", lambda *_: None)
    monkeypatch.setattr("src.callbacks.benchmark.BenchmarkCallback.on_fit_end", lambda *_: None)
    words = [word for word in SHORT if not word.startswith(("export", "benchmark", "profiler"))]
    more = ["export.formats=[eager,onnx_fp32]", "export.preflight=false", "benchmark.enabled=false"]
    free(20e6)
    run_command(lambda: app.main([*words, *more, "trainer.max_epochs=1"]))
    [line] = [line for line in capsys.readouterr().out.splitlines() if "the disk may" in line]
    assert "20 MB are free in " in line
    assert "checkpoints take 9 MB, exports about 3 MB, traces up to 50 MB" in line
    free(100e6)
    run_command(lambda: app.main([*words, *more, "trainer.max_epochs=1"]))
    assert "the disk may" not in capsys.readouterr().out


def test_a_trial_and_a_disk_of_unknown_size_are_not_checked(
    free: Callable[[float], None],
) -> None:
    free(0)
    assert train("trainer.fast_dev_run=true") == 0
    free(0, total=0)  # some network disks
    assert train("trainer.max_epochs=1") == 0


def test_a_training_of_few_steps_may_end_before_it_replaces_a_checkpoint(
    free: Callable[[float], None],
) -> None:
    free(2.5 * CHECKPOINT)
    assert train("trainer.max_epochs=30", "trainer.max_steps=1") == 0


class OneMoment(AdamW):
    """An optimizer of somebody else, which may keep less than torch's."""


def test_frozen_weights_and_unknown_optimizers_have_no_state_that_is_known() -> None:
    model = TinyNet()
    for parameter in model.network[0].parameters():
        parameter.requires_grad_(False)
    rest = sum(value.nbytes for value in model.parameters() if value.requires_grad)
    assert disk_space._state_bytes(AdamW(model.parameters(), lr=0.1)) == 2 * rest
    assert disk_space._state_bytes(OneMoment(model.parameters(), lr=0.1)) == 0


OPTIMIZERS: dict[str, Callable[[Any], Optimizer]] = {
    "AdamW": lambda parameters: AdamW(parameters, lr=0.1),
    "Adam": lambda parameters: Adam(parameters, lr=0.1),
    "SGD": lambda parameters: SGD(parameters, lr=0.1),
    "SGD with momentum": lambda parameters: SGD(parameters, lr=0.1, momentum=0.9),
    "RMSprop": lambda parameters: RMSprop(parameters, lr=0.1),
}


@pytest.mark.parametrize("averages", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_size_of_a_checkpoint_is_hardly_more_than_the_estimate(
    name: str, averages: bool, tmp_path: Path
) -> None:
    class Large(TinyNet):
        def __init__(self) -> None:
            super().__init__()
            self.more = torch.nn.Parameter(torch.zeros(300_000))

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return super().training_step(batch, batch_idx) + self.more.sum()

        def configure_optimizers(self) -> Any:
            return OPTIMIZERS[name](self.parameters())

    callbacks = [MovingAverage(0.9)] if averages else []
    fit = trainer(tmp_path, max_epochs=1, limit_val_batches=0, callbacks=callbacks)
    model = Large()
    sizes: list[int] = []
    model.on_train_end = lambda: (  # type: ignore[method-assign]
        sizes.append(checkpoint_bytes(fit, model)),
        fit.save_checkpoint(tmp_path / "x.ckpt"),
    )
    fit.fit(model, loader(), loader())
    written = (tmp_path / "x.ckpt").stat().st_size
    unknown = 1_200_000 if name == "RMSprop" else 0  # nothing is known of its state
    assert sizes[0] <= written <= sizes[0] + unknown + 60_000


def test_the_share_of_a_format_is_by_its_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    export = SimpleNamespace(options=SimpleNamespace(formats=["eager", "onnx_int8", "onnx_fp16"]))
    monkeypatch.setattr(disk_space, "enabled_export", lambda _: export)
    model = TinyNet()
    size = 4 * sum(value.numel() for value in model.parameters())
    training: Any = SimpleNamespace()
    assert disk_space._export_bytes(training, model) == round(1.75 * size)
