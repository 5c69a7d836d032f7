"""A bundle where Python does not search the folder of a program.

It is not searched under ``python -P`` and ``PYTHONSAFEPATH``, nor by the embeddable Python of
Windows:
https://docs.python.org/3/using/windows.html#the-embeddable-package
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

SHIPPED = ROOT / "src" / "shipped"
SERVICE = ROOT / "examples" / "http_service" / "service.py"
STARTED = re.compile(r'^if __name__ == "__main__":$', re.MULTILINE)
PROGRAMS = sorted(
    path.name for path in SHIPPED.glob("*.py") if STARTED.search(path.read_text(encoding="utf-8"))
)
LEFT_OUT = {"PYTHONPATH", "PYTHONSAFEPATH", "PYTHONDONTWRITEBYTECODE"}
ENVIRONMENT = {name: text for name, text in os.environ.items() if name not in LEFT_OUT}
needs_option = pytest.mark.skipif(sys.version_info < (3, 11), reason="-P is of Python 3.11")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """The program of a bundle, beside a folder with a module of the same name as one of it."""
    folder = tmp_path / "bundle"
    shutil.copytree(SHIPPED, folder, ignore=shutil.ignore_patterns("__pycache__", "__init__.py"))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "machine.py").write_text("raise SystemExit('another module')\n")
    return folder


def run(bundle: Path, *words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=bundle.parent / "elsewhere",
        env=ENVIRONMENT | variables,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_the_programs_of_a_bundle_are_found() -> None:
    assert PROGRAMS == ["predict.py", "session.py"]


@needs_option
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_finds_its_modules_though_python_does_not_search_its_folder(
    name: str, bundle: Path
) -> None:
    program = bundle / name
    for ended in (
        run(bundle, "-P", program, "--help"),
        run(bundle, program, "--help", PYTHONSAFEPATH="1"),
        run(bundle, program, "--help", PYTHONSAFEPATH="1", PYTHONPATH=str(bundle.parent)),
        run(bundle, "-I", program, "--help"),
        run(bundle, program, "--help"),
    ):
        assert "No module named" not in ended.stderr
        assert "another module" not in ended.stderr
    # session.py reads its exam first, which is not here.
    assert name != "predict.py" or ended.returncode == 0


@needs_option
def test_the_exam_program_is_found_too(bundle: Path) -> None:
    ended = run(bundle, "-P", bundle / "predict.py", "--exam", "--help")
    assert (ended.returncode, ended.stderr) == (0, "")


@needs_option
def test_the_http_service_finds_its_modules(bundle: Path) -> None:
    for package in ("fastapi", "uvicorn", "prometheus_client"):
        pytest.importorskip(package)
    ended = run(bundle, "-P", SERVICE, "--help", BUNDLE=str(bundle))
    assert (ended.returncode, ended.stderr) == (0, "")
