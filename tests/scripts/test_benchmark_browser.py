"""The measurement in a web browser: its server, its errors and its table."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from src.errors import LightshipError, UsageError
from src.run.latency import Turn
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def modules() -> Iterator[tuple[ModuleType, ModuleType]]:
    """The script and its module of browser processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "scripts"))
        import benchmark_browser
        import browser_process

        yield benchmark_browser, browser_process


class FakeBrowser:
    """A browser's place in the server."""

    def __init__(self, process: ModuleType, model: Path) -> None:
        self.model = model
        self.images = np.arange(6, dtype=np.uint8)
        self.results: Any = process.queue.Queue()
        self.tasks: Any = process.queue.Queue()


def ask(address: str, body: bytes | None = None) -> tuple[int, bytes, Any]:
    try:
        with urllib.request.urlopen(address, body, timeout=5) as answer:  # noqa: S310  # loopback
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, b"", error.headers


def test_the_server_gives_a_browser_its_own_files_and_tasks_alone(
    modules: tuple[ModuleType, ModuleType], tmp_path: Path
) -> None:
    _, process = modules
    (tmp_path / "model.onnx").write_bytes(b"the model")
    (tmp_path / "secret").write_bytes(b"secret")
    with process.Server(tmp_path) as server:
        planted = server.browsers["token"] = FakeBrowser(process, tmp_path / "model.onnx")
        address = f"http://127.0.0.1:{server.server_port}"
        status, page, headers = ask(f"{address}/token/")
        assert (status, page) == (200, (process.PAGE / "index.html").read_bytes())
        assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; ")
        assert ask(f"{address}/token/model.onnx")[1] == b"the model"
        assert ask(f"{address}/token/images")[1] == bytes(range(6))
        planted.tasks.put(b'{"kind": "time"}')
        assert ask(f"{address}/token/next", b'{"seconds": [1.5]}')[1] == b'{"kind": "time"}'
        assert planted.results.get_nowait().seconds == [1.5]
        planted.tasks.put(b"{}")
        ask(f"{address}/token/next", b'{"seconds": "long"}')
        assert "cannot be read" in planted.results.get_nowait().error
        for path in ("", "other/model.onnx", "token/secret", "token/../secret", "secret"):
            assert ask(f"{address}/{path}")[0] == 404, path
        assert ask(f"{address}/other/next", b"{}")[0] == 404


def test_without_chromium_or_npm_an_error_names_them(
    modules: tuple[ModuleType, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, process = modules
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(process, "EXAMPLE", tmp_path)
    with pytest.raises(UsageError, match=r"^chromium: expected .*; found none; install"):
        process.program()
    with pytest.raises(UsageError, match=r"^npm: expected .*; found none; install"):
        process.packages(tmp_path)


def turns(seconds: float, processes: int) -> dict[int, Turn]:
    return {
        number: Turn(
            seconds=[seconds] * 9, elapsed_seconds=9 * seconds, cpu_seconds=0, process=number
        )
        for number in range(processes)
    }


def test_the_table_has_the_ratio_to_the_native_time_and_the_changed_answers(
    modules: tuple[ModuleType, ModuleType],
) -> None:
    script, _ = modules
    file = script.FileFigures("resnet34", "onnx_int8", images=3)
    file.native.rounds, file.browser.rounds = turns(0.002, 3), turns(0.006, 3)
    native = np.array([[0.0, 5.0], [5.0, 0.0], [0.0, 1.0]])
    script.compare(file, native, native * np.array([[1], [1], [-1]]))
    row = script.table([file])[-1]
    assert row.startswith("| resnet34 | `onnx_int8` | 2.00 | 6.00 | - | 6.00 [6.00, 6.00] | ")
    assert "| 3.00 [3.00, 3.00] | 1 of 3 | 0.46 |" in row
    with pytest.raises(LightshipError, match="finite logits"):
        script.compare(file, native, native * np.nan)


def test_a_browser_that_ends_is_an_error(
    modules: tuple[ModuleType, ModuleType], tmp_path: Path
) -> None:
    _, process = modules
    program = tmp_path / "browser"
    program.write_text("#!/bin/sh\nexit 7\n")
    program.chmod(0o755)
    with (
        process.Server(tmp_path) as server,
        process.Browser(
            str(program), server, program, np.zeros(1), tmp_path / "profile"
        ) as started,
        pytest.raises(LightshipError, match="it ended with exit code 7"),
    ):
        started.opened()
