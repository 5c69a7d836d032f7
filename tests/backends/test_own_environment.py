"""Environments of formats: made once from a lock, whole, offline afterwards, apart from this one.

The packages are wheels that the tests write, so no network is used. uv is the real one.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import platform
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np
import pytest

from src import formats
from src.backends import own_environment
from src.backends.base import Unavailable
from src.backends.own_environment import ConversionError, OwnEnvironment
from src.errors import UsageError
from src.export.one_format import export_one
from src.system import environments
from src.worker.guarded_process import Limits
from src.worker.process import WorkerProcess
from tests.conftest import ROOT
from tests.support.planted_wheels import wheel

Lock = Callable[[str], OwnEnvironment]


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lock:
    """Return a function that locks a version of the planted package for an environment."""
    if environments.uv() is None:
        pytest.skip("uv is not installed")
    root = tmp_path / "environments"
    wheels = tmp_path / "wheels"
    root.mkdir()
    wheels.mkdir()
    uv = environments.uv()
    monkeypatch.setattr(environments, "uv", lambda: uv)
    monkeypatch.setattr(environments, "ROOT", root)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))

    def locked(version: str) -> OwnEnvironment:
        digest = wheel(wheels, version)
        (root / "planted.lock").write_text(
            f"--no-index\n--find-links {wheels}\nnumpy=={version} --hash=sha256:{digest}\n"
        )
        return OwnEnvironment("planted", size_bytes=3_000_000)

    return locked


def version_in(python: Path) -> str:
    program = "import numpy; print(numpy.__version__)"
    return subprocess.check_output([python, "-c", program], text=True).strip()


def test_it_is_made_once_with_its_size_told_and_needs_nothing_afterwards(
    lock: Lock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = lock("0.0.1")
    python = environment.python()
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "about 3 MB on the disk, about 1 min" in told
    assert version_in(python) == "0.0.1"
    monkeypatch.setattr(environments, "uv", lambda: pytest.fail("it was made already"))
    assert environment.python() == python
    assert capsys.readouterr().err == ""


def test_a_package_that_conflicts_with_ours_leaves_this_environment_as_it_is(lock: Lock) -> None:
    before = (ROOT / "requirements.lock").read_bytes()
    assert version_in(lock("0.0.1").python()) == "0.0.1"
    assert version_in(Path(sys.executable)) == np.__version__ != "0.0.1"
    assert (ROOT / "requirements.lock").read_bytes() == before


def test_an_active_environment_does_not_decide_where_packages_go(
    lock: Lock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "other"))
    assert version_in(lock("0.0.1").python()) == "0.0.1"
    assert not (tmp_path / "other").exists()


def test_another_lock_makes_another_one_and_leaves_the_first_as_it_is(lock: Lock) -> None:
    first = lock("0.0.1").python()  # a worker may run with it
    second = lock("0.0.2").python()
    assert first != second
    assert [version_in(python) for python in (first, second)] == ["0.0.1", "0.0.2"]
    assert lock("0.0.1").python() == first


def test_another_python_makes_another_one_and_leaves_the_first_as_it_is(
    lock: Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = lock("0.0.1")
    first = environment.python()
    monkeypatch.setattr(OwnEnvironment, "_wanted_python", "3.99")
    second = environment.python()
    assert first != second
    assert [version_in(python) for python in (first, second)] == ["0.0.1", "0.0.1"]


def test_a_lock_that_changes_while_it_is_installed_is_not_taken_for_the_other(
    lock: Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = lock("0.0.1")
    run = environments.run_installer

    def changing(command: list[str], seconds: float, guard: int) -> str:
        if command[1] == "venv":
            lock("0.0.2")
        return run(command, seconds, guard)

    with monkeypatch.context() as patch:
        patch.setattr(environments, "run_installer", changing)
        with pytest.raises(Unavailable, match=r"planted\.lock was changed meanwhile"):
            environment.python()
    assert version_in(environment.python()) == "0.0.2"


def test_the_name_of_an_environment_is_known_by_its_interpreter(lock: Lock) -> None:
    environment = lock("0.0.1")
    python = environment.python()
    assert own_environment.identity_of(python) == environment.identity == environment.folder.name
    assert own_environment.identity_of(Path(sys.executable)) is None


def as_of_an_earlier_version(environment: OwnEnvironment, name: str | None = None) -> Path:
    """Make the environment as one of before its stamp had a platform; return its folder."""
    folder = environment.folder
    stamp = json.loads((folder / "lightship.json").read_bytes())
    assert stamp.pop("platform") == sysconfig.get_platform()
    (folder / "lightship.json").write_text(json.dumps(stamp))
    digest = hashlib.sha256(json.dumps(stamp, sort_keys=True).encode()).hexdigest()[:12]
    return folder.rename(environments.ROOT / (name or f"planted-{digest}"))


@pytest.mark.parametrize("name", ["planted", None])
def test_an_environment_of_an_earlier_version_is_taken_while_its_lock_is_the_same(
    lock: Lock, monkeypatch: pytest.MonkeyPatch, name: str | None
) -> None:
    environment = lock("0.0.1")
    identity = environment.identity
    environment.python()
    earlier = as_of_an_earlier_version(environment, name)
    with monkeypatch.context() as patch:
        patch.setattr(environments, "uv", lambda: None)  # as without a network
        assert environment.python() == earlier / "bin" / "python"
        assert environment.may_be_had()
    present = environment.identity
    assert own_environment.identity_of(environment.python()) == present != identity
    assert environment.has_run(present)
    assert environment.has_run(identity)  # the platform alone makes no row out of date
    assert not environment.has_run("planted-000000000000")
    assert not environment.has_run(None)
    other = lock("0.0.2")
    assert not other.has_run(present)
    assert version_in(other.python()) == "0.0.2"
    assert version_in(earlier / "bin" / "python") == "0.0.1"


def test_an_environment_of_another_platform_on_the_same_disk_is_left_as_it_is(
    lock: Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = lock("0.0.1")
    first = environment.python()
    monkeypatch.setattr(sysconfig, "get_platform", lambda: "linux-riscv64")
    second = environment.python()
    assert first != second
    assert [version_in(python) for python in (first, second)] == ["0.0.1", "0.0.1"]


def test_an_earlier_environment_of_another_platform_is_not_taken(lock: Lock) -> None:
    environment = lock("0.0.1")
    environment.python()
    earlier = as_of_an_earlier_version(environment)
    (wheel_file,) = earlier.glob("lib/python3*/site-packages/numpy-*.dist-info/WHEEL")
    wheel_file.write_text("Wheel-Version: 1.0\nTag: cp312-cp312-manylinux_2_28_riscv64\n")
    assert environment.python() == environment.folder / "bin" / "python"
    assert environment.folder != earlier
    assert (earlier / "lightship.json").is_file()


def test_it_may_be_had_if_it_is_whole_or_can_be_made(
    lock: Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = lock("0.0.1")
    assert environment.may_be_had()
    with monkeypatch.context() as patch:
        patch.setattr(environments, "can_be_written", lambda: False)
        assert not environment.may_be_had()
    with monkeypatch.context() as patch:
        patch.setattr(environments, "uv", lambda: None)
        assert not environment.may_be_had()
        environment.lock.rename(environment.lock.with_suffix(".aside"))
        assert not environment.may_be_had()
        environment.lock.with_suffix(".aside").rename(environment.lock)
    environment.python()
    monkeypatch.setattr(environments, "can_be_written", lambda: False)
    assert environment.may_be_had()


@pytest.mark.parametrize("is_old", [False, True])
def test_packages_for_a_newer_python_get_one(
    is_old: bool, lock: Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    major, minor = sys.version_info[:2]
    needed = (major, minor + is_old)
    environment = dataclasses.replace(lock("0.0.1"), least_python=needed)
    monkeypatch.setattr(own_environment, "_TOO_NEW", f"{major}.{minor + 2}")
    started = []
    run = environments.run_installer

    def without_another_python(command: list[str], seconds: float, guard: int) -> str:
        if command[1] == "venv":
            started.append(command[command.index("--python") + 1])
            command = [word if word != started[-1] else sys.executable for word in command]
        return run(command, seconds, guard)

    monkeypatch.setattr(environments, "run_installer", without_another_python)
    assert version_in(environment.python()) == "0.0.1"
    newer = f">={major}.{minor + 1},<{major}.{minor + 2}"
    assert started == [newer if is_old else sys.executable]
    assert environment.python().exists()
    assert len(started) == 1  # it is kept
    site = environments.site_packages(environment.python())
    assert (site / "numpy" / "__init__.py").is_file()
    assert environments.version_of(environment.python()) == platform.python_version()


@pytest.mark.parametrize("damage", ["no stamp", "half a stamp", "no interpreter"])
def test_one_that_is_not_whole_is_made_again(damage: str, lock: Lock) -> None:
    environment = lock("0.0.1")
    python = environment.python()
    leftover = environment.folder / "leftover"
    leftover.touch()
    stamp = environment.folder / "lightship.json"
    if damage == "no stamp":
        stamp.unlink()
    elif damage == "half a stamp":
        stamp.write_bytes(stamp.read_bytes()[:10])
    else:
        python.unlink()
        python.symlink_to(environment.folder / "updated")
    assert version_in(environment.python()) == "0.0.1"
    assert not leftover.exists()


def test_two_that_need_it_at_once_make_it_once(
    lock: Lock, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = lock("0.0.1")
    makers = [threading.Thread(target=environment.python) for _ in range(3)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert capsys.readouterr().err.count("installing") == 1
    assert version_in(environment.python()) == "0.0.1"


@pytest.mark.parametrize("problem", ["no package", "another hash", "no uv", "no lock"])
def test_one_that_cannot_be_made_is_unavailable_with_reason_and_remedy(
    problem: str, lock: Lock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment = lock("0.0.1")
    if problem == "no package":  # as on another system
        (tmp_path / "wheels" / "numpy-0.0.1-py3-none-any.whl").unlink()
        reason = "planted cannot be installed: .*numpy.*; leave this format out: its packages do"
    elif problem == "another hash":
        wheel(tmp_path / "wheels", "0.0.1")
        path = tmp_path / "wheels" / "numpy-0.0.1-py3-none-any.whl"
        path.write_bytes(path.read_bytes() + b"\0")
        reason = "planted cannot be installed: .*ash.*; use a package index whose files are those"
    elif problem == "no uv":
        monkeypatch.setattr(environments, "uv", lambda: None)
        reason = "planted cannot be installed: uv is not installed; install uv"
    else:
        environment.lock.unlink()
        reason = r"planted.lock cannot be read \(No such file.*; restore it"
    with pytest.raises(Unavailable, match=reason):
        environment.python()
    assert not [path for path in environments.ROOT.glob("planted*") if path.is_dir()]


PROGRAM = "tests.support.limited_program"


@pytest.fixture
def ready(lock: Lock) -> OwnEnvironment:
    environment = lock("0.0.1")
    environment.python()
    return environment


def test_a_program_runs_there_and_returns_what_it_prints(ready: OwnEnvironment) -> None:
    printed = json.loads(ready.run(PROGRAM, "print", "a b", ""))
    assert printed == {"numpy": "0.0.1", "words": ["a b", ""]}


def test_a_users_modules_do_not_reach_it(
    ready: OwnEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "modules" / "numpy").mkdir(parents=True)
    (tmp_path / "modules" / "numpy" / "__init__.py").write_text('__version__ = "9.9"\n')
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "modules"))
    assert json.loads(ready.run(PROGRAM, "print"))["numpy"] == "0.0.1"
    program = "import numpy; print(numpy.__version__)"
    variables = environments.variables_of_another()
    command = [ready.python(), "-c", program]
    assert subprocess.check_output(command, text=True, env=variables).strip() == "0.0.1"


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.EROFS, "make that folder writable"),
        (errno.EACCES, "make that folder writable"),
        (errno.ENOSPC, "make room on its disk"),
        (errno.EDQUOT, "make room on its disk"),
    ],
)
def test_a_folder_that_cannot_be_written_is_named_with_a_remedy(
    number: int, remedy: str, lock: Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = lock("0.0.1")

    def refused(folder: Path) -> NoReturn:
        raise OSError(number, os.strerror(number), str(folder))

    monkeypatch.setattr(environments, "making", refused)
    with pytest.raises(Unavailable) as raised:
        environment.python()
    assert str(raised.value).endswith(f": {os.strerror(number)}; {remedy}")
    assert environment.is_cause_of(str(raised.value))
    assert not environment.is_cause_of("no kernel for Gelu")
    requirement = environments.Requirement("onnxruntime", "1.30.0")
    with pytest.raises(UsageError, match=f"found .*: {os.strerror(number)}; {remedy}"):
        environments.made(requirement, {})


def test_one_that_is_whole_is_used_where_nothing_can_be_written(
    ready: OwnEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "making", lambda _: pytest.fail("it is whole"))
    assert ready.python().exists()


@pytest.mark.parametrize(
    ("word", "limits", "reason"),
    [
        ("fail", {}, "in environments/planted: exit code 1: no such layer: Gather"),
        ("die", {}, "in environments/planted: SIGABRT"),
        ("wait", {"seconds": 0.3}, r"not done within 0\.3 s; killed"),
        ("fill", {"max_bytes": 100_000_000}, r"GB resident, over 0\.1 GB; killed"),
        ("fill in a child", {"max_bytes": 150_000_000}, r"GB resident, over 0\.1 GB; killed"),
    ],
)
def test_a_program_that_fails_or_exceeds_a_limit_is_an_error_of_one_line(
    word: str, limits: dict[str, float], reason: str, ready: OwnEnvironment
) -> None:
    with pytest.raises(ConversionError, match=reason) as caught:
        ready.run(PROGRAM, word, **limits)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_what_a_runtime_cannot_do_is_unavailable_with_its_reason(ready: OwnEnvironment) -> None:
    with pytest.raises(Unavailable, match=r"^no layer for Gather$"):
        ready.run(PROGRAM, "cannot")


def test_the_children_of_a_killed_program_end_with_it(
    ready: OwnEnvironment, tmp_path: Path
) -> None:
    with pytest.raises(ConversionError, match="killed"):
        ready.run(PROGRAM, "children", str(tmp_path / "pid"), seconds=1)
    child = int((tmp_path / "pid").read_text())
    for _ in range(100):
        if not _is_running(child):
            return
        threading.Event().wait(0.05)
    pytest.fail("the child is still running")


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


WITH_ENVIRONMENT = [name for name in formats.names() if formats.get(name).environment]


def planted_source() -> Any:
    from src.run.file_input import NORMALISED
    from tests.formats.test_contract import CLASSES, PREPROCESSING

    return SimpleNamespace(
        class_names=CLASSES,
        preprocessing=PREPROCESSING,
        builder="resnet34",
        fp32_graph=SimpleNamespace(batch=SimpleNamespace(takes=NORMALISED)),
    )


@pytest.mark.parametrize(
    "error", [ValueError("no such encoding"), MemoryError(), OSError(errno.EIO, "input/output")]
)
def test_a_format_whose_environment_fails_in_another_way_fails_alone(
    error: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def failing(_: OwnEnvironment) -> NoReturn:
        raise error

    monkeypatch.setattr(OwnEnvironment, "python", failing)
    entry = export_one("mnn", planted_source(), tmp_path / "mnn")
    assert entry.status == "failed"
    assert entry.reason
    assert not (tmp_path / "mnn").exists()


@pytest.mark.parametrize("name", WITH_ENVIRONMENT)
def test_a_format_whose_environment_cannot_be_made_is_skipped_with_the_reason(
    name: str, lock: Lock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a network, in the export and in the measurement alike."""
    lock("0.0.1")
    monkeypatch.setattr(environments, "uv", lambda: None)
    environment = formats.get(name).environment
    assert environment
    (environments.ROOT / f"{environment.name}.lock").write_text("nothing==1\n")

    entry = export_one(name, planted_source(), tmp_path / name)
    assert entry.status == "skipped"
    assert entry.reason
    assert f"environments/{environment.name} cannot be installed: uv is not" in entry.reason
    assert not (tmp_path / name).exists()
    with pytest.raises(Unavailable, match="cannot be installed: uv is not installed; install uv"):
        WorkerProcess(name, tmp_path, "cpu", Limits(1, 10, 10**10))


@pytest.mark.parametrize("name", WITH_ENVIRONMENT)
def test_the_lock_of_a_format_is_committed_with_hashes(name: str) -> None:
    environment = formats.get(name).environment
    assert environment
    text = (ROOT / "environments" / f"{environment.name}.lock").read_text(encoding="utf-8")
    packages = [line for line in text.splitlines() if line and line[0].isalnum()]
    assert packages
    assert all("==" in line and line.endswith("\\") for line in packages)
    assert text.count("--hash=sha256:") >= len(packages)
    wanted = (ROOT / "environments" / f"{environment.name}.in").read_text(encoding="utf-8")
    for line in wanted.splitlines():
        assert line.startswith("#") or f"{line} \\" in text, line
    # Workers import them.
    assert {"msgspec", "numpy", "pillow"} <= {line.partition("==")[0] for line in packages}


def test_no_format_of_the_default_run_or_of_all_has_an_environment_of_its_own() -> None:
    text = (ROOT / "configs" / "export" / "all.yaml").read_text(encoding="utf-8")
    named = {line.strip().removeprefix("- ") for line in text.splitlines()}
    assert not {*formats.DEFAULT, *named} & set(WITH_ENVIRONMENT)


# Refuses the packages of this environment that are not in a lock, and those of the system.
IMPORTER = """
import importlib, importlib.metadata, re, sys
name, lock = sys.argv[1:]
locked = set(re.findall(r"^([a-z0-9-]+)==", open(lock).read(), re.MULTILINE))
def canonical(text): return re.sub("[-_.]+", "-", text).lower()
missing = {
    module for module, distributions in importlib.metadata.packages_distributions().items()
    if not locked & set(map(canonical, distributions))
}
class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refusing())
for module in ("src.worker.server", "src.quantization.other_environment", f"src.formats.{name}"):
    importlib.import_module(module)
"""


@pytest.mark.parametrize("name", WITH_ENVIRONMENT)
def test_a_worker_imports_nothing_that_the_environment_of_its_format_lacks(name: str) -> None:
    environment = formats.get(name).environment
    assert environment
    lock = ROOT / "environments" / f"{environment.name}.lock"
    ended = subprocess.run(
        [sys.executable, "-c", IMPORTER, name, str(lock)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
