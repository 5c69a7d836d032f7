"""``python -m src.predict`` with a planted file: predictions are kept however the command ends.

Tests of signals and pipes start a process; all others run the command in this one.
"""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from src.cli.commands.predict import main
from src.cli.entry_point import run_command
from src.errors import LightshipError
from src.predict.growing_file import GrowingFile
from src.run.call_size import EVALUATION_BATCH
from tests.conftest import ROOT
from tests.support import photos
from tests.support.planted_predictions import Planted, plant

TOTAL = 3 * EVALUATION_BATCH


# The same in a process of its own, which waits after its first batch.
PROGRAM = """
import time
import pytest
from src.cli.entry_point import run_command
from src.cli.commands.predict import main
from tests.support.planted_predictions import Planted, plant

plant(pytest.MonkeyPatch(), Planted(lambda: time.sleep(600), 1), *{words!r})
run_command(main)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder, and a folder of three batches of images, one of which is unreadable."""
    folder = tmp_path_factory.mktemp("predict")
    (folder / "run").mkdir()
    (folder / "run" / "config.yaml").write_text("model: {}\n")
    picture = photos.write(folder / "made", 1) / "sea" / "00.jpg"
    (folder / "photos").mkdir()
    for number in range(TOTAL):
        (folder / "photos" / f"{number:03}.jpg").hardlink_to(picture)
    return folder


def started(place: Path, *words: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(words=words)],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )


@dataclass(frozen=True)
class Ended:
    """Output and exit code of the command."""

    code: int
    printed: str
    said: str


@pytest.fixture
def predict(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ended]:
    def run(file: Planted, *words: str) -> Ended:
        monkeypatch.chdir(place)
        plant(monkeypatch, file, *words)
        code = 0
        try:
            run_command(main)
        except SystemExit as ended:
            code = int(str(ended.code))
        return Ended(code, *capsys.readouterr())

    return run


def fail(error: Exception) -> Callable[[], object]:
    def failing() -> None:
        raise error

    return failing


def answers(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        content: list[dict[str, Any]] = json.loads(text)
        return content
    assert text.endswith("\n")
    return list(csv.DictReader(io.StringIO(text), strict=True))


def waited_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Wait until the predictions of the first batch are in a file."""

    def there() -> bool:
        try:
            return len(answers(path)) == EVALUATION_BATCH
        except (OSError, ValueError, AssertionError):
            return False  # it is being written just now

    while process.poll() is None and not there():
        time.sleep(0.05)


@pytest.fixture
def broken(place: Path) -> Iterator[Path]:
    """Replace the last image but one by an unreadable file during a test."""
    path = place / "photos" / f"{TOTAL - 2:03}.jpg"
    aside = path.rename(place / "aside.jpg")
    path.write_text("no picture")
    yield path
    aside.replace(path)


SKIPPED = f"1 of {TOTAL} images skipped"


@pytest.mark.parametrize(
    ("words", "code", "lines", "last"),
    [
        ((), 1, TOTAL, f"error: {SKIPPED}: the reason stands in the line of each, in answers.csv"),
        (("on_error=skip",), 0, TOTAL, SKIPPED),
        (("on_error=raise",), 2, TOTAL - 2, "error: photos/190.jpg: expected an image that Pillow"),
    ],
)
def test_an_unreadable_image_does_not_lose_other_predictions(
    place: Path,
    broken: Path,
    predict: Callable[..., Ended],
    words: tuple[str, ...],
    code: int,
    lines: int,
    last: str,
) -> None:
    ended = predict(Planted(), *words, "--output", "answers.csv")
    rows = answers(place / "answers.csv")
    assert (ended.code, len(rows)) == (code, lines)
    printed = len(ended.printed.splitlines())
    assert printed == sum(1 for row in rows if not row["error"])
    assert f"{printed} of {TOTAL} images answered, in answers.csv" in ended.said
    assert ended.said.splitlines()[-1].startswith(last)
    marked = [row["image"] for row in rows if row["error"]]
    assert marked == ([] if code == 2 else [f"photos/{broken.name}"])


ODD_NAMES = {
    "two  spaces.jpg": "two  spaces.jpg",
    " leading.jpg": " leading.jpg",
    "50% [bold]off :smile:.jpg": "50% [bold]off :smile:.jpg",
    "tab\tin.jpg": r"tab\x09in.jpg",
    "line\nbreak.jpg": r"line\x0abreak.jpg",
    "\x1b[31mred.jpg": r"\x1b[31mred.jpg",
    "gpj.\u202eexe.jpg": r"gpj.\u202eexe.jpg",
}


def test_a_printed_answer_has_the_path_of_its_file(
    place: Path, predict: Callable[..., Ended], tmp_path: Path
) -> None:
    picture = (place / "photos" / "000.jpg").read_bytes()
    for name in ODD_NAMES:
        (tmp_path / name).write_bytes(picture)
    ended = predict(Planted(), *(str(tmp_path / name) for name in ODD_NAMES))
    lines = [line for line in ended.printed.split("\n") if line.startswith(str(tmp_path))]
    assert len(lines) == len(ODD_NAMES)
    for line, shown in zip(lines, ODD_NAMES.values(), strict=True):
        assert line.startswith(f"{tmp_path}/{shown}: ")


def test_a_worker_that_dies_does_not_lose_earlier_predictions(
    place: Path, predict: Callable[..., Ended]
) -> None:
    died = LightshipError("planted: the worker process ended with SIGKILL")
    ended = predict(Planted(fail(died), 2), "-o", "died.json")
    assert ended.code == 1
    assert ended.said.splitlines() == [
        f"{2 * EVALUATION_BATCH} of {TOTAL} images answered, in died.json",
        f"error: {died}",
    ]
    assert len(answers(place / "died.json")) == 2 * EVALUATION_BATCH


def test_a_full_disk_is_reported_with_the_number_of_predictions(
    place: Path, predict: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    append = GrowingFile.append

    def full(self: GrowingFile, piece: bytes, end: bytes = b"") -> None:
        if self._end > 9000:
            raise OSError(errno.ENOSPC, "No space left on device", "full.csv")
        append(self, piece, end)

    monkeypatch.setattr(GrowingFile, "append", full)
    ended = predict(Planted(), "-o", "full.csv")
    count = len(answers(place / "full.csv"))
    assert ended.code == 1
    assert 0 < count < TOTAL
    summary, error = ended.said.splitlines()
    assert summary == f"{count} of {TOTAL} images answered, in full.csv"
    assert error.startswith("error: full.csv: the disk is full; make room; ")


def test_a_defect_keeps_earlier_predictions_and_its_traceback(
    place: Path, predict: Callable[..., Ended]
) -> None:
    with pytest.raises(RuntimeError, match="a defect"):
        predict(Planted(fail(RuntimeError("a defect")), 1), "-o", "broke.csv")
    assert len(answers(place / "broke.csv")) == EVALUATION_BATCH


@pytest.mark.parametrize(
    ("end", "code", "line", "output"),
    [
        (signal.SIGINT, 130, "stopped by Ctrl-C", "answers.json"),
        (signal.SIGKILL, -9, None, "answers.csv"),
    ],
)
def test_a_signal_does_not_lose_earlier_predictions(
    place: Path, end: signal.Signals, code: int, line: str | None, output: str
) -> None:
    path = place / output
    path.unlink(missing_ok=True)
    process = started(place, "-o", output)
    waited_for(path, process)
    process.send_signal(end)
    _, said = process.communicate()
    assert process.returncode == code, said
    assert len(answers(path)) == EVALUATION_BATCH
    assert "Traceback" not in said
    if line:
        assert said.splitlines()[-1] == line
        assert f"{EVALUATION_BATCH} of {TOTAL} images answered, in {output}" in said


def test_a_closed_pipe_does_not_lose_predictions_in_the_file(place: Path) -> None:
    with started(place, "-o", "piped.json", stderr=subprocess.STDOUT) as process:
        assert process.stdout
        process.stdout.close()  # as head does
        waited_for(place / "piped.json", process)
        process.terminate()
    assert process.returncode == 143
    assert len(answers(place / "piped.json")) == EVALUATION_BATCH


@pytest.mark.slow
def test_without_an_output_file_a_closed_pipe_ends_the_command_quietly(place: Path) -> None:
    with started(place) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141
