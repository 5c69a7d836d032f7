"""Unsafe calls are not in this project's code, checked by its syntax trees."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

FILES = sorted((ROOT / "src").rglob("*.py"))

# What runs code that a file or a text names.
RUNS_CODE = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "pickle.load"),
    *("pickle.loads", "pickle.Unpickler", "marshal.load", "marshal.loads", "shelve.open"),
    *("joblib.load", "dill.load", "dill.loads", "cloudpickle.load", "cloudpickle.loads"),
    *("yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "torch.hub.load"),
    *("torch.package.PackageImporter", "pandas.read_pickle", "tarfile.extractall"),
    "LightningModule.load_from_checkpoint",
}
# What loads a file that may be anybody's: only formats do, and only a worker tells them to.
LOADS_FOREIGN = ("torch.jit.load", "ort.InferenceSession", "onnxruntime.InferenceSession")
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  # addresses that are not this machine's own
WALL_CLOCK = {"time.time"}  # time_ns makes names of files, and no durations


def name_of(node: ast.expr) -> str:
    """Return a dotted name as it is written; "" for any other expression."""
    if isinstance(node, ast.Attribute):
        inner = name_of(node.value)
        return f"{inner}.{node.attr}" if inner else f".{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def calls(code: str) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call):
            yield name_of(node.func), node


def constant(call: ast.Call, name: str) -> object:
    """Return the value of a keyword argument that is a constant; None if there is none."""
    for word in call.keywords:
        if word.arg == name and isinstance(word.value, ast.Constant):
            return word.value.value
    return None


# A keyword that a call must have with this value.
DEMANDED = {
    "torch.load": ("weights_only", True),
    "torch.hub.load_state_dict_from_url": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
}


def what_is_unsafe(code: str) -> list[str]:
    """Return the unsafe calls in a piece of code."""
    return [found for name, call in calls(code) for found in problems(name, call)]


def problems(name: str, call: ast.Call) -> Iterator[str]:
    if name in RUNS_CODE or name.endswith(".load_from_checkpoint"):
        yield f"{name} runs what a file names"
    keyword, wanted = DEMANDED.get(name, ("", None))
    if wanted is not None and constant(call, keyword) is not wanted:
        yield f"{name} without {keyword}={wanted}"
    if constant(call, "shell") is True:
        yield f"{name} by a shell"
    if name in WALL_CLOCK:
        yield f"{name}, a clock that jumps"
    addresses = [constant(call, word) for word in ("host", "hostname", "address")]
    addresses += [each.value for each in call.args[:1] if isinstance(each, ast.Constant)]
    if any(each in EVERYWHERE for each in addresses):
        yield f"{name} at {addresses}, for everybody"


@functools.cache
def looked_at(path: Path) -> tuple[list[str], set[str]]:
    """Return the unsafe calls in a file, and the names of all calls."""
    found = list(calls(path.read_text(encoding="utf-8")))
    unsafe = [problem for name, call in found for problem in problems(name, call)]
    return unsafe, {name for name, _ in found}


# One test for all files: a test a file takes more time around the tests than in them.
def test_no_file_runs_what_another_names() -> None:
    assert len(FILES) > 500
    unsafe = {str(path.relative_to(ROOT)): looked_at(path)[0] for path in FILES}
    assert {path: lines for path, lines in unsafe.items() if lines} == {}


def test_a_file_that_may_be_anybodys_is_loaded_by_a_format_only() -> None:
    loading, asking = {}, []
    for path in FILES:
        inside = path.relative_to(ROOT / "src").parts
        if inside[0] in {"backends", "formats", "quantization", "shipped"}:
            continue
        _, found = looked_at(path)
        if foreign := found & set(LOADS_FOREIGN):
            loading[inside] = foreign
        # ``_format.load`` is a format's; the worker is the process that holds the file.
        if any(name.endswith(("format.load", ".get(name).load")) for name in found):
            asking.append(inside)
    assert loading == {}
    assert asking == [("worker", "worker.py")]


@pytest.mark.parametrize(
    "code",
    [
        "eval(text)",
        "import pickle\npickle.load(file)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=safe)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text, Loader=yaml.Loader)",
        "subprocess.run(text, shell=True)",
        "serve(host='0.0.0.0')",
        "socket.bind('0.0.0.0')",
        "time.time()",
        "Classifier.load_from_checkpoint(path)",
    ],
)
def test_the_search_finds_what_it_is_for(code: str) -> None:
    assert what_is_unsafe(code)


@pytest.mark.parametrize("path", sorted((ROOT / "examples").rglob("*.py")), ids=lambda p: p.name)
def test_examples_serve_this_machine_only(path: Path) -> None:
    unsafe = [
        each for each in what_is_unsafe(path.read_text(encoding="utf-8")) if "for every" in each
    ]
    assert unsafe == []
