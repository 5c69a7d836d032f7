"""A home folder for tests of paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.datasets.test_image_folder import fill


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home folder with images, a CSV file of them and a run; change to another folder."""
    home, work = tmp_path / "home", tmp_path / "work"
    work.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    for seed, name in enumerate(("cat", "dog")):
        fill(home / "photos" / name, 10, seed)
    names = sorted((home / "photos" / "cat").iterdir())
    (home / "labels.csv").write_text(
        "path,label\n"
        + "".join(f"{name}/{file.name},{name}\n" for name in ("cat", "dog") for file in names)
    )
    (home / "run").mkdir()
    (home / "run" / "config.yaml").write_text("{}")
    return home
