"""The HTTP example: bounds of requests and connections, a bad image alone, metrics, a quiet end."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.support import planted_service
from tests.support.planted_service import BAD, LARGE, png

for package in ("fastapi", "uvicorn", "prometheus_client"):
    pytest.importorskip(package)

GOOD = png((250, 250, 250))
PLANTED = Path(planted_service.__file__)
SERVICE = ROOT / "examples" / "http_service" / "service.py"
LIMITS = (
    *("most_bytes=100000", "body_seconds=0.5", "head_seconds=0.5", "idle_seconds=0.5"),
    *("largest_batch=4", "window=0.05", "drain_seconds=0.6", "most_in_hand=6"),
)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def variables() -> dict[str, str]:
    """Return the environment in which the service is found, and a bundle without a model."""
    path = os.pathsep.join(map(str, (ROOT / "examples" / "http_service", ROOT / "src" / "shipped")))
    return {**os.environ, "PYTHONPATH": path, "BUNDLE": str(ROOT / "src" / "shipped")}


@contextlib.contextmanager
def started(*limits: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Start the service with the planted model; yield its port and process."""
    port = free_port()
    with subprocess.Popen(
        [sys.executable, PLANTED, str(port), *LIMITS, *limits],
        env=variables(),
        stderr=subprocess.PIPE,
    ) as process:
        try:
            wait_until_ready(port, process)
            yield port, process
        finally:
            process.kill()


def wait_until_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError):
            if get(port, "/ready")[0] == 200:
                return
        time.sleep(0.05)
    raise AssertionError("the service did not start")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with started() as (port, _):
        yield port


def answer_of(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body; the status is 0 if the connection ended without any."""
    content = b""
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65536):
            content += part
    if not content:
        return 0, {}, b""
    head, _, body = content.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(status.split()[1]), headers, body


def ask(port: int, content: bytes, more: bytes = b"") -> tuple[int, dict[str, str], bytes]:
    """Send raw bytes, further ones after a while, and return the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(content)
        if more:
            time.sleep(0.1)
            with contextlib.suppress(ConnectionError):
                connection.sendall(more)
        return answer_of(connection)


def request(body: bytes, path: str = "/classify", length: int | None = None) -> bytes:
    declared = len(body) if length is None else length
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {declared}"
    return head.encode() + b"\r\n\r\n" + body


def get(port: int, path: str) -> tuple[int, dict[str, str], bytes]:
    return ask(port, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())


def classify(port: int, image: bytes = GOOD) -> tuple[int, dict[str, str], bytes]:
    return ask(port, request(image))


METRICS = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 50


def unread(port: int) -> socket.socket:
    """Return a connection that asks for more answers than the service can write unread."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    connection.connect(("127.0.0.1", port))
    connection.settimeout(0.1)
    with contextlib.suppress(TimeoutError):
        while True:
            connection.send(METRICS)
    return connection


def figure(port: int, name: str) -> float:
    """Return one figure of the metrics; 0 if it is not there."""
    text = get(port, "/metrics")[2].decode()
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, flags=re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_an_image_is_classified(port: int) -> None:
    status, _, body = classify(port)
    assert status == 200
    assert json.loads(body)["top"][0]["class"] == "light"
    assert json.loads(classify(port, png((9, 9, 9)))[2])["top"][0]["class"] == "dark"


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(port: int) -> None:
    assert ask(port, request(b"", length=100_001))[0] == 413
    assert classify(port)[0] == 200


def test_a_body_that_is_too_large_is_refused_without_its_length(port: int) -> None:
    head = b"POST /classify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"f000\r\n" + bytes(0xF000) + b"\r\n"
    assert ask(port, head + chunk + chunk)[0] == 413
    whole = b"%x\r\n" % len(GOOD) + GOOD + b"\r\n0\r\n\r\n"
    assert ask(port, head + whole)[0] == 200


def test_a_client_that_sends_its_body_slowly_is_cut_off(port: int) -> None:
    began = time.monotonic()
    assert ask(port, request(GOOD[:20], length=len(GOOD)), more=GOOD[20:21])[0] == 408
    assert 0.4 < time.monotonic() - began < 10


def test_a_client_that_goes_on_sending_gets_its_answer_and_is_cut_off(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request(b"", length=90_000))
        end = time.monotonic() + 0.8  # the answer comes after 0.5 s, and is read after that
        while time.monotonic() < end:
            connection.sendall(b"x")
            time.sleep(0.02)
        assert answer_of(connection)[0] == 408
        end = time.monotonic() + 10
        with pytest.raises(ConnectionError):  # noqa: PT012  # the system tells it late
            while time.monotonic() < end:
                connection.sendall(b"x")
                time.sleep(0.02)


def test_a_client_that_reads_after_it_has_sent_too_much_gets_its_answer(port: int) -> None:
    head = b"POST /classify HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    content = head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 30
    assert ask(port, content, more=chunk * 30)[0] == 413
    assert ask(port, b"no HTTP\r\n\r\n" + bytes(500_000), more=bytes(500_000))[0] == 400


def test_a_body_that_stops_being_http_is_given_up_at_once() -> None:
    head = b"POST /classify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with started("body_seconds=60", "head_seconds=0.5") as (port, process):
        began = time.monotonic()
        assert ask(port, head + b"4\r\nabcd\r\n", more=b"ZZZ\r\n")[0] == 400
        assert figure(port, "classify_in_hand") == 0
        assert classify(port)[0] == 200
        assert time.monotonic() - began < 10
        process.kill()
        assert process.stderr is not None
        assert b"Exception" not in process.stderr.read()


def test_a_client_that_sends_its_head_slowly_is_cut_off(port: int) -> None:
    assert ask(port, b"")[0] == 0
    assert ask(port, b"POST /classify HTTP/1.1\r\nHo", more=b"st: x\r\n")[0] == 0


ANSWER = 16_000_000  # bytes, more than the buffers between client and service hold


async def second_answer(pause: float) -> bytes:
    """Ask twice for a large answer, read the first after a pause; return the end of the second."""
    from connections import guarded
    from settings import Settings
    from uvicorn import Config
    from uvicorn.server import ServerState

    async def app(scope: Any, receive: Any, send: Any) -> None:
        length = [(b"content-length", str(ANSWER).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        await send({"type": "http.response.body", "body": bytes(ANSWER - 3), "more_body": True})
        await send({"type": "http.response.body", "body": b"end"})

    state = ServerState()
    config, protocol = Config(app, lifespan="off"), guarded(Settings(head_seconds=0.5))
    server = await asyncio.get_running_loop().create_server(
        lambda: protocol(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            for seconds in (pause, 0.0):
                writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                await asyncio.sleep(seconds)
                await reader.readuntil(b"\r\n\r\n")
                content = await reader.readexactly(ANSWER)
        finally:
            writer.transport.abort()
            await asyncio.sleep(0.1)  # so that the other end is closed as well
            assert not state.connections
    return content[-3:]


def test_a_client_that_never_reads_its_answers_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "examples" / "http_service")
    assert asyncio.run(asyncio.wait_for(second_answer(pause=0.1), 30)) == b"end"
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        asyncio.run(asyncio.wait_for(second_answer(pause=0.8), 30))


def test_clients_that_stall_do_not_keep_others_out() -> None:
    limits = ("most_connections=3", "most_buffered=130000", "head_seconds=60", "body_seconds=60")
    with started(*limits) as (port, _), contextlib.ExitStack() as stack:

        def held(content: bytes) -> None:
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), 30))
            connection.sendall(content)

        for _ in range(4):
            held(b"POST /classify HTTP/1.1\r\n")
        assert get(port, "/health")[0] == 200
        assert classify(port)[0] == 200
        for _ in range(3):
            stack.enter_context(unread(port))
        assert get(port, "/health")[0] == 200
        for _ in range(2):
            held(request(bytes(60_000), length=90_000))
        end = time.monotonic() + 10
        while figure(port, "classify_in_hand") < 2 and time.monotonic() < end:
            time.sleep(0.01)
        assert classify(port, GOOD + bytes(60_000))[0] == 429
        assert get(port, "/health")[0] == 200


def test_an_image_for_which_there_is_no_memory_may_come_again(port: int) -> None:
    status, headers, body = classify(port, png(LARGE))
    assert (status, headers["retry-after"]) == (503, "1")
    assert b"not enough memory" in body
    assert classify(port, GOOD)[0] == 200


def test_an_idle_connection_and_a_body_that_nobody_reads_are_cut_off(port: int) -> None:
    idle = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    assert ask(port, idle)[0] == 200  # and ends, though it asks for more requests
    unread = request(b"x", "/health", length=10**9).replace(b"Connection: close\r\n", b"")
    assert ask(port, unread)[0] == 405


IDLE = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


def test_a_connection_stays_open_between_requests_for_longer_than_a_head_may_take() -> None:
    """A proxy keeps idle connections for a minute; one that is closed meanwhile is a 502."""
    with (
        started("idle_seconds=60", "head_seconds=1") as (port, _),
        socket.create_connection(("127.0.0.1", port), timeout=20) as connection,
    ):
        for _ in range(2):
            connection.sendall(IDLE)
            received(connection, b'{"live":true}')
            time.sleep(2)
        connection.sendall(b"GET /hea")  # a head that does not go on
        assert answer_of(connection)[0] == 0  # before this end waits for too long


def received(connection: socket.socket, end: bytes) -> bytes:
    content = b""
    while not content.endswith(end):
        part = connection.recv(65536)
        assert part, f"closed after {content!r}"
        content += part
    return content


def test_a_connection_is_idle_once_the_rest_of_an_answered_body_has_come() -> None:
    with (
        started("idle_seconds=60", "head_seconds=1") as (port, _),
        socket.create_connection(("127.0.0.1", port), timeout=20) as connection,
    ):
        head = b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
        connection.sendall(head + b"ab")
        assert received(connection, b"}").startswith(b"HTTP/1.1 405")
        connection.sendall(b"cd")
        time.sleep(2)
        connection.sendall(IDLE)
        assert received(connection, b'{"live":true}').startswith(b"HTTP/1.1 200")


def test_a_connection_that_is_idle_for_too_long_is_closed() -> None:
    with (
        started("idle_seconds=0.7", "head_seconds=60") as (port, _),
        socket.create_connection(("127.0.0.1", port), timeout=20) as connection,
    ):
        connection.sendall(IDLE)
        assert answer_of(connection)[0] == 200  # and the end of the connection


def test_an_idle_connection_lives_longer_than_the_usual_proxy_keeps_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(ROOT / "examples" / "http_service")
    settings: Any = importlib.import_module("settings").Settings()
    assert settings.idle_seconds > 60  # nginx and the balancers of clouds
    assert settings.most_drain_seconds < 30  # Kubernetes


@pytest.mark.parametrize(
    "content",
    [b"", b"no image", png((1, 1, 1))[:40], png((1, 1, 1), side=1100)],
    ids=["nothing", "text", "truncated", "too many pixels"],
)
def test_what_is_no_image_is_refused_alone(port: int, content: bytes) -> None:
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda each: classify(port, each)[0], (GOOD, content, GOOD)))
    assert answers == [200, 415, 200]


@pytest.mark.parametrize(
    "kind", ["multipart/form-data; boundary=x", "application/json", "image/png"]
)
def test_an_image_within_another_body_is_refused_with_the_way_to_send_it(
    port: int, kind: str
) -> None:
    body = b"--x\r\nContent-Disposition: form-data; name=file\r\n\r\n" + GOOD + b"\r\n--x--\r\n"
    head = (
        f"POST /classify HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    status, _, answer = ask(port, head.encode() + body)
    assert status == 415
    detail = json.loads(answer)["detail"]
    assert ("; send the file itself as the body" in detail) == (kind != "image/png")


def test_an_error_of_the_model_is_of_one_image_alone(port: int) -> None:
    with ThreadPoolExecutor(4) as pool:
        images = (GOOD, png(BAD), GOOD, GOOD)
        answers = list(pool.map(lambda each: classify(port, each)[0], images))
    assert answers == [200, 500, 200, 200]


def test_more_requests_than_can_be_in_hand_are_told_to_come_later(port: int) -> None:
    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda _: classify(port), range(30)))
    statuses = [status for status, _, _ in answers]
    assert set(statuses) == {200, 429}
    assert statuses.count(200) >= 6
    assert all(headers["retry-after"] == "1" for status, headers, _ in answers if status == 429)
    assert classify(port)[0] == 200


def test_images_that_are_large_when_prepared_are_told_to_come_later() -> None:
    """The planted model makes 24 bytes of an image."""
    limits = ("most_prepared=100", "most_in_hand=20", "window=0.5", "largest_batch=16")
    with started(*limits) as (port, _), ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: classify(port), range(10)))
        statuses = sorted(status for status, _, _ in answers)
        assert statuses == [200] * 4 + [429] * 6
        assert {headers["retry-after"] for status, headers, _ in answers if status == 429} == {"1"}
        assert classify(port)[0] == 200  # there is room again


def test_an_image_alone_is_never_too_large_when_prepared() -> None:
    with started("most_prepared=1") as (port, _):
        assert [classify(port)[0] for _ in range(2)] == [200, 200]


def test_live_and_ready_are_told_apart(port: int) -> None:
    assert get(port, "/health")[0] == 200
    assert json.loads(get(port, "/ready")[2]) == {"ready": True}


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_a_health_check_may_ask_by_head(port: int, path: str) -> None:
    content = f"HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    status, _, body = ask(port, content.encode())
    assert (status, body) == (200, b"")


def test_metrics_count_requests_batches_and_the_queue(port: int) -> None:
    names = {
        status: f'classify_requests_total{{status="{status}"}}' for status in (200, 413, 415, 500)
    }
    before = {status: figure(port, name) for status, name in names.items()}
    batches = figure(port, "classify_batch_size_count")
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: classify(port), range(3)))
    classify(port, b"no image")
    ask(port, request(b"", length=10**6))
    after = {status: figure(port, name) for status, name in names.items()}
    assert {status: after[status] - before[status] for status in names} == {
        200: 3,
        413: 1,
        415: 1,
        500: 0,
    }
    assert 1 <= figure(port, "classify_batch_size_count") - batches <= 3
    text = get(port, "/metrics")[2].decode()
    for name in ("classify_queue_depth 0.0", "classify_in_hand 0.0", "classify_seconds_bucket"):
        assert name in text


def test_a_service_that_is_told_to_end_finishes_what_is_in_hand_and_refuses_the_rest() -> None:
    with started("window=0.4") as (port, process), ThreadPoolExecutor(2) as pool:
        in_hand = pool.submit(classify, port)
        end = time.monotonic() + 10
        while figure(port, "classify_in_hand") < 1 and time.monotonic() < end:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        end = time.monotonic() + 10
        while get(port, "/ready")[0] != 503 and time.monotonic() < end:
            time.sleep(0.01)
        refused, headers, _ = classify(port)
        assert (refused, headers["retry-after"]) == (503, "1")
        assert in_hand.result()[0] == 200
        assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("streams", "threads", "rate", "limit", "most"),
    [
        (1, 4, 310.0, 0.02, 8),  # a full batch
        (8, 1, 310.0, 0.02, 32),  # of each stream, one a core
        (2, 2, 300.0, 0.2, 60),  # Little's law
        (3, 1, 300.0, 0.2, 60),  # no more threads together than cores
        (2, 2, 1000.0, 1.0, 400),  # half of the connections
    ],
)
def test_measured_settings_are_read_from_the_bundle(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    streams: int,
    threads: int,
    rate: float,
    limit: float,
    most: int,
) -> None:
    monkeypatch.syspath_prepend(ROOT / "examples" / "http_service")
    settings: Any = importlib.import_module("settings").Settings
    cores = 4
    assert settings.of(tmp_path, cores) == settings(threads=cores)
    measured = {"threads": 8, "streams": streams, "window_s": 0.004, "largest_batch": 8}
    (tmp_path / "serving.json").write_text(
        json.dumps({**measured, "rate": rate, "p99_limit_s": limit})
    )
    found = settings.of(tmp_path, cores)
    assert (found.threads, found.streams) == (threads, min(streams, cores))
    assert found.threads * found.streams <= cores
    assert (found.window, found.largest_batch, found.most_in_hand) == (0.004, 8, most)


def test_measured_threads_are_kept_where_there_are_more_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT / "examples" / "http_service")
    settings: Any = importlib.import_module("settings").Settings
    measured = {"threads": 3, "streams": 2, "window_s": 0.004, "largest_batch": 8}
    (tmp_path / "serving.json").write_text(
        json.dumps({**measured, "rate": 310.0, "p99_limit_s": 0.02})
    )
    found = [settings.of(tmp_path, cores) for cores in (1, 2, 5, 6, 64)]
    assert [(one.streams, one.threads) for one in found] == [(1, 1), (2, 1), (2, 2), (2, 3), (2, 3)]


@pytest.mark.parametrize(("is_measured", "streams", "threads"), [(True, 2, 3), (False, 1, 6)])
def test_the_service_counts_the_cores_of_its_container(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_measured: bool,
    streams: int,
    threads: int,
) -> None:
    """The quota of the container bounds the threads, whatever the machine has."""
    for folder in (ROOT / "src" / "shipped", ROOT / "examples" / "http_service"):
        monkeypatch.syspath_prepend(folder)
    measured = {"threads": 8, "streams": 2, "window_s": 0.004, "largest_batch": 8}
    if is_measured:
        content = {**measured, "rate": 310.0, "p99_limit_s": 0.02}
        (tmp_path / "serving.json").write_text(json.dumps(content))
    monkeypatch.setenv("BUNDLE", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["service.py"])
    monkeypatch.setattr(sys, "dont_write_bytecode", sys.dont_write_bytecode)  # restores it
    before = dict(sys.modules)
    try:
        for name in ("service", "machine", "predict"):
            sys.modules.pop(name, None)
        service: Any = importlib.import_module("service")
        machine: Any = importlib.import_module("machine")
        monkeypatch.setattr(machine, "core_numbers", lambda: set(range(64)))
        monkeypatch.setattr(machine, "_quota", lambda: 5.5)
        monkeypatch.setattr(os, "cpu_count", lambda: 64)
        served: list[Any] = []
        monkeypatch.setattr(service, "serve", lambda one, *_: served.append(one.settings))
        service.main()
    finally:
        for name, module in list(sys.modules.items()):
            if str(ROOT / "src" / "shipped") in str(getattr(module, "__file__", "")):
                del sys.modules[name]
        sys.modules.update(before)
    (settings,) = served
    assert (settings.streams, settings.threads) == (streams, threads)


def service_with(
    bundle: Path | None, folder: Path, *words: str
) -> subprocess.CompletedProcess[str]:
    """Run the service, by default as far as its options; None leaves the variable out."""
    left_out = {"BUNDLE", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH"}
    kept = {name: text for name, text in os.environ.items() if name not in left_out}
    return subprocess.run(
        [sys.executable, SERVICE, *(words or ("--help",))],
        env=kept | ({} if bundle is None else {"BUNDLE": str(bundle)}),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", [None, "misspelt"])
def test_a_bundle_that_is_not_there_is_one_line(tmp_path: Path, name: str | None) -> None:
    ended = service_with(None if name is None else tmp_path / name, tmp_path)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: BUNDLE: expected the folder of an unpacked bundle, found ")
    assert (name or "model") in line


def test_the_service_adds_no_file_to_a_bundle(tmp_path: Path) -> None:
    """A signature covers all files of the folder."""
    bundle = tmp_path / "bundle"
    shutil.copytree(ROOT / "src" / "shipped", bundle, ignore=shutil.ignore_patterns("__pycache__"))
    before = sorted(bundle.rglob("*"))
    ended = service_with(bundle, tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert sorted(bundle.rglob("*")) == before


NO_STREAMS = {"streams": 0, "threads": 1, "largest_batch": 1, "rate": 1, "p99_limit_s": 1}


@pytest.mark.parametrize("content", ["{", "[]", "null", "{}", json.dumps(NO_STREAMS)])
def test_damaged_settings_of_a_bundle_are_one_line(tmp_path: Path, content: str) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(ROOT / "src" / "shipped", bundle, ignore=shutil.ignore_patterns("__pycache__"))
    (bundle / "serving.json").write_text(content)
    ended = service_with(bundle, tmp_path, "--port", str(free_port()))
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"error: {bundle / 'serving.json'} is damaged (")


def test_a_bundle_whose_model_cannot_be_opened_ends_the_service_in_one_line(tmp_path: Path) -> None:
    """A process that lives and is never ready would not be started again."""
    bundle = tmp_path / "bundle"
    shutil.copytree(ROOT / "src" / "shipped", bundle, ignore=shutil.ignore_patterns("__pycache__"))
    ended = service_with(bundle, tmp_path, "--port", str(free_port()))
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: model.json: ")


def test_settings_that_were_measured_on_another_processor_are_told(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(ROOT / "src" / "shipped", bundle, ignore=shutil.ignore_patterns("__pycache__"))
    content = {**NO_STREAMS, "streams": 1, "window_s": 0.0, "cpu": "a CPU of\nanother machine"}
    (bundle / "serving.json").write_text(json.dumps(content))
    ended = service_with(bundle, tmp_path, "--port", str(free_port()))
    told, _ = ended.stderr.splitlines()  # the second is of the model that is not there
    assert told.startswith("warning: serving.json was measured on a CPU of another machine, and ")


FAILING = """
import sys
from service import Service, serve
from settings import Settings

class Model:
    class_names = ("dark", "light")

def fail(size):
    raise OSError("no\\n metrics")

service = Service(lambda: [Model()], Settings())
service.metrics.watch = lambda *_: fail(1)
serve(service, int(sys.argv[1]))
"""


def test_a_service_that_fails_by_itself_ends_with_the_reason() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", FAILING, str(free_port())],
        env=variables(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (1, "error: no metrics\n")


PLANTED_PROGRAM = """
import time
import numpy as np
from shipped import UnreadableImageError, read_image

class Model:
    class_names = ("dark", "light")

    def __init__(self, most_pixels, threads):
        self.most_pixels = most_pixels

    def prepare(self, file):
        return np.asarray(read_image(file, self.most_pixels).resize((2, 2)), np.float64)

    def answer(self, images):
        time.sleep(0.02)
        return np.array([[1, 0]] * len(images))
"""


@pytest.mark.slow
def test_hostile_clients_lose_no_good_request_for_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    monkeypatch.setenv("PYTHONSAFEPATH", "1")  # as scripts/environment starts a script
    script: Any = importlib.import_module("load_service")
    shutil.copytree(ROOT / "src" / "shipped", tmp_path, dirs_exist_ok=True)
    (tmp_path / "predict.py").rename(tmp_path / "shipped.py")
    (tmp_path / "predict.py").write_text(PLANTED_PROGRAM)
    (tmp_path / "test_image.png").write_bytes(GOOD)
    script.main([str(tmp_path), "--rate", "20", "--minutes", "1", "--hostile", "0.1"])
    printed = capsys.readouterr().out
    assert re.search(r"good requests: 1200, lost: 0 \(200: 1200\)", printed)
    for kind in script.HOSTILE:
        assert f"hostile, {kind}: " in printed
    growth = re.search(r"(\S+) MB from the second quarter", printed)
    assert growth
    assert float(growth[1]) < 30


@pytest.fixture
def service_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The service as a module, with the program of a bundle, for one test alone."""
    shipped = ROOT / "src" / "shipped"
    for folder in (shipped, ROOT / "examples" / "http_service"):
        monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("BUNDLE", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["service.py"])
    monkeypatch.setattr(sys, "dont_write_bytecode", sys.dont_write_bytecode)  # restores it
    before = dict(sys.modules)
    for name in ("service", "machine", "predict"):
        sys.modules.pop(name, None)
    try:
        yield importlib.import_module("service")
    finally:
        for name, module in list(sys.modules.items()):
            if name == "service" or str(shipped) in str(getattr(module, "__file__", "")):
                del sys.modules[name]
        sys.modules.update(before)


@pytest.mark.parametrize("has_image", [True, False])
def test_a_model_has_answered_alone_and_in_a_full_batch_before_the_service_is_ready(
    service_module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_image: bool
) -> None:
    """OpenVINO compiles for the first batch, and TorchScript optimises in its first calls."""
    asked: list[tuple[int, int]] = []

    class Planted:
        made = 0

        def __init__(self, **_: object) -> None:
            self.number = Planted.made
            Planted.made += 1

        def prepare(self, file: Path) -> bytes:
            return file.read_bytes()

        def answer(self, images: list[bytes]) -> None:
            assert set(images) == {GOOD}
            asked.append((self.number, len(images)))

    monkeypatch.setattr(service_module, "Model", Planted)
    if has_image:
        (tmp_path / "test_image.png").write_bytes(GOOD)
    settings = service_module.Settings(streams=2, largest_batch=4)
    models = service_module.load_models(settings, lambda: False)
    assert [model.number for model in models] == [0, 1]
    assert set(asked) == ({(0, 1), (0, 4), (1, 1), (1, 4)} if has_image else set())
    assert len(asked) == (12 if has_image else 0)


class Planted:
    """A model that has no answer for more images than ``most``, or for its image file."""

    def __init__(self, most: int, *, is_readable: bool = True) -> None:
        self.most, self.is_readable = most, is_readable
        self.sizes: list[int] = []

    def prepare(self, file: Path) -> bytes:
        if not self.is_readable:
            raise ValueError("8160x6144 pixels, more than 50000000")
        return file.read_bytes()

    def answer(self, images: list[bytes]) -> None:
        self.sizes.append(len(images))
        if len(images) > self.most:
            raise RuntimeError("no answer")


@pytest.fixture
def warm_up(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "examples" / "http_service")
    return importlib.import_module("warming").warm_up


def test_what_a_request_may_lack_does_not_end_the_service_before_the_first_one(
    warm_up: Any, tmp_path: Path
) -> None:
    file = tmp_path / "test_image.png"
    file.write_bytes(GOOD)
    whole, alone, unreadable = Planted(4), Planted(1), Planted(4, is_readable=False)
    for model in (whole, alone, unreadable):
        warm_up(model, file, 4, lambda: False)
    assert (whole.sizes, alone.sizes, unreadable.sizes) == ([1, 1, 1, 4, 4, 4], [1, 1, 1, 4], [])
    with pytest.raises(RuntimeError, match="no answer"):
        warm_up(Planted(0), file, 4, lambda: False)


def test_a_service_that_is_told_to_end_answers_nothing_more_before_its_first_request(
    warm_up: Any, tmp_path: Path
) -> None:
    file = tmp_path / "test_image.png"
    file.write_bytes(GOOD)
    model = Planted(4)
    warm_up(model, file, 4, lambda: len(model.sizes) == 2)
    assert model.sizes == [1, 1]


def test_settings_that_an_editor_on_windows_has_saved_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT / "examples" / "http_service")
    settings: Any = importlib.import_module("settings").Settings
    measured = {"threads": 1, "streams": 1, "window_s": 0.25, "largest_batch": 8}
    text = json.dumps({**measured, "rate": 1.0, "p99_limit_s": 1.0, "cpu": "a processor"}, indent=1)
    content = b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()
    (tmp_path / "serving.json").write_bytes(content)
    assert settings.of(tmp_path, 4).window == 0.25
    assert settings.measured_on(tmp_path) == "a processor"


def test_a_python_that_is_too_old_for_the_service_is_one_line(tmp_path: Path) -> None:
    pretend = (
        "import runpy, sys; sys.version_info = (3, 10, 12, 'final', 0); "
        f"sys.version = '3.10.12 (a build)'; runpy.run_path({str(SERVICE)!r}, run_name='__main__')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", pretend], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr == "error: expected Python 3.11 or newer, found 3.10.12\n"


@pytest.mark.parametrize("word", ["65536", "-1", "http", "", "9" * 5000])
def test_a_port_that_is_none_is_one_line(word: str, tmp_path: Path) -> None:
    ended = service_with(ROOT / "src" / "shipped", tmp_path, f"--port={word}")
    assert ended.returncode == 2
    assert "argument --port: " in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


def test_the_service_listens_on_this_machine_only_unless_it_is_told_otherwise(
    service_module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[tuple[object, ...]] = []
    monkeypatch.setattr(service_module, "serve", lambda _, *place: served.append(place))
    for words in ([], ["--host", "192.0.2.7", "--port", "9000"]):
        monkeypatch.setattr(sys, "argv", ["service.py", *words])
        service_module.main()
    assert served == [(8000, "127.0.0.1"), (9000, "192.0.2.7")]
