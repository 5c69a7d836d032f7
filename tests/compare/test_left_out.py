"""A folder of runs is compared though one of them cannot be read, and that one is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from src.cli.commands.compare import main
from src.errors import UsageError
from src.run.results import VERSION
from tests.compare.test_comparison import file, keep
from tests.report.planted import results


def damaged(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def rewrite(path: Path) -> None:
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return rewrite


def replaced(text: str) -> Callable[[Path], None]:
    def rewrite(path: Path) -> None:
        path.write_text(text)

    return rewrite


def cut(path: Path) -> None:
    path.write_text(path.read_text()[:500])


def not_a_number(path: Path) -> None:
    path.write_text(path.read_text().replace("0.98", "NaN", 1))


DAMAGES: dict[str, Callable[[Path], None]] = {
    "cut off by a full disk": cut,
    "empty": replaced(""),
    "of a later version": damaged(lambda content: content.update(schema_version=VERSION + 1)),
    "of another program": replaced('[{"name": "BM_x"}]'),
    "a pointer of Git LFS": replaced("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
    "with NaN": not_a_number,
    "changed by hand": damaged(lambda content: content["rows"][0].pop("format")),
}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for name in ("good", "second", "third"):
        keep(tmp_path, name, results(file("eager", 0.008, 0.98), file("onnx_fp32", 0.002, 0.98)))
    return tmp_path


@pytest.mark.parametrize("name", DAMAGES)
def test_a_measurement_that_cannot_be_read_is_left_out_and_named(
    name: str, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = runs / "second" / "version_0" / "benchmark.json"
    DAMAGES[name](path)
    main([str(runs)])
    printed = capsys.readouterr().out
    for text in (printed, (runs / "comparison.md").read_text()):
        (line,) = [
            line
            for line in text.splitlines()
            if "Not compared, because it cannot be read: " in line
        ]
        assert "second" in line
        assert "good/version" in text
        assert "third/version" in text
    assert "Not compared, because it cannot be read" in (runs / "comparison.html").read_text()


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_measurement_that_is_named_itself_is_refused(name: str, runs: Path) -> None:
    path = runs / "second" / "version_0" / "benchmark.json"
    DAMAGES[name](path)
    words = [[str(path)], [str(path.parent)], [str(path.parents[1])], [str(runs), str(path)]]
    good = str(runs / "good" / "version_0")
    for arguments in (*words, [good, str(path.parent), "--max-drop", "0.5"]):
        with pytest.raises(UsageError, match=str(path)):
            main(arguments)
    assert not (runs / "comparison.html").exists()


def test_a_folder_without_a_readable_measurement_is_refused(runs: Path) -> None:
    for path in runs.rglob("benchmark.json"):
        cut(path)
    with pytest.raises(UsageError, match=r"good.version_0.benchmark\.json: expected a JSON file"):
        main([str(runs)])
