from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from src import files, unfinished
from tests.conftest import ROOT

KILLED = """
import os, sys
from pathlib import Path
from src import files
place = Path(sys.argv[1])
with files.whole_folder(place / "onnx") as fresh, files.whole_file(place / "best.ckpt") as file:
    (fresh / "model").write_text("half")
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), 9)
"""


def test_what_a_killed_process_had_begun_is_removed(tmp_path: Path) -> None:
    files.write_text(tmp_path / "best.ckpt", "whole")
    (tmp_path / ".hidden").touch()
    subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=60,
    )
    assert len(list(tmp_path.iterdir())) == 4
    assert len(unfinished.remove(tmp_path)) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"best.ckpt", ".hidden"}
    assert (tmp_path / "best.ckpt").read_text() == "whole"


def test_what_is_being_written_stays(tmp_path: Path) -> None:
    with (
        files.whole_folder(tmp_path / "onnx") as fresh,
        files.whole_file(tmp_path / "best.ckpt") as file,
    ):
        (fresh / "model").write_text("all")
        assert unfinished.remove(tmp_path) == []
        file.write(b"all")
    assert (tmp_path / "onnx" / "model").read_text() == "all"
    assert (tmp_path / "best.ckpt").read_text() == "all"
    assert unfinished.remove(tmp_path) == []


def test_a_link_is_none_of_ours(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    link = tmp_path / f"{unfinished.prefix(Path('x'))}link"
    link.symlink_to(target)
    assert unfinished.remove(tmp_path) == []
    assert target.is_dir()
    with pytest.raises(FileNotFoundError), unfinished.held(tmp_path / "none"):
        pass
