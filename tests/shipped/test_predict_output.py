"""The printed answers of a bundle's program, on a terminal of any encoding, or with no reader."""

from __future__ import annotations

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image, PngImagePlugin

from src.bundle import packages
from src.bundle.stage import CONTENTS
from src.shipped import terminal

NAMES = ["猫", "dog\u202e", "été"]
RUNTIME = f"""
import numpy as np

class Runtime:
    def __init__(self, path, threads):
        self.metadata = {{"class_names": {NAMES!r}}}

    def __call__(self, images):
        return np.tile(np.float32([2, 1, 0]), (len(images), 1))
"""
ABOUT = {
    "runtime": "runtime_planted",
    "model": "model.planted",
    "sha256": {},
    "executes": False,
    "mixes_batch": False,
    "needs_dot_product": False,
    "threads": None,
    "preprocessing": {
        "image_size": 4,
        "resize": "squash",
        "interpolation": "bilinear",
        "scale": 1 / 255,
        "crop_share": 1.0,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
    },
    "input": {"dtype": "float32", "layout": "NCHW", "normalised": True},
}
EXPECTED = {
    "image": "x.png",
    "class": NAMES[0],
    "probabilities": [0.66524096, 0.24472847, 0.09003057],
    "tolerance": 0.001,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a planted runtime."""
    folder = tmp_path_factory.mktemp("bundle")
    for file in CONTENTS.glob("*.py"):
        if not file.name.startswith("runtime_"):
            (folder / file.name).write_bytes(file.read_bytes())
    (folder / "runtime_planted.py").write_text(RUNTIME, encoding="utf-8")
    (folder / "model.json").write_text(json.dumps(ABOUT), encoding="utf-8")
    (folder / "expected.json").write_text(json.dumps(EXPECTED), encoding="utf-8")
    Image.new("RGB", (9, 9)).save(folder / "x.png")
    return folder


def classify(
    folder: Path, *words: str | bytes, encoding: str = "utf-8:strict", to: str = ""
) -> subprocess.CompletedProcess[bytes]:
    """Run the program in the bundle; its standard output goes to a shell's command if given."""
    words = (sys.executable, "-B", "predict.py", *words)
    command = ["bash", "-c", f'set -o pipefail; "$@" {to}', "bash", *words] if to else words
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        list(command),
        capture_output=True,
        cwd=folder,
        env=environment | {"PYTHONIOENCODING": encoding},
        check=False,
    )


@pytest.mark.parametrize(
    ("encoding", "cat"),
    [("utf-8:strict", "猫"), ("cp1252", r"\u732b"), ("ascii", r"\u732b"), ("latin-1", r"\u732b")],
)
def test_a_class_that_the_terminal_cannot_show_is_printed_as_an_escape(
    folder: Path, encoding: str, cat: str
) -> None:
    ended = classify(folder, "--check", "x.png", "no.png", "x.png", encoding=encoding)
    assert ended.returncode == 1  # of no.png alone
    check, *lines = ended.stdout.decode(encoding.partition(":")[0]).splitlines()
    assert check.startswith(f"x.png: {cat}, probabilities within ")
    assert [line.partition(" 66.52%")[0] for line in lines] == [f"x.png: {cat}"] * 2
    (line,) = ended.stderr.decode().splitlines()
    assert line.startswith("error: no.png: ")


def test_a_file_name_that_is_no_text_is_printed_as_an_escape(folder: Path, tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff.png"
    Path(os.fsdecode(path)).write_bytes((folder / "x.png").read_bytes())
    ended = classify(folder, path, "x.png")
    assert ended.returncode == 0, ended.stderr
    first, second = ended.stdout.decode().splitlines()
    assert r"/\udcff.png: 猫" in first
    assert second.startswith("x.png: 猫")


def test_a_png_with_a_long_text_is_answered(folder: Path, tmp_path: Path) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("layers", "x" * 3_000_000, zip=True)
    path = tmp_path / "large.png"
    Image.new("RGB", (9, 9)).save(path, icc_profile=bytes(2_000_000), pnginfo=texts)
    ended = classify(folder, path)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert "large.png: 猫" in ended.stdout.decode()


def test_an_image_that_does_not_fit_into_memory_costs_no_other_answer(
    folder: Path, tmp_path: Path
) -> None:
    """A limit of memory may hit a sound image, such as one of 81 million pixels."""
    Image.new("1", (9_000, 9_000)).save(tmp_path / "large.png")
    program = (
        "import resource, runpy, sys; import predict_images; "
        "limit = int(next(open('/proc/self/statm')).split()[0]) * 4096 + 300_000_000; "
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit)); "
        "runpy.run_path('predict.py', run_name='__main__')"
    )
    ended = subprocess.run(
        [sys.executable, "-B", "-c", program, "x.png", tmp_path / "large.png", "x.png"],
        capture_output=True,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr == f"error: {tmp_path}/large.png: not enough memory to decode it\n"
    assert [line[:5] for line in ended.stdout.splitlines()] == ["x.png"] * 2


@pytest.mark.parametrize("words", [(), ("--json",), ("--check",)])
def test_a_reader_that_leaves_ends_the_program_without_a_traceback(
    folder: Path, words: tuple[str, ...]
) -> None:
    ended = classify(folder, *words, *["x.png"] * 3, to="| true")
    assert (ended.returncode, ended.stderr) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is full")
def test_a_full_disk_ends_the_program_in_one_line(folder: Path) -> None:
    ended = classify(folder, "x.png", to="> /dev/full")
    assert ended.returncode == 1
    assert ended.stderr.decode().splitlines() == ["error: [Errno 28] No space left on device"]


@pytest.mark.parametrize("count", ["0", "-1", "x", "1.5"])
def test_a_number_of_classes_below_one_is_refused(folder: Path, count: str) -> None:
    ended = classify(folder, f"--top={count}", "x.png")
    assert ended.returncode == 2
    assert ended.stdout == b""
    line = ended.stderr.decode().splitlines()[-1]
    assert "argument --top: " in line
    assert count in line


SLOW = (
    RUNTIME.replace("__call__(self, images):", "__call__(self, images):\n        self.wait()")
    + """
    calls = 0

    def wait(self):
        import time
        self.calls += 1
        if self.calls > 2:
            time.sleep(600)
"""
)


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGINT, -signal.SIGINT, b"interrupted\n"),
        (signal.SIGTERM, -signal.SIGTERM, b""),
        (signal.SIGKILL, -signal.SIGKILL, b""),
    ],
    ids=["Ctrl-C", "SIGTERM", "SIGKILL"],
)
@pytest.mark.parametrize("words", [(), ("--json",)], ids=["text", "json"])
def test_a_program_that_is_stopped_has_printed_every_answer_and_no_traceback(
    folder: Path,
    tmp_path: Path,
    words: tuple[str, ...],
    number: signal.Signals,
    code: int,
    said: bytes,
) -> None:
    slow = tmp_path / "bundle"
    shutil.copytree(folder, slow)
    (slow / "runtime_planted.py").write_text(SLOW, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-B", "predict.py", *words, *["x.png"] * 3],
        cwd=slow,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"},
    )
    assert process.stdout is not None
    answers = [process.stdout.readline() for _ in range(2)]  # which would wait for ever
    process.send_signal(number)
    rest, error = process.communicate(timeout=60)
    assert all(b"x.png" in line for line in answers)
    assert (process.returncode, rest, error) == (code, b"", said)


def test_ctrl_c_ends_the_loop_of_a_shell_too(folder: Path, tmp_path: Path) -> None:
    """A shell goes on after a program that exits with 130 instead of ending by the signal."""
    slow = tmp_path / "bundle"
    shutil.copytree(folder, slow)
    (slow / "runtime_planted.py").write_text(SLOW, encoding="utf-8")
    loop = 'for name in 1 2; do "$@"; echo went on; exit; done'
    command = ["bash", "-c", loop, "bash", sys.executable, "-B", "predict.py", *["x.png"] * 3]
    process = subprocess.Popen(
        command,
        cwd=slow,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    answers = [process.stdout.readline() for _ in range(2)]
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    rest, error = process.communicate(timeout=60)
    assert all(b"x.png" in line for line in answers)
    assert (process.returncode, rest, error) == (-signal.SIGINT, b"", b"interrupted\n")


def test_ctrl_c_is_an_exit_code_where_signals_are_not_those_of_posix(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt() -> None:
        with terminal.ending_with_its_reader():
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # it is replaced
    monkeypatch.setattr(terminal, "accept_every_character", lambda: None)
    with pytest.raises(KeyboardInterrupt):
        interrupt()
    monkeypatch.setattr(terminal, "os", SimpleNamespace(name="nt"))
    with pytest.raises(SystemExit) as ended:
        interrupt()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize("package", ["numpy", "PIL"])
@pytest.mark.parametrize("words", ["x.png", "--check", "--exam"])
@pytest.mark.parametrize(
    "problem", ["raise ModuleNotFoundError('No module named {0}')", "raise ImportError('a\\nb')"]
)
def test_a_package_that_is_missing_or_broken_is_one_line(
    folder: Path, tmp_path: Path, package: str, words: str, problem: str
) -> None:
    (tmp_path / f"{package}.py").write_text(problem.format(package))
    ended = subprocess.run(
        [sys.executable, "-B", folder / "predict.py", words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: ")
    assert line.endswith(f", by {sys.executable}; pip install -r requirements.txt")


PARTS = ["numpy", "PIL", "PIL.Image"]


@pytest.mark.parametrize("words", ["x.png", "--check", "--exam"])
@pytest.mark.parametrize("part", PARTS)
def test_a_package_with_a_broken_part_is_one_line(
    folder: Path, tmp_path: Path, part: str, words: str
) -> None:
    """As of another Python or processor: the package is there, and what it loads fails."""
    package, _, module = part.partition(".")
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").touch()
    broken = tmp_path / package / f"{module or '__init__'}.py"
    broken.write_text("raise ImportError('_imaging.so: wrong ELF class')\n")
    ended = subprocess.run(
        [sys.executable, "-B", folder / "predict.py", words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"error: _imaging.so: wrong ELF class, by {sys.executable}; "
        "pip install -r requirements.txt\n"
    )


def test_links_pipes_and_broken_folders_cost_no_other_answer(folder: Path, tmp_path: Path) -> None:
    picture = (folder / "x.png").read_bytes()
    (tmp_path / "good [1].png").write_bytes(picture)
    (tmp_path / "a[1].png").symlink_to("nowhere")
    for name in (f"{tmp_path}/a[1].png", f"{tmp_path}/*.png", str(tmp_path)):
        ended = classify(folder, name, "x.png")
        assert ended.returncode == 1
        assert ended.stderr.decode() == f"error: {tmp_path}/a[1].png: a link to nothing\n"
        lines = ended.stdout.decode().splitlines()
        assert ("good [1].png: " in lines[0]) == (name != f"{tmp_path}/a[1].png")
        assert lines[-1].startswith("x.png: ")


@pytest.mark.parametrize("name", ["/dev/stdin", "<(cat x.png)"])
def test_an_image_comes_through_a_pipe(folder: Path, name: str) -> None:
    command = f"cat x.png | {sys.executable} -B predict.py {name}"
    ended = subprocess.run(
        ["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "66.52%" in ended.stdout


NAMES_OF_FILES = [
    b"\xff.png",
    b"two\nlines.png",
    b"\x1b[31mred.png",
    b"\xe2\x80\xaegpj.png",
    b"a\tb.png",
]


@pytest.mark.parametrize("name", NAMES_OF_FILES, ids=ascii)
def test_a_file_of_any_name_is_a_line_of_its_own_and_sound_json(
    folder: Path, tmp_path: Path, name: bytes
) -> None:
    path = os.fsencode(tmp_path) + b"/" + name
    Path(os.fsdecode(path)).write_bytes((folder / "x.png").read_bytes())
    broken = os.fsencode(tmp_path) + b"/broken " + name
    Path(os.fsdecode(broken)).write_bytes(b"")
    ended = classify(folder, path, broken)
    (line,) = ended.stdout.decode("utf-8").splitlines()
    (problem,) = ended.stderr.decode("utf-8").splitlines()
    assert all(character.isprintable() for character in line + problem)
    ended = classify(folder, "--json", path)
    (line,) = ended.stdout.decode("utf-8").splitlines()
    image = json.loads(line)["image"]
    assert image.encode("utf-8").startswith(os.fsencode(tmp_path))  # no lone surrogate
    if name != NAMES_OF_FILES[0]:
        assert image == os.fsdecode(path)


def run_as(folder: Path, version: tuple[int, int]) -> subprocess.CompletedProcess[str]:
    """Run the program in the bundle as if this Python were of another version."""
    program = str(folder / "predict.py")
    text = f"{version[0]}.{version[1]}.1 (a build)"
    pretend = (
        f"import runpy, sys; sys.version_info = ({version[0]}, {version[1]}, 1, 'final', 0); "
        f"sys.version = {text!r}; sys.argv = [{program!r}, '--top', '0', 'x.png']; "
        f"sys.path[0] = {str(folder)!r}; runpy.run_path({program!r}, run_name='__main__')"
    )
    return subprocess.run(
        [sys.executable, "-c", pretend], capture_output=True, text=True, check=False
    )


def test_a_python_that_is_too_old_is_told_in_one_line(folder: Path) -> None:
    major, minor = packages.PYTHON
    ended = run_as(folder, (major, minor - 1))
    least = f"{major}.{minor}"
    assert ended.stderr == (
        f"error: expected Python {least} or newer, found {major}.{minor - 1}.1\n"
    )
    assert ended.returncode == 1
    ended = run_as(folder, (major, minor))
    assert "argument --top: expected a number from 1 on" in ended.stderr


def test_an_old_python_can_read_the_program_that_refuses_it() -> None:
    """A syntax error would come before the line that names the version."""
    text = (CONTENTS / "predict.py").read_text(encoding="utf-8")
    body = ast.parse(text, feature_version=(3, 7)).body
    # Nothing but the standard library's sys is imported before it.
    before = body[: next(index for index, node in enumerate(body) if isinstance(node, ast.If))]
    imports = [ast.unparse(node) for node in before if isinstance(node, ast.Import)]
    assert imports == ["import sys"]


def test_a_warning_of_the_model_is_one_line_and_costs_no_answer(
    folder: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "model"))
    about = {**ABOUT, "needs_dot_product": True}
    (copy / "model.json").write_text(json.dumps(about), encoding="utf-8")
    lacking = f"{RUNTIME}\nimport machine\nmachine.lacks_dot_product = lambda: True\n"
    (copy / "runtime_planted.py").write_text(lacking, encoding="utf-8")
    ended = classify(copy, "--check", "x.png")
    assert ended.returncode == 0, ended.stderr
    assert len(ended.stdout.decode().splitlines()) == 2
    (line,) = ended.stderr.decode().splitlines()
    assert line.startswith("warning: model.planted was quantized for processors with an int8 dot ")
