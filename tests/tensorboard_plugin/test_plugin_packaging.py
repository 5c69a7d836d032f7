"""The distribution that pip installs: the loader alone, also for an editable installation."""

from __future__ import annotations

import importlib.metadata
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOADER = "src/tensorboard_plugin/distribution/lightship_tensorboard"


def test_the_entry_point_names_the_loader() -> None:
    entries = PROJECT["project"]["entry-points"]
    assert entries == {
        "tensorboard_plugins": {"lightship": "lightship_tensorboard:LightshipLoader"}
    }
    text = (ROOT / LOADER / "__init__.py").read_text(encoding="utf-8")
    assert "class LightshipLoader(" in text


def test_the_lock_has_the_build_backend_and_not_the_old_viewer() -> None:
    for name in ("requirements.lock", "requirements-gpu.lock"):
        locked = (ROOT / name).read_text(encoding="utf-8")
        assert "\nhatchling==" in locked, name
        assert "torch-tb-profiler" not in locked, name
    assert "torch-tb-profiler" in str(
        PROJECT["project"]["optional-dependencies"]["profiler-legacy"]
    )


@pytest.mark.parametrize("kind", ["build_wheel", "build_editable"])
def test_a_wheel_holds_the_loader_itself_and_building_leaves_nothing(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = "the environment was made before the build backend was part of it"
    pytest.importorskip("editables", reason=old)
    build = pytest.importorskip("hatchling.build", reason=old)
    monkeypatch.chdir(ROOT)
    before = sorted(ROOT.iterdir())
    make: Callable[[str], str] = getattr(build, kind)
    with zipfile.ZipFile(tmp_path / make(str(tmp_path))) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        [entries] = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
        text = wheel.read(entries).decode()
        assert (
            wheel.read("lightship_tensorboard/__init__.py")
            == (ROOT / LOADER / "__init__.py").read_bytes()
        )
    # A .pth file would let TensorBoard fail at its start once the clone is moved.
    assert names == {"lightship_tensorboard/__init__.py"}
    assert "lightship = lightship_tensorboard:LightshipLoader" in text
    assert sorted(ROOT.iterdir()) == before


def test_the_installed_loader_is_that_of_this_clone() -> None:
    try:
        distribution = importlib.metadata.distribution("lightship")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("Lightship is not installed in this environment; scripts/environment does it")
    [entry] = distribution.entry_points.select(group="tensorboard_plugins")
    loader = entry.load()
    assert issubclass(loader, importlib.import_module("tensorboard.plugins.base_plugin").TBLoader)
    installed = distribution.locate_file("lightship_tensorboard/__init__.py")
    assert installed.read_bytes() == (ROOT / LOADER / "__init__.py").read_bytes()  # type: ignore[attr-defined]
