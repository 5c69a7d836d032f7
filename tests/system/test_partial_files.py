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


def test_unfinished_files_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    atomic_files.write_text(tmp_path / "best.ckpt", "whole")
    (tmp_path / ".hidden").touch()
    subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=60,
    )
    assert len(list(tmp_path.iterdir())) == 5  # an unfinished folder has a lock file beside it
    assert len(partial_files.remove(tmp_path)) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"best.ckpt", ".hidden"}
    assert (tmp_path / "best.ckpt").read_text() == "whole"


def test_unfinished_files_in_use_are_not_removed(tmp_path: Path) -> None:
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


def test_a_file_that_is_removed_before_it_is_locked_is_created_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []
    take = partial_files.file_locks.lock_exclusive

    def late(descriptor: int) -> None:
        if not taken:
            assert len(partial_files.remove(tmp_path)) == 1  # as another process would
        taken.append(descriptor)
        take(descriptor)

    monkeypatch.setattr(partial_files.file_locks, "lock_exclusive", late)
    atomic_files.write_text(tmp_path / "best.ckpt", "whole")
    assert len(taken) == 2
    assert contents(tmp_path) == {"best.ckpt": "whole"}


def test_removing_unfinished_files_leaves_all_others(tmp_path: Path) -> None:
    add_user_files(tmp_path)
    before = contents(tmp_path)
    leave_unfinished(tmp_path / "onnx")
    assert len(partial_files.remove(tmp_path)) == 1
    assert contents(tmp_path) == before
    assert partial_files.remove(tmp_path / "nowhere") == []


def test_a_run_removes_unfinished_files_only_where_it_writes(tmp_path: Path) -> None:
    """A folder with a config.yaml may be a user's project with other files."""
    run = Run(tmp_path / "run")
    elsewhere = tmp_path / "elsewhere"
    foreign = [elsewhere, run.folder / "lib" / "x", run.folder / "photos"]
    written = [run.folder, run.exports, run.exports / "eager", run.best_checkpoint.parent]
    for folder in (*foreign, *written, run.measurements, run.inference_traces, run.flipped):
        folder.mkdir(parents=True, exist_ok=True)
        add_user_files(folder)
    run.exports.joinpath("linked").symlink_to(elsewhere)
    before = contents(tmp_path)
    left = [leave_unfinished(folder / "x") for folder in (run.folder, run.exports / "eager")]
    kept = leave_unfinished(elsewhere / "x")
    run.remove_unfinished()
    assert not any(path.exists() for path in left)
    assert kept.is_dir()
    lock = kept.with_name(f"{kept.name}.lock")
    assert contents(tmp_path, without=[kept, lock]) == before


@pytest.mark.parametrize("name", ["x" * 250, "é" * 120, "caf\udce9.csv"])
def test_a_file_name_of_any_length_and_encoding_is_written(tmp_path: Path, name: str) -> None:
    atomic_files.write_text(tmp_path / name, "all")
    assert contents(tmp_path) == {name: "all"}


def test_a_write_error_names_the_final_file_and_not_the_temporary_one(
    tmp_path: Path,
) -> None:
    with pytest.raises(OSError, match=r"No such file or directory: '.*/none/best\.ckpt'") as raised:
        atomic_files.write_text(tmp_path / "none" / "best.ckpt", "all")
    assert raised.value.errno == errno.ENOENT
