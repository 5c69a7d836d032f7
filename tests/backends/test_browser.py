"""A page of a browser: its server, its processes and the files that it needs."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn
from unittest.mock import Mock

import numpy as np
import pytest

from src import formats
from src.backends.base import Unavailable
from src.backends.browser import chromium, packages, runtime
from src.backends.browser.chromium import Chromium
from src.backends.browser.runtime import BrowserRuntime
from src.backends.browser.server import Result, Server
from src.errors import LightshipError
from src.system import environments, sessions
from src.worker import stopwatch
from tests.conftest import ROOT


def ask(address: str, body: bytes | None = None) -> tuple[int, bytes, Any]:
    try:
        with urllib.request.urlopen(address, body, timeout=5) as answer:  # noqa: S310  # loopback
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, b"", error.headers


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "model.onnx").write_bytes(b"the model")
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "ort.mjs").write_bytes(b"the runtime")
    server = Server({"ort.mjs": tmp_path / "ort.mjs"}, tmp_path / "model.onnx")
    yield server
    server.close()


def test_the_server_gives_the_page_its_own_files_and_tasks_alone(server: Server) -> None:
    status, page, headers = ask(server.address)
    assert (status, page) == (200, (packages.PAGE / "index.html").read_bytes())
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; ")
    assert ask(f"{server.address}model.onnx")[1] == b"the model"
    root = f"http://127.0.0.1:{server.server_port}"
    assert ask(f"{root}/{packages.DIST}/ort.mjs")[1] == b"the runtime"
    server.images = bytes(range(6))
    assert ask(f"{server.address}images")[1] == bytes(range(6))
    server.give("time", {"samples": 1})
    assert (
        ask(f"{server.address}next", b'{"seconds": [1.5]}')[1] == b'{"kind": "time", "samples": 1}'
    )
    assert server.results.get_nowait().seconds == [1.5]
    ask(f"{server.address}logits", b"1234")
    assert server.logits == b"1234"
    for path in ("", "/other/model.onnx", "/secret", "/../secret", "/model.onnx", "/images"):
        assert ask(f"{root}{path}")[0] == 404, path
    assert ask(f"{server.address}../secret")[0] == 404
    for path in ("/other/next", "/next", "/logits"):
        assert ask(f"{root}{path}", b"{}")[0] == 404, path


def test_a_result_that_cannot_be_read_is_an_error(server: Server) -> None:
    server.give("time", {})
    ask(f"{server.address}next", b'{"seconds": "long"}')
    assert "cannot be read" in str(server.results.get_nowait().error)


def test_without_chromium_or_npm_a_row_is_not_available(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(environments, "ROOT", tmp_path / "environments")
    with pytest.raises(Unavailable, match=r"no browser: none of chromium, .*; install Chromium"):
        chromium.program()
    with pytest.raises(Unavailable, match=r"no npm on the PATH.*; install Node.js and npm"):
        packages.files()


def test_npm_without_a_network_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error code EAI_AGAIN' >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setattr(environments, "ROOT", tmp_path / "environments")
    with pytest.raises(Unavailable, match=r"EAI_AGAIN\); measure once with a network"):
        packages.files()
    assert not packages.kept()


def test_kept_files_need_no_npm_and_changed_ones_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "ROOT", tmp_path)
    monkeypatch.setattr(packages, "_fetch", lambda folder: pytest.fail("fetched again"))
    folder = tmp_path / f"onnxruntime-web-{packages.VERSION}"
    folder.mkdir()
    for name in packages.SHA256:
        (folder / name).write_bytes(b"")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    monkeypatch.setattr(packages, "SHA256", dict.fromkeys(packages.SHA256, empty))
    assert set(packages.files()) == set(packages.SHA256)
    (folder / "ort.wasm.bundle.min.mjs").write_bytes(b"another")
    with pytest.raises(Unavailable, match=r"ort.wasm.bundle.min.mjs in .* is not the file of"):
        packages.files()


def test_kept_files_are_read_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "ROOT", tmp_path)
    monkeypatch.setattr(environments, "making", lambda _: pytest.fail("it is written"))
    folder = tmp_path / f"onnxruntime-web-{packages.VERSION}"
    folder.mkdir()
    for name in packages.SHA256:
        (folder / name).write_bytes(b"")
    monkeypatch.setattr(
        packages, "SHA256", dict.fromkeys(packages.SHA256, hashlib.sha256(b"").hexdigest())
    )
    assert set(packages.files()) == set(packages.SHA256)
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.EROFS, "make that folder writable"),
        (errno.EACCES, "make that folder writable"),
        (errno.ENOSPC, "make room on its disk"),
    ],
)
@pytest.mark.parametrize("step", ["lock", "fetch"])
def test_files_that_cannot_be_kept_skip_the_row_with_a_remedy(
    step: str, number: int, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(folder: Path) -> NoReturn:
        raise OSError(number, os.strerror(number), str(folder))

    monkeypatch.setattr(environments, "ROOT", tmp_path)
    if step == "lock":
        monkeypatch.setattr(environments, "making", refused)
    else:
        monkeypatch.setattr(packages, "_fetch", refused)
    with pytest.raises(Unavailable, match=f"cannot be kept: .*: {os.strerror(number)}; {remedy}"):
        packages.files()


def test_the_file_that_keeps_two_workers_apart_is_not_one_to_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "ROOT", tmp_path)
    monkeypatch.setattr(packages, "_fetch", lambda folder: folder.mkdir())
    with pytest.raises(Unavailable, match="cannot be kept"):  # nothing was fetched
        packages.files()
    assert not list(tmp_path.glob("*.lock"))
    known = {formats.get(name).environment for name in formats.names()}
    locks = {environment.lock.name for environment in known if environment}
    assert {path.name for path in (ROOT / "environments").glob("*.lock")} == locks


def test_without_the_process_of_a_page_a_row_is_not_available(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "chromium", "exit")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(packages, "kept", lambda: True)
    assert packages.may_be_had()
    monkeypatch.setattr(sessions, "_PROC", tmp_path / "proc")  # as on macOS
    with pytest.raises(Unavailable, match=r"no browser: .*/proc.*; measure it on Linux"):
        chromium.program()
    assert not packages.may_be_had()


def test_the_locked_version_is_the_one_whose_hashes_are_known() -> None:
    import json

    for name in ("package.json", "package-lock.json"):
        text = (packages.PAGE / name).read_text(encoding="utf-8")
        assert f'"onnxruntime-web": "{packages.VERSION}"' in text
        assert "http" not in text  # the registry is the user's own
    locked = json.loads(text)["packages"]
    assert all("integrity" in package for path, package in locked.items() if path)


def test_the_page_opens_files_as_the_example_does() -> None:
    example = ROOT / "examples" / "browser" / "runtime.js"
    assert (packages.PAGE / "runtime.js").read_bytes() == example.read_bytes()


def program(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Return False for a process that has ended, though nobody may have waited for it."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_a_browser_that_ends_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = program(tmp_path / "browser", "echo 'no libX11.so.6' >&2; exit 7")
    monkeypatch.setattr(chromium, "program", lambda: path)
    monkeypatch.setattr(packages, "files", dict)
    with pytest.raises(LightshipError, match=r"exit code 7: no libX11\.so\.6$"):
        BrowserRuntime(tmp_path / "model.onnx")


def test_all_processes_of_a_browser_end_with_the_one_that_asked_for_it(tmp_path: Path) -> None:
    note = tmp_path / "note"
    # A child in a process group of its own, as of a program that detaches itself.
    script = f'for word; do case "$word" in --user-data-dir=*) echo "$word" > {note};; esac; done\n'
    child = f"sleep 600 & echo $! > {tmp_path / 'child'}\nmv {note} {note}.whole\nwait"
    browser = Chromium(program(tmp_path / "browser", script + child), "about:blank")
    whole = Path(f"{note}.whole")
    deadline = time.monotonic() + 10
    while not whole.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    profile = Path(whole.read_text().strip().removeprefix("--user-data-dir="))
    pid = int((tmp_path / "child").read_text())
    assert profile.is_dir()
    assert Path(f"/proc/{pid}").exists()
    assert browser.exit_code is None
    browser.close()
    assert not profile.exists()
    assert not Path(f"/proc/{pid}").exists()


def test_a_browser_ends_when_its_keeper_is_killed(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    path = program(tmp_path / "browser", f"echo $$ > {note}.part; mv {note}.part {note}; sleep 600")
    browser = Chromium(path, "about:blank")
    try:
        wait_for(note.exists)
        pid = int(note.read_text())
        os.kill(browser._keeper.pid, signal.SIGKILL)
        wait_for(lambda: not is_running(pid))
    finally:
        browser.close()
    assert not browser._profile.exists()


def test_a_keeper_that_does_not_end_is_killed_with_its_browser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chromium, "_END_SECONDS", 0.1)
    browser = Chromium(program(tmp_path / "browser", "sleep 600"), "about:blank")
    os.kill(browser._keeper.pid, signal.SIGSTOP)
    browser.close()
    assert browser.exit_code == -signal.SIGKILL
    assert not browser._profile.exists()


def test_the_page_gets_the_priority_of_its_worker(tmp_path: Path) -> None:
    note = tmp_path / "note"
    child = f'sh -c "touch {note}; sleep 600; : --type=renderer"'  # as Chromium marks a page
    browser = Chromium(program(tmp_path / "browser", f"{child} &\nwait"), "about:blank")
    try:
        wait_for(note.exists)
        lower = browser.page_nice() + 2
        browser.raise_page(lower)
        assert browser.page_nice() == lower
    finally:
        browser.close()


def test_a_browser_that_cannot_be_started_leaves_no_server_and_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[Server] = []

    def closing(server: Server) -> None:
        closed.append(server)

    monkeypatch.setattr(Server, "close", closing)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(chromium, "program", lambda: "browser")
    monkeypatch.setattr(packages, "files", dict)
    monkeypatch.setattr("subprocess.Popen", Mock(side_effect=OSError("no more processes")))
    with pytest.raises(OSError, match="no more processes"):
        BrowserRuntime(tmp_path / "model.onnx")
    (server,) = closed
    server.shutdown()
    server.server_close()
    assert not [*tmp_path.iterdir()]


def test_a_browser_may_be_had_with_chromium_and_its_files_or_npm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(environments, "ROOT", tmp_path)
    assert not packages.may_be_had()
    program(tmp_path / "chromium", "exit")
    assert not packages.may_be_had()
    with monkeypatch.context() as patch:
        patch.setattr(packages, "kept", lambda: True)
        assert packages.may_be_had()
    program(tmp_path / "npm", "exit")
    assert packages.may_be_had()
    monkeypatch.setattr(environments, "can_be_written", lambda: False)
    assert not packages.may_be_had()  # else every command would measure again


def test_the_cpu_time_of_a_turn_is_that_of_its_timed_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = object.__new__(BrowserRuntime)
    counted = iter([5.0, 5.4])  # 0.4 s for four calls, the first of which is not timed
    page._browser = Mock(cpu_seconds=lambda: next(counted))
    page._held = np.zeros((1, 3, 4, 4), np.float32)
    page._server = Mock(logits=np.zeros(3, "<f4").tobytes())
    result = Result(seconds=[0.1] * 3, elapsed_seconds=0.3, task_seconds=0.4)
    monkeypatch.setattr(BrowserRuntime, "_ask", lambda *_: result)
    turn, _ = page.time(3, 1.0)
    assert turn.cpu_seconds == pytest.approx(0.3)


def test_the_page_warms_up_and_settles_as_the_stopwatch() -> None:
    page = (packages.PAGE / "benchmark.js").read_text(encoding="utf-8")
    assert f"const WINDOW_CALLS = {stopwatch.WINDOW_CALLS};" in page
    assert f"const WINDOW_SECONDS = {stopwatch.WINDOW_SECONDS};" in page
    assert runtime._SETTLE_SECONDS == stopwatch.TURN_WARMUP_SECONDS


@pytest.mark.slow
def test_a_file_answers_in_chromium_as_natively(tmp_path: Path) -> None:
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper

    try:
        chromium.program()
        packages.files()
    except Unavailable as error:
        pytest.skip(str(error))
    weights = np.random.default_rng(0).normal(size=(48, 3)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["images"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        ],
        "planted",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, 4, 4])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3])],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    path = tmp_path / "model.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    images = np.random.default_rng(1).normal(size=(5, 3, 4, 4)).astype(np.float32)
    page = BrowserRuntime(path)
    try:
        [expected] = onnxruntime.InferenceSession(path).run(None, {"images": images})
        assert np.allclose(page(images), expected, atol=1e-5)
        page.hold(images[:2])
        assert page.warm_up(0.5, 2.0) in {True, False}
        turn, logits = page.time(7, 60.0)
        assert len(turn.seconds) == 7
        assert turn.elapsed_seconds >= sum(turn.seconds) * 0.99
        assert page._ask("time", {"samples": 1, "max_seconds": 1.0}).task_seconds > 0
        assert np.allclose(logits, expected[:2], atol=1e-5)
        assert (page.peak_bytes() or 0) > 0
        assert page.settings["input"] == "float32 NCHW"
        assert page.nice() == os.getpriority(os.PRIO_PROCESS, 0)
        path.write_bytes(b"no model")
    finally:
        page.close()
    with pytest.raises(LightshipError, match=r"^browser: "):
        BrowserRuntime(path)
