from __future__ import annotations

import errno
import os
import signal
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


# A process that replaces a folder where names cannot be exchanged, and is killed after a rename.
KILLED_BETWEEN = """
import errno, os, sys
from pathlib import Path
from src.system import atomic_files
place, renames, signal = Path(os.fsdecode(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3])

def refuse(*_):
    raise OSError(errno.EINVAL, "Invalid argument")

def counted(self, target):
    global renames
    renames -= 1
    if renames == -1:
        os.kill(os.getpid(), signal)  # SIGINT raises KeyboardInterrupt
    return replace(self, target)

atomic_files._rename_exchange = refuse
replace, Path.replace = Path.replace, counted
with atomic_files.whole_folder(place) as fresh:
    (fresh / "model").write_text("new")
"""
# A name of which the marked one has only the start, one in another encoding, and usual ones.
NAMES = ["onnx", "x" * 200, "caf\udce9", "a.lightship-unfinished-b"]


def replace_and_kill(place: Path, renames: int, signal: int) -> None:
    """Replace the folder at ``place``, and send a signal after a number of renames."""
    process = subprocess.run(
        [sys.executable, "-c", KILLED_BETWEEN, os.fsencode(place), str(renames), str(signal)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=60,
        capture_output=True,
    )
    assert process.returncode == -signal, process.stderr


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("renames", "kept"), [(0, "old"), (1, "old"), (2, "new")])
def test_a_folder_that_a_killed_process_was_replacing_is_there_afterwards(
    name: str, renames: int, kept: str, tmp_path: Path
) -> None:
    place = tmp_path / name
    place.mkdir()
    (place / "model").write_text("old")
    replace_and_kill(place, renames, signal.SIGKILL)
    assert place.exists() == (renames != 1)
    assert len(partial_files.remove(tmp_path)) == 1
    assert contents(tmp_path) == {name: "folder or pipe", f"{name}/model": kept}


@pytest.mark.parametrize(("renames", "kept"), [(1, "old"), (2, "new")])
def test_a_folder_that_an_interrupted_process_was_replacing_is_there_at_once(
    renames: int, kept: str, tmp_path: Path
) -> None:
    place = tmp_path / "onnx"
    place.mkdir()
    (place / "model").write_text("old")
    replace_and_kill(place, renames, signal.SIGINT)
    assert contents(tmp_path) == {"onnx": "folder or pipe", "onnx/model": kept}


def test_a_later_folder_is_not_replaced_by_the_one_that_was_put_aside(tmp_path: Path) -> None:
    place = tmp_path / "onnx"
    place.mkdir()
    (place / "model").write_text("old")
    replace_and_kill(place, 1, signal.SIGKILL)
    with atomic_files.whole_folder(place) as fresh:
        (fresh / "model").write_text("later")
    assert len(partial_files.remove(tmp_path)) == 1
    assert contents(tmp_path) == {"onnx": "folder or pipe", "onnx/model": "later"}


@pytest.mark.parametrize("name", ["", "../onnx", "/onnx", "other", "onnx\0", "..", "\xff"])
def test_a_changed_lock_file_puts_no_folder_elsewhere(name: str, tmp_path: Path) -> None:
    place = tmp_path / "exports" / "onnx"
    place.mkdir(parents=True)
    (place / "model").write_text("old")
    replace_and_kill(place, 1, signal.SIGKILL)
    [lock] = place.parent.glob("*.lock")
    lock.write_text(name, encoding="latin-1")
    partial_files.remove(place.parent)
    assert [path.name for path in tmp_path.iterdir()] == ["exports"]
    [folder] = place.parent.iterdir()
    assert folder.name == "onnx" if name == "" else folder.name.endswith(".aside")
    assert (folder / "model").read_text() == "old"


@pytest.mark.parametrize("start", [".", ".."])
@pytest.mark.parametrize("content", ["", ".", ".."])
def test_a_lock_file_that_names_its_own_folder_or_the_one_above_it_removes_neither(
    start: str, content: str, tmp_path: Path
) -> None:
    inner = tmp_path / "run" / "exports"
    inner.mkdir(parents=True)
    (inner / "model").write_text("mine")
    (inner / f".{start}.lightship-unfinished-{'0' * 16}.lock").write_text(content)
    partial_files.remove(inner)
    assert contents(tmp_path)["run/exports/model"] == "mine"


def test_a_link_that_was_put_aside_is_not_followed_and_not_put_back(tmp_path: Path) -> None:
    """The links of a run are checked before its unfinished files are removed."""
    target, place = tmp_path / "target", tmp_path / "run" / "onnx"
    for folder in (target, place):
        folder.mkdir(parents=True)
    (target / "precious").write_text("mine")
    replace_and_kill(place, 1, signal.SIGKILL)
    [aside] = place.parent.glob("*.aside")
    aside.rmdir()
    aside.symlink_to(target)
    partial_files.remove(place.parent)
    assert not place.exists()
    assert contents(target) == {"precious": "mine"}


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
