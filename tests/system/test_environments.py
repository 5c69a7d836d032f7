"""Environments of other versions: made once, whole, from a name and a version only."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import sys
import sysconfig
import threading
from pathlib import Path

import pytest

from src.errors import UsageError
from src.system import environments
from src.system.environments import Requirement

ONE = Requirement("onnxruntime", "1.30.0")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(environments, "ROOT", tmp_path / "environments")
    return tmp_path / "environments"


@pytest.fixture
def installer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the log of a planted uv, which makes environments without a network."""
    log = tmp_path / "log"
    planted = tmp_path / "uv"
    planted.write_text(
        "#!/bin/sh\n"
        f'echo "$@" >> "{log}"\n'
        '[ "$1" = pip ] && [ -e "$(dirname "$0")/offline" ] && echo "no network" >&2 && exit 2\n'
        f'[ "$1" = venv ] && mkdir -p "$5/bin" && ln -s "{sys.executable}" "$5/bin/python"\n'
        "exit 0\n"
    )
    planted.chmod(0o755)
    monkeypatch.setattr(environments, "uv", lambda: str(planted))
    return log


def test_an_environment_is_made_once_for_each_version(root: Path, installer: Path) -> None:
    first = environments.made(ONE, {"numpy": "2.0"})
    assert first.python.is_file()
    assert first.packages["pytest"]  # what is installed, as the interpreter lists it
    commands = installer.read_text().splitlines()
    assert len(commands) == 2
    assert commands[1].endswith("numpy==2.0 onnxruntime==1.30.0")
    assert environments.made(ONE, {"numpy": "2.0"}) == first
    assert installer.read_text().splitlines() == commands
    other = environments.made(Requirement("onnxruntime", "1.29.0"), {"numpy": "2.0"})
    assert other.python != first.python
    assert len(list(root.glob("onnxruntime-1.*/"))) == 2


def test_another_platform_makes_an_environment_of_its_own(
    root: Path, installer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = environments.made(ONE, {})
    monkeypatch.setattr(sysconfig, "get_platform", lambda: "linux-riscv64")
    second = environments.made(ONE, {})
    assert first.python != second.python
    assert len(list(root.glob("onnxruntime-1.*/"))) == 2


def test_an_environment_of_an_earlier_version_is_taken_if_its_packages_fit(
    root: Path, installer: Path
) -> None:
    folder = environments.made(ONE, {}).python.parent.parent
    content = [sys.version_info[:2], {"onnxruntime": "1.30.0"}]
    earlier = folder.rename(environments._folder_of(ONE, content))
    assert environments.made(ONE, {}).python.parent.parent == earlier
    wheel = earlier / "lib" / "python3.9" / "site-packages" / "x-1.dist-info" / "WHEEL"
    wheel.parent.mkdir(parents=True)
    wheel.write_text("Tag: cp39-cp39-manylinux_2_28_riscv64\n")
    assert environments.made(ONE, {}).python.parent.parent == folder


def test_who_waits_for_another_command_says_so_with_the_file_of_the_lock(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, told = root / "mnn-1", threading.Event()

    def second() -> None:
        with environments.making(folder):
            told.set()

    with environments.making(folder):
        assert capsys.readouterr().err == ""
        thread = threading.Thread(target=second)
        thread.start()
        assert not told.wait(0.2)
    thread.join(60)
    assert told.is_set()
    assert capsys.readouterr().err == (
        "waiting for another command, which makes environments/mnn-1 and holds the lock "
        "environments/mnn-1.making\n"
    )


def test_a_lock_that_cannot_be_taken_is_named(
    root: Path, installer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(UsageError, match=r"found .*\.making: Input/output error"):
        environments.made(ONE, {})


def test_an_environment_that_was_not_finished_is_made_again(root: Path, installer: Path) -> None:
    offline = installer.with_name("offline")
    offline.touch()
    with pytest.raises(UsageError, match=r"onnxruntime==1\.30\.0: expected .*found no network"):
        environments.made(ONE, {})
    offline.unlink()
    assert environments.made(ONE, {}).python.is_file()


def test_an_installer_may_print_any_bytes(root: Path, installer: Path) -> None:
    planted = installer.with_name("uv")
    planted.write_text("#!/bin/sh\nprintf '\\377 no such \\351dition' >&2\nexit 2\n")
    with pytest.raises(UsageError, match="found \ufffd no such \ufffddition; name another"):
        environments.made(ONE, {})


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        ("No space left on device (os error 28)", "make room on the disk"),
        ("error sending request for url", "see that the package index can be reached"),
        ("there is no version of onnxruntime==1.30.0", "name another version"),
    ],
)
def test_a_failed_installation_has_the_remedy_of_its_cause(
    message: str, remedy: str, root: Path, installer: Path
) -> None:
    planted = installer.with_name("uv")
    planted.write_text(f'#!/bin/sh\necho "{message}" >&2\nexit 2\n')
    with pytest.raises(UsageError) as raised:
        environments.made(ONE, {})
    assert f"; {remedy}" in str(raised.value)


def test_an_environment_whose_interpreter_is_gone_is_made_again(
    root: Path, installer: Path, tmp_path: Path
) -> None:
    python = environments.made(ONE, {}).python
    python.unlink()
    python.symlink_to(tmp_path / "updated")
    assert environments.made(ONE, {}).python.exists()


def test_the_installer_holds_the_lock_until_it_ends(root: Path, installer: Path) -> None:
    planted = installer.with_name("uv")
    listing = f'ls -l /proc/$$/fd >> "{installer}"\n'
    planted.write_text(planted.read_text().replace("exit 0\n", listing))
    environments.made(ONE, {})
    if Path("/proc/self/fd").is_dir():
        assert installer.read_text().count(".making") == 2


@pytest.mark.parametrize(
    "text",
    [
        *("onnxruntime", "onnxruntime>=1", "onnxruntime==", "==1", "onnxruntime==1.0 --pre", ""),
        *("../x==1", "a/b==1", "-r==1", "onnxruntime==1;x", "onnxruntime @ file:///x", "x==-1"),
        *("onnxruntime==1.*", "onnx runtime==1", "x==1\n--pre", "http://x==1", "--with==1"),
    ],
)
def test_only_a_package_and_a_version_are_accepted(text: str) -> None:
    with pytest.raises(UsageError, match="expected a package and one version of it"):
        environments.parse("--with", text)


def test_names_are_compared_as_package_indexes_compare_them() -> None:
    assert environments.parse("--with", "ONNX_Runtime==1.30.0rc1") == ("onnx-runtime", "1.30.0rc1")
    assert str(environments.parse("--with", "openvino==2026.1")) == "openvino==2026.1"


def test_uv_is_found_on_the_path_or_where_the_scripts_fetched_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert environments.uv() is None
    fetched = root.parent / ".uv" / "bin" / "uv"
    fetched.parent.mkdir(parents=True)
    fetched.touch()
    assert environments.uv() == str(fetched)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert environments.uv() == "/usr/bin/uv"
