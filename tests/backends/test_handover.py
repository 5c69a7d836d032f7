"""The program that is handed over to ExecuTorch's environment: whole, or not there."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
import torch

from src.backends.executorch import handover


def test_a_program_that_was_cut_short_is_not_taken_by_the_next_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_short(_: object, path: Path) -> NoReturn:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch.export, "export", lambda *_, **__: None)
    monkeypatch.setattr(torch.export, "save", cut_short)
    source: Any = SimpleNamespace(scratch=tmp_path, network=None, example=None)
    for _ in range(2):  # executorch, and executorch_int8
        with pytest.raises(OSError, match="No space left"):
            handover.program(source)
    monkeypatch.setattr(torch.export, "save", lambda _, path: path.write_bytes(b"whole"))
    path = handover.program(source)
    assert path.read_bytes() == b"whole"
    assert path.suffix == ".pt2"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    monkeypatch.setattr(torch.export, "save", cut_short)
    assert handover.program(source).read_bytes() == b"whole"
