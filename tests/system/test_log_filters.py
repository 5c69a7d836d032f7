"""Warnings of libraries: reworded in one line without a path, or left out."""

from __future__ import annotations

import site
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from src.system import library_errors, log_filters

LIBRARY = str(Path(site.getsitepackages()[0]) / "lightning" / "pytorch" / "loops" / "fit_loop.py")
OURS = str(Path(library_errors.__file__).parents[1] / "graph_passes" / "__init__.py")

REWORDED = {
    "logging interval": (
        "The number of training batches (4) is smaller than the logging interval "
        "Trainer(log_every_n_steps=5). Set a lower value for log_every_n_steps if you want to see "
        "logs for the training epoch.",
        "set trainer.log_every_n_steps=4",
    ),
    "GPU": (
        "GPU available but not used. You can set it by doing `Trainer(accelerator='gpu')`.",
        "set trainer=gpu",
    ),
    "loading processes": (
        "This DataLoader will create 64 worker processes in total. Our suggested max number of "
        "worker in current system is 2, which is smaller than what this DataLoader is going to "
        "create. Please be aware that excessive worker creation might get DataLoader running slow",
        "set data.num_workers=2",
    ),
    "driver": (
        "CUDA initialization: The NVIDIA driver on your system is too old (found version 11040).",
        "torch cannot use the GPU: The NVIDIA driver on your system is too old",
    ),
    "unused parameters": (
        "find_unused_parameters=True was specified in DDP constructor, but did not find any",
        "set trainer.strategy=ddp",
    ),
    "deterministic": (
        "upsample_bilinear2d does not have a deterministic implementation, but you set",
        "trainer.deterministic: upsample_bilinear2d",
    ),
}
LEFT_OUT = [
    "Checkpoint directory /somewhere exists and is not empty.",
    "Found 3 module(s) in eval mode at the start of training.",
    "The 'val_dataloader' does not have many workers which may be a bottleneck.",
    "Detected call of `lr_scheduler.step()` before `optimizer.step()`.",
    "'pin_memory' argument is set as true but no accelerator is found",
    "`isinstance(treespec, LeafSpec)` is deprecated",
]


def as_python_does(*shown: Any) -> None:
    sys.stderr.write(warnings.formatwarning(*shown[:4]))


# Python's own function. A library may have replaced warnings.formatwarning in this process.
PYTHONS_FORMAT = warnings._formatwarning_orig  # type: ignore[attr-defined]  # its only name


def warn(text: str, file: str, kind: type[Warning] = UserWarning, times: int = 1) -> None:
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(warnings, "showwarning", as_python_does)  # instead of pytest's
        warnings.simplefilter("always")
        with log_filters.one_line_warnings():
            for _ in range(times):
                warnings.warn_explicit(text, kind, file, 321)


@pytest.mark.parametrize("name", REWORDED)
def test_a_warning_that_a_user_can_act_on_is_reworded_in_one_line(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text, expected = REWORDED[name]
    warn(text, LIBRARY, times=2)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("warning: ")
    assert expected in lines[0]
    assert "site-packages" not in lines[0]


@pytest.mark.parametrize("text", LEFT_OUT)
def test_any_other_warning_of_a_library_is_left_out(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    warn(text, LIBRARY)
    warn(text, LIBRARY, FutureWarning)
    assert capsys.readouterr().err == ""


def test_a_warning_of_this_project_is_one_line_without_a_path(
    capsys: pytest.CaptureFixture[str],
) -> None:
    warn("the network is exported\nas it is", OURS)
    assert capsys.readouterr().err == "warning: the network is exported as it is\n"


def test_a_warning_of_a_users_own_module_is_shown_as_python_shows_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    warn("look here", str(tmp_path / "mine.py"))
    assert "mine.py:321: UserWarning: look here" in capsys.readouterr().err


def test_the_traceback_variable_shows_every_warning_with_its_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(library_errors.TRACEBACK, "1")
    # Lightning replaces formatwarning by one that leaves out the category.
    monkeypatch.setattr(warnings, "formatwarning", PYTHONS_FORMAT)
    warn(LEFT_OUT[0], LIBRARY)
    assert "fit_loop.py:321: UserWarning" in capsys.readouterr().err


def test_the_original_showwarning_is_restored() -> None:
    original = warnings.showwarning
    with log_filters.one_line_warnings():
        assert warnings.showwarning is not original
    assert warnings.showwarning is original
