"""The installed module: it finds the clone, and never keeps TensorBoard from starting."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tensorboard.plugins import base_plugin

from tests.conftest import ROOT
from tests.support.plugin_runs import write_run
from tests.support.tensorboard_process import LOADER, OUTSIDE, environment, install, tensorboard

ADDRESS = ROOT.as_uri()


@pytest.fixture
def loader() -> ModuleType:
    spec = importlib.util.spec_from_file_location("loader_under_test", LOADER / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def context(logdir: Path) -> base_plugin.TBContext:
    return base_plugin.TBContext(logdir=str(logdir))


def line(loader: ModuleType, caplog: pytest.LogCaptureFixture) -> str:
    """Load the plugin in vain; return the line in the log."""
    with caplog.at_level(logging.WARNING, logger="tensorboard"):
        assert loader.LightshipLoader().load(context(Path("/nowhere"))) is None
    [record] = caplog.records
    message = record.getMessage()
    assert message.startswith("TensorBoard starts without the tab Lightship: ")
    assert "\n" not in message
    assert record.exc_info is None
    return message


def record(monkeypatch: pytest.MonkeyPatch, text: str | None) -> None:
    """Let ``text`` be the record of where Lightship was installed from."""

    class Distribution:
        def read_text(self, name: str) -> str | None:
            assert name == "direct_url.json"
            return text

    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: Distribution())


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A Python whose environment lies in no clone, that has no record and no ``src``."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    record(monkeypatch, None)
    monkeypatch.delitem(sys.modules, "src")
    return tmp_path


def clone(folder: Path, code: str = "class LightshipPlugin: pass") -> Path:
    """Make something that looks like a clone."""
    package = folder / "src" / "tensorboard_plugin"
    package.mkdir(parents=True)
    for file in (folder / "src" / "__init__.py", package / "__init__.py"):
        file.write_text("")
    (package / "plugin.py").write_text(code)
    return folder


# --- finding the clone


def test_the_clone_that_the_environment_lies_in_comes_first(
    loader: ModuleType, nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, copy = clone(nowhere / "original"), clone(nowhere / "copy")
    record(monkeypatch, json.dumps({"url": original.as_uri()}))
    assert loader._find_clone() == original
    monkeypatch.setattr(sys, "prefix", str(copy / ".venv"))
    assert loader._find_clone() == copy


@pytest.mark.parametrize("name", ["venv", "env", ".venv2"])
def test_code_beside_another_environment_is_not_loaded(
    loader: ModuleType, nowhere: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    planted, own = clone(nowhere / "tmp"), clone(nowhere / "own")
    monkeypatch.setattr(sys, "prefix", str(planted / name))
    with pytest.raises(loader._UnavailableError):
        loader._find_clone()
    record(monkeypatch, json.dumps({"url": own.as_uri()}))
    assert loader._find_clone() == own


@pytest.mark.parametrize("name", ["plain", "with space", "with%20percent", "ünï", "a#b?c"])
def test_the_recorded_folder_is_found(
    loader: ModuleType, nowhere: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = clone(nowhere / name)
    record(monkeypatch, json.dumps({"url": folder.as_uri(), "dir_info": {}}))
    assert loader._find_clone() == folder


def test_a_package_that_is_imported_already_is_found(
    loader: ModuleType, nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = ModuleType("src")
    package.__path__ = [str(clone(nowhere / "clone") / "src")]
    monkeypatch.setitem(sys.modules, "src", package)
    assert loader._find_clone() == nowhere / "clone"


@pytest.mark.parametrize(
    "text",
    [None, "", "{", "[]", "{}", '{"url": 1}', '{"url": "https://host/lightship.git"}',
     '{"url": "file:///nowhere/lightship"}', '{"url": "file://[bad"}', "null"],
)  # fmt: skip
def test_without_a_clone_the_line_has_the_remedy(
    loader: ModuleType,
    nowhere: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    text: str | None,
) -> None:
    record(monkeypatch, text)
    message = line(loader, caplog)
    assert f"plugin.py was not found in {nowhere}" in message
    assert "pip install --no-deps FOLDER" in message


def test_a_package_that_is_not_installed_has_no_record(
    loader: ModuleType, nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", absent)
    assert loader._recorded_folder() is None


# --- loading from it


def test_the_plugin_is_loaded(loader: ModuleType, tmp_path: Path) -> None:
    plugin = loader.LightshipLoader().load(context(tmp_path))
    assert plugin.plugin_name == "lightship"
    assert not plugin.is_active()


FAULTS = {
    "raises": ("raise RuntimeError('broken\\nin two lines')", "RuntimeError: broken in two lines"),
    "is no Python": ("def (", "SyntaxError"),
    "misses a package": (
        "import a_package_that_nobody_has",
        "ModuleNotFoundError: No module named",
    ),
    "ends the process": ("raise SystemExit(3)", "SystemExit: 3"),
    "has no plugin": ("", "AttributeError"),
    "cannot start": ("class LightshipPlugin:\n    def __init__(self): pass", "TypeError"),
}


@pytest.mark.parametrize(("code", "fault"), FAULTS.values(), ids=FAULTS.keys())
def test_code_that_fails_is_a_line_and_leaves_nothing_imported(
    loader: ModuleType,
    nowhere: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    code: str,
    fault: str,
) -> None:
    for name in [name for name in sys.modules if name.startswith("src.")]:
        monkeypatch.delitem(sys.modules, name)
    path = list(sys.path)
    folder = clone(nowhere / "clone", code)
    record(monkeypatch, json.dumps({"url": folder.as_uri()}))
    message = line(loader, caplog)
    assert fault in message
    assert f"the code in {folder} failed" in message
    assert "pip uninstall lightship" in message
    assert sys.path == path
    left = {name for name in sys.modules if name == "src" or name.startswith("src.")}
    is_imported = fault in {"AttributeError", "TypeError"}
    assert bool(left) is is_imported
    for name in left:
        del sys.modules[name]


def test_another_package_named_src_stays_and_the_line_says_so(
    loader: ModuleType,
    nowhere: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    other = ModuleType("src")
    other.__path__ = [str(nowhere / "their project" / "src")]
    monkeypatch.setitem(sys.modules, "src", other)
    record(monkeypatch, json.dumps({"url": ADDRESS}))
    message = line(loader, caplog)
    assert f"a different package named src is imported from {nowhere}/their project/src" in message
    assert sys.modules["src"] is other


def test_a_module_named_src_is_no_clone(
    loader: ModuleType,
    nowhere: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setitem(sys.modules, "src", ModuleType("src"))
    record(monkeypatch, json.dumps({"url": ADDRESS}))
    assert "a different package named src" in line(loader, caplog)


@pytest.mark.parametrize("number", ["1.15.0", "2.19.9", "2.0.0a1"])
def test_an_old_tensorboard_is_named_with_the_one_to_install(
    loader: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    number: str,
) -> None:
    monkeypatch.setattr(loader.version, "VERSION", number)
    message = line(loader, caplog)
    assert f"TensorBoard {number} is too old; install tensorboard>=2.20" in message


@pytest.mark.parametrize("number", ["2.20.0", "2.21.0a20261101", "3.0.0", "unknown"])
def test_a_newer_tensorboard_loads_the_plugin(
    loader: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: str
) -> None:
    monkeypatch.setattr(loader.version, "VERSION", number)
    assert loader.LightshipLoader().load(context(tmp_path)) is not None


PROGRAM = """
import sys
sys.prefix = "/nowhere/env"
before = list(sys.path)
from tensorboard.plugins import base_plugin
from lightship_tensorboard import LightshipLoader
plugin = LightshipLoader().load(base_plugin.TBContext(logdir=sys.argv[1]))
assert plugin is not None
assert sys.path == before, sys.path
import src
print(src.__path__)
from werkzeug.test import Client
for path in "/runs /overview /traces /download /operators /timeline /static/page.css".split():
    answer = Client(plugin.get_plugin_apps()[path]).get("/?run=version_0&trace=rank0-0&by=name")
    assert answer.status_code == 200, answer.get_data()
assert plugin.is_active()
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_a_src_in_the_started_folder_is_not_taken_for_ours_and_no_heavy_package_is_imported(
    tmp_path: Path,
) -> None:
    site = install(tmp_path / "site", ADDRESS)
    (tmp_path / "work" / "src").mkdir(parents=True)
    (tmp_path / "work" / "src" / "__init__.py").write_text("raise ImportError('their own')")
    write_run(tmp_path / "logs" / "version_0")
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "logs")],
        cwd=tmp_path / "work",
        env=environment(site),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    place, imported = ended.stdout.splitlines()
    assert place == str([str(ROOT / "src")])
    assert not {"torch", "lightning", "matplotlib", "onnxruntime"} & set(imported.split())


# --- in TensorBoard's own process


def test_tensorboard_shows_the_tab_from_a_folder_with_a_src_of_its_own(tmp_path: Path) -> None:
    site = install(tmp_path / "site", ADDRESS)
    work = clone(tmp_path / "work", "raise ImportError('their own')")
    shutil.rmtree(work / "src" / "tensorboard_plugin")
    write_run(work / "lightning_logs" / "version_0")
    with tensorboard(Path("lightning_logs"), site=site, cwd=work) as server:
        listed = server.json("data/plugins_listing")
        runs = server.json("data/plugin/lightship/runs")
    assert listed["lightship"]["enabled"] is True
    assert [run["name"] for run in runs["runs"]] == ["version_0"]
    assert "without the tab Lightship" not in server.log


@pytest.mark.parametrize("state", ["gone", "failing"])
def test_tensorboard_starts_without_the_tab_if_the_clone_is(tmp_path: Path, state: str) -> None:
    folder = tmp_path / "clone"
    if state == "failing":
        clone(folder, "raise RuntimeError('broken')")
    site = install(tmp_path / "site", folder.as_uri())
    with tensorboard(tmp_path, site=site, cwd=tmp_path, program=("-c", OUTSIDE)) as server:
        listed = server.json("data/plugins_listing")
    assert "lightship" not in listed
    assert "scalars" in listed
    [told] = [text for text in server.log.splitlines() if "Lightship" in text]
    assert "TensorBoard starts without the tab Lightship: " in told
    assert ("failed with RuntimeError: broken" if state == "failing" else str(folder)) in told
    assert "Traceback" not in server.log
