from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from src.run.folder import Run
from src.system import atomic_files, partial_files
from tests.conftest import ROOT
from tests.support.user_files import add_user_files, contents, leave_unfinished

KILLED = """
import os, sys
from pathlib import Path
from src.system import atomic_files
place = Path(sys.argv[1])
folder = atomic_files.whole_folder(place / "onnx")
with folder as fresh, atomic_files.whole_file(place / "best.ckpt") as file:
    (fresh / "model").write_text("half")
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), 9)
"""


def test_what_a_killed_process_had_begun_is_removed(tmp_path: Path) -> None:
    atomic_files.write_text(tmp_path / "best.ckpt", "whole")
    (tmp_path / ".hidden").touch()
    subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=60,
    )
    assert len(list(tmp_path.iterdir())) == 5  # a folder has a lock beside it
    assert len(partial_files.remove(tmp_path)) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"best.ckpt", ".hidden"}
    assert (tmp_path / "best.ckpt").read_text() == "whole"


def test_what_is_being_written_stays(tmp_path: Path) -> None:
    with (
        atomic_files.whole_folder(tmp_path / "onnx") as fresh,
        atomic_files.whole_file(tmp_path / "best.ckpt") as file,
    ):
        (fresh / "model").write_text("all")
        assert partial_files.remove(tmp_path) == []
        file.write(b"all")
    assert (tmp_path / "onnx" / "model").read_text() == "all"
    assert (tmp_path / "best.ckpt").read_text() == "all"
    assert partial_files.remove(tmp_path) == []


def test_a_file_that_is_removed_before_it_is_locked_is_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []
    take = partial_files.file_locks.take

    def late(descriptor: int) -> None:
        if not taken:
            assert len(partial_files.remove(tmp_path)) == 1  # another process comes before
        taken.append(descriptor)
        take(descriptor)

    monkeypatch.setattr(partial_files.file_locks, "take", late)
    atomic_files.write_text(tmp_path / "best.ckpt", "whole")
    assert len(taken) == 2
    assert contents(tmp_path) == {"best.ckpt": "whole"}


def test_removing_leftovers_touches_nothing_else(tmp_path: Path) -> None:
    add_user_files(tmp_path)
    before = contents(tmp_path)
    leave_unfinished(tmp_path / "onnx")
    assert len(partial_files.remove(tmp_path)) == 1
    assert contents(tmp_path) == before
    assert partial_files.remove(tmp_path / "nowhere") == []


def test_a_run_looks_for_leftovers_only_where_it_writes(tmp_path: Path) -> None:
    """A folder with a config.yaml may be a whole project."""
    run = Run(tmp_path / "run")
    elsewhere = tmp_path / "elsewhere"
    theirs = [elsewhere, run.folder / "lib" / "x", run.folder / "photos"]
    ours = [run.folder, run.exports, run.exports / "eager", run.best_checkpoint.parent]
    for folder in (*theirs, *ours, run.measurements, run.inference_traces, run.flipped):
        folder.mkdir(parents=True, exist_ok=True)
        add_user_files(folder)
    run.exports.joinpath("linked").symlink_to(elsewhere)
    before = contents(tmp_path)
    left = [leave_unfinished(folder / "x") for folder in (run.folder, run.exports / "eager")]
    stays = leave_unfinished(elsewhere / "x")
    run.remove_unfinished()
    assert not any(path.exists() for path in left)
    assert stays.is_dir()
    lock = stays.with_name(f"{stays.name}.lock")
    assert contents(tmp_path, without=[stays, lock]) == before


@pytest.mark.parametrize("name", ["x" * 250, "é" * 120, "caf\udce9.csv"])
def test_a_name_of_any_length_and_encoding_is_written(tmp_path: Path, name: str) -> None:
    atomic_files.write_text(tmp_path / name, "all")
    assert contents(tmp_path) == {name: "all"}


def test_a_folder_that_cannot_be_written_is_named_by_the_file_that_was_wanted(
    tmp_path: Path,
) -> None:
    with pytest.raises(OSError, match=r"No such file or directory: '.*/none/best\.ckpt'") as told:
        atomic_files.write_text(tmp_path / "none" / "best.ckpt", "all")
    assert told.value.errno == errno.ENOENT
