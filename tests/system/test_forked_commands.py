"""Commands in copies of a process that has imported their modules."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from src.system import child_commands, forked_commands, lock_holders
from src.system.signals import Stopped
from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(
    not forked_commands.are_possible(), reason="a copy needs Linux without a GPU"
)

# Imported once. A copy shares its object, and a new process would have another one.
LIBRARY = """
import os, random, numpy
made_in = os.getpid()
numpy.random.random(), random.random()
"""
COMMAND = """
import atexit, json, os, random, signal, sys, threading, time
import numpy
import slow_library

if __name__ == "__main__":
    what, *words = sys.argv[1:]
    if what == "tell":
        print(json.dumps({
            "argv": words,
            "program": os.path.basename(sys.argv[0]),
            "library": slow_library.made_in,
            "pid": os.getpid(),
            "group": os.getpgid(0),
            "session": os.getsid(0),
            "variable": os.environ.get("VARIABLE"),
            "left": os.environ.get("LEFT"),
            "folder": os.getcwd(),
            "input": sys.stdin.read(),
            "numbers": [random.random(), numpy.random.random()],
            "handled": {
                str(int(number)): signal.getsignal(number) is signal.SIG_DFL
                for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
            },
        }))
    elif what == "exit":
        sys.exit(int(words[0]) if words[0].isdecimal() else words[0])
    elif what == "fail":
        raise ValueError("a defect")
    elif what == "late":
        atexit.register(print, "at the end")
        threading.Thread(target=lambda: (time.sleep(0.3), print("thread"))).start()
        print("main")
    elif what == "wait":
        open(words[0] + ".part", "w").write(str(os.getpid()))
        os.rename(words[0] + ".part", words[0])
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
        while True:
            time.sleep(0.05)
"""
IMPORTED = ("slow_library",)


@pytest.fixture(autouse=True)
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "slow_library.py").write_text(LIBRARY)
    (tmp_path / "told.py").write_text(COMMAND)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("LEFT", "from the server")
    forked_commands._started.cache_clear()
    yield
    forked_commands._started(IMPORTED).close()
    forked_commands._started.cache_clear()


def run(log: Path, *words: str, **options: Any) -> int:
    return child_commands.run_in_subprocess("told", words, log, imported=IMPORTED, **options)


def told(log: Path, *words: str) -> dict[str, Any]:
    assert run(log, "tell", *words) == 0
    answer: dict[str, Any] = json.loads(log.read_text())
    return answer


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def waiting(ready: Path, *kept_open: int) -> forked_commands.ForkedCommand:
    """Return a command that runs until SIGTERM."""
    server = forked_commands.server_of(IMPORTED)
    assert server is not None
    with (ready.parent / "log").open("wb") as output:
        child = server.start("told", ["wait", str(ready)], os.environ, output, kept_open)
    assert child is not None
    wait_until(ready.exists)
    return child


def test_commands_share_what_was_imported_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    first = told(log, "a b", "ä", "")
    monkeypatch.setenv("VARIABLE", "ü")
    monkeypatch.delenv("LEFT")
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    second = told(log)
    assert first["library"] == second["library"] != first["pid"]
    assert first["pid"] != second["pid"]
    assert first["argv"] == ["a b", "ä", ""]
    assert first["program"] == "told.py"
    assert (first["variable"], first["left"]) == (None, "from the server")
    assert (second["variable"], second["left"]) == ("ü", None)
    assert second["folder"] == str(folder)
    assert first["input"] == ""
    assert first["pid"] == first["group"] == first["session"]
    for one, other in zip(first["numbers"], second["numbers"], strict=True):
        assert one != other
    # A signal that is ignored here, as under nohup, stays ignored; all others have their default.
    own = tmp_path / "own"
    assert child_commands.run_in_subprocess("told", ["tell"], own) == 0
    assert first["handled"] == json.loads(own.read_text())["handled"]


@pytest.mark.parametrize(
    ("words", "code", "output"),
    [
        (["exit", "0"], 0, ""),
        (["exit", "3"], 3, ""),
        (["exit", "a reason"], 1, "a reason\n"),
        (["late"], 0, "main\nthread\nat the end\n"),
    ],
)
def test_the_end_of_a_command_is_that_of_a_process_of_its_own(
    words: list[str], code: int, output: str, tmp_path: Path
) -> None:
    forked, own = tmp_path / "forked", tmp_path / "own"
    assert run(forked, *words) == code
    assert child_commands.run_in_subprocess("told", words, own) == code
    assert forked.read_text() == own.read_text() == output


def test_a_defect_has_its_traceback(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert run(log, "fail") == 1
    assert log.read_text().endswith("ValueError: a defect\n")


def test_a_command_that_is_killed_has_the_number_of_the_signal(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    child = waiting(ready)
    assert child.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.01)
    assert int(ready.read_text()) == child.pid
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    child.send_signal(signal.SIGTERM)  # to nobody: it has ended
    assert child.poll() == -signal.SIGKILL


def test_a_signal_is_passed_on_to_a_command(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    child = waiting(ready)
    time.sleep(0.2)
    with pytest.raises(Stopped):
        child_commands.wait_for(child, [signal.SIGTERM])
    assert child.poll() == 7


def test_a_command_holds_the_locks_that_it_is_given(tmp_path: Path) -> None:
    path, ready = tmp_path / "lock", tmp_path / "ready"
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        child = waiting(ready, lock.fileno())
    with path.open("w") as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert f"{child.pid} (python -m told)" in lock_holders.in_words(path)
    child.terminate()
    assert child.wait() == 7
    with path.open("w") as other:  # the server keeps no copy
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_command_goes_on_when_its_parent_is_killed(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    parent = f"""
from pathlib import Path
from src.system import child_commands
words = ["wait", {str(ready)!r}]
child_commands.run_in_subprocess("told", words, Path("log"), imported={IMPORTED!r})
"""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    process = subprocess.Popen(
        [sys.executable, "-c", parent],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    wait_until(ready.exists)
    pid = int(ready.read_text())
    server = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
    process.kill()
    # Nobody else has its output: a program that reads it, as tee does, ends as well.
    assert process.communicate(timeout=30)[0] == b""
    time.sleep(0.3)
    assert is_alive(pid)
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not Path(f"/proc/{pid}").exists())
    wait_until(lambda: not Path(f"/proc/{server}").exists())


def test_a_killed_server_is_replaced(tmp_path: Path) -> None:
    log = tmp_path / "log"
    first = told(log)
    os.kill(first["library"], signal.SIGKILL)
    wait_until(lambda: not is_alive(first["library"]))
    second = told(log)
    assert second["library"] not in {second["pid"], first["library"]}


def test_a_server_that_is_killed_beside_a_command_waits_for_it(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    child = waiting(ready)
    forked_commands._started(IMPORTED)._process.kill()
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.3)
    child.terminate()
    assert child.wait() == -signal.SIGKILL
    assert not is_alive(child.pid)


def test_a_second_command_at_the_same_time_is_a_process_of_its_own(tmp_path: Path) -> None:
    first = waiting(tmp_path / "ready")
    second = told(tmp_path / "second")
    assert second["library"] == second["pid"]
    first.terminate()
    assert first.wait() == 7


def test_a_module_that_cannot_be_imported_costs_no_command(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = child_commands.run_in_subprocess("told", ["tell"], log, imported=["no_such_module"])
    assert code == 0


def test_a_signal_stops_the_import_at_once(tmp_path: Path) -> None:
    (tmp_path / "endless.py").write_text(
        "import os, pathlib, time\n"
        "pathlib.Path('importing.part').write_text(str(os.getpid()))\n"
        "pathlib.Path('importing.part').rename('importing')\n"
        "while True:\n    time.sleep(0.05)\n"
    )
    parent = """
from src.cli.entry_point import run_command
from src.system import child_commands
run_command(lambda: child_commands.run_in_subprocess("told", [], imported=["endless"]))
"""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    process = subprocess.Popen([sys.executable, "-c", parent], cwd=tmp_path, env=environment)
    importing = tmp_path / "importing"
    wait_until(importing.exists)
    process.terminate()
    assert process.wait(30) == 128 + signal.SIGTERM
    wait_until(lambda: not is_alive(int(importing.read_text())))


def is_alive(pid: int) -> bool:
    """Return False for a process that has ended, also if nobody has asked for its exit code."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"
