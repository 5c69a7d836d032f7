"""The exam of a bundle through an HTTP service: a planted one that answers rightly or otherwise."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.shipped import accuracy, exam_files, file_hash
from src.shipped.exam_files import Exam
from tests.conftest import ROOT
from tests.support import planted_exam

PROGRAM = ROOT / "examples" / "http_service" / "exam.py"
IMAGES = 12
Top = list[dict[str, Any]]
Change = Callable[[int, Top], Any]  # of the answer to an image; bytes are sent as they are


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of a bundle, and an exam whose images are their numbers."""
    folder = tmp_path_factory.mktemp("http") / "bundle"
    shutil.copytree(ROOT / "src" / "shipped", folder, ignore=shutil.ignore_patterns("__pycache__"))
    write(folder, planted_exam.exam(folder, IMAGES))
    return folder


def write(folder: Path, taken: Exam) -> None:
    (folder / "exam").mkdir(exist_ok=True)
    arrays = {name: getattr(taken, name) for name in ("labels", "answers", "reference")}
    facts = {one.name: getattr(taken, one.name) for one in dataclasses.fields(taken)}
    facts = {name: facts[name] for name in facts.keys() - arrays.keys() - {"folder", "packed"}}
    np.savez(folder / "exam" / "answers.npz", **arrays)
    files = ["answers.npz", *taken.images]
    for number, name in enumerate(taken.images):
        (folder / "exam" / name).write_bytes(b"%d" % number)
    if not taken.images:
        np.savez(folder / "exam" / "inputs.npz", inputs=np.zeros((IMAGES, 1)))
        files.append("inputs.npz")
    facts["hashes"] = {name: file_hash.sha256_of(folder / "exam" / name) for name in files}
    (folder / "exam" / "exam.json").write_text(json.dumps(facts | {"schema_version": 1}))


@contextlib.contextmanager
def serving(bundle: Path, change: Change) -> Iterator[str]:
    """Answer as the file did at home, but for ``change``; yield the address."""
    taken = exam_files.read(bundle)
    probabilities = np.exp(accuracy.log_softmax(taken.answers))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            image = int(self.rfile.read(int(self.headers["content-length"])))
            best = np.argsort(-probabilities[image])[:5]
            top = [
                {"class": taken.class_names[index], "probability": probabilities[image, index]}
                for index in best
            ]
            answer = change(image, top)
            is_raw = isinstance(answer, bytes)
            self.send_response(415 if is_raw and b"detail" in answer else 200)
            self.end_headers()
            self.wfile.write(answer if is_raw else json.dumps({"top": answer}).encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def take(url: str, bundle: Path, **more: str) -> subprocess.CompletedProcess[str]:
    left_out = {"PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "http_proxy", "HTTP_PROXY", "no_proxy"}
    variables = {name: text for name, text in os.environ.items() if name not in left_out}
    command = [sys.executable, PROGRAM, url, bundle]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=variables | more
    )


def swapped(image: int, top: Top) -> Top:
    """The first image gets the first two classes in the other order."""
    if image == 0:
        names = [one["class"] for one in top]
        for one, name in zip(top, [names[1], names[0], *names[2:]], strict=True):
            one["class"] = name
    return top


def nearly(image: int, top: Top) -> Top:
    return [{**one, "probability": one["probability"] * (1 + 5e-4)} for one in top]


def test_a_service_that_answers_as_at_home_passes_and_its_bundle_stays_as_it_is(
    bundle: Path,
) -> None:
    before = sorted(bundle.rglob("*"))
    with serving(bundle, nearly) as url:
        ended = take(f"{url}/", bundle)
    assert ended.returncode == 0, ended.stderr
    exam, answers, probabilities, top1, result = ended.stdout.splitlines()
    assert (
        exam == f"exam: onnx_fp32 of planted/version_0, {IMAGES} images of digits, by the service"
    )
    assert "answers: 0 of 12 flip" in answers
    assert answers.endswith("0.0 % [0.0, 24.2]")
    assert probabilities.endswith(", 0.001 is due")
    assert top1 == "top-1: 83.33 % here, 83.33 % there"
    assert result == "result: holds in the service"
    assert sorted(bundle.rglob("*")) == before


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_proxy_of_the_environment_is_not_asked_for_a_service_on_this_machine(
    bundle: Path, host: str
) -> None:
    with serving(bundle, nearly) as url:
        ended = take(url.replace("127.0.0.1", host), bundle, http_proxy="http://127.0.0.1:9")
    assert ended.returncode == 0, ended.stderr


def test_a_proxy_of_the_environment_is_asked_for_another_machine(bundle: Path) -> None:
    with serving(bundle, nearly) as proxy:
        ended = take("http://service.example", bundle, http_proxy=proxy)
    assert ended.returncode == 0, ended.stderr


def test_a_name_in_another_script_is_printed_on_every_terminal(
    bundle: Path, tmp_path: Path
) -> None:
    named = tmp_path / "named"
    shutil.copytree(bundle, named)
    write(named, dataclasses.replace(exam_files.read(bundle), run="猫/version_0"))
    with serving(named, nearly) as url:
        ended = take(url, named, PYTHONIOENCODING="cp1252", PYTHONUTF8="0")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("exam: onnx_fp32 of \\u732b/version_0, ")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (swapped, "error: a probability differs by"),
        (lambda _, top: [{**top[0], "probability": float("nan")}], "error: a probability differs"),
        (lambda _, top: [{**top[0], "class": "a cat"}], "000.png: expected classes of the exam"),
        (lambda *_: [], "000.png: expected classes of the exam, found no class"),
        (lambda *_: b'{"detail": "not an image"}', "000.png: expected an answer, found 415: "),
        (lambda *_: b"<html>", "URL: expected the likeliest classes of 000.png, found something"),
        (lambda *_: b"[]", "URL: expected the likeliest classes of 000.png, found something"),
        (lambda *_: b'{"top": [5]}', "URL: expected the likeliest classes of 000.png"),
    ],
)
def test_a_service_that_answers_otherwise_is_told_in_one_line(
    bundle: Path, change: Change, told: str
) -> None:
    with serving(bundle, change) as url:
        ended = take(url, bundle)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert told in line
    if change is swapped:
        assert line.endswith("1 of 12 answers flip")
        assert "result: DOES NOT HOLD in the service" in ended.stdout


def test_a_wrong_address_or_bundle_is_one_line(bundle: Path, tmp_path: Path) -> None:
    arrays = tmp_path / "arrays"
    shutil.copytree(bundle, arrays)
    changes: dict[str, Any] = {"content": "tensors", "images": []}
    write(arrays, dataclasses.replace(exam_files.read(bundle), **changes))
    for url, folder, told, code in (
        ("127.0.0.1:8000", bundle, "argument URL: expected an address as http://", 2),
        ("http://[::1", bundle, "argument URL: expected an address as http://", 2),
        ("http://", bundle, "argument URL: expected an address as http://", 2),
        ("http://127.0.0.1:9", bundle, "error: URL: expected a service, found http://", 1),
        ("http://127.0.0.1:9", tmp_path / "no", "error: BUNDLE: expected the folder of an", 1),
        ("http://127.0.0.1:9", arrays, "error: BUNDLE: expected an exam with image files", 1),
    ):
        ended = take(url, folder)
        assert ended.returncode == code
        assert told in ended.stderr.splitlines()[-1]
        assert "Traceback" not in ended.stderr
