"""The exam on an emulated processor, with programs in place of QEMU, apt, dpkg and uv."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from src.errors import LightshipError, UsageError
from src.system import emulation, environments
from tests.conftest import ROOT

QEMU = """
if [ "$1" = --version ]; then echo "qemu-aarch64 version 7.2.9"; exit; fi
if [ "$2" = help ]; then echo "Available CPUs: cortex-a72 neoverse-n1"; exit; fi
[ "$1 $3" = "-cpu -L" ] || exit 3
export PLANTED_CPU="$2" PLANTED_ROOT="$4"
shift 4
exec "$@"
"""
APT = """
echo "$@" >> LOG
for word; do case "$word" in -oDir::Cache=*) cache="${word#-oDir::Cache=}";; esac; done
case " $* " in *" install "*) touch "$cache/archives/python3.deb";; esac
"""
DPKG = """
mkdir -p "$3/usr/bin" && ln -s PYTHON "$3/usr/bin/python3"
"""
UV = """
echo "$@" >> LOG
for word; do
  [ "$last" = --target ] && target="$word"
  [ "$last" = --constraint ] && tr '\n' ' ' < "$word" > LOG.versions
  last="$word"
done
mkdir -p "$target"
"""
# It starts a process of its own Python, as the exam does.
PREDICT = """
import json, os, subprocess, sys
child = [sys.executable, "-c", "import os, sys; print(os.environ['PLANTED_CPU'], sys.executable)"]
seen = {
    "argv": sys.argv[1:],
    "child": subprocess.run(child, capture_output=True, text=True, check=True).stdout.split(),
    "python": sys.executable,
    "path": os.environ["PYTHONPATH"].split(":"),
    "ours": [name for name in os.environ if name.startswith(("LD_", "OPENBLAS_"))],
    "cpuinfo": open(os.environ["PLANTED_ROOT"] + "/proc/cpuinfo").read(),
}
json.dump(seen, open(sys.argv[sys.argv.index("--output") + 1], "w"))
sys.exit(7)
"""
Change = Callable[[Path], object]


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    """The script."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "scripts"))
        import exam_elsewhere

        yield exam_elsewhere


def program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh{text}")
    path.chmod(0o755)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the planted programs, which stand first on the PATH."""
    folder = tmp_path / "tools"
    folder.mkdir()
    log = str(tmp_path / "log")
    program(folder, "qemu-aarch64", QEMU)
    program(folder, "apt-get", APT.replace("LOG", log))
    program(folder, "dpkg-deb", DPKG.replace("PYTHON", os.path.realpath(sys.executable)))
    program(folder, "uv", UV.replace("LOG", log))
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setattr(environments, "ROOT", tmp_path / "project" / "environments")
    environments.ROOT.mkdir(parents=True)
    emulation.version_of.cache_clear()
    return folder


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    (folder / "exam").mkdir(parents=True)
    (folder / "exam" / "exam.json").write_text("{}")
    (folder / "untimed.py").write_text("")
    (folder / "predict.py").write_text(PREDICT)
    lock = "coremltools==9.0\nnumpy==2.4.6\n# a remark\npillow==13.0.0+cpu\n"
    (folder / "requirements.lock").write_text(lock)
    (folder / "requirements.txt").write_text("numpy>=2.4,<3\nPillow==13.0.*\n")
    return folder


@pytest.fixture
def run(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs the script, and returns its exit code."""

    def started(*words: object) -> Any:
        monkeypatch.setattr(sys, "argv", ["exam_elsewhere.py", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            script.main()
        return ended.value.code

    return started


def test_the_exam_runs_on_the_emulated_processor_and_so_do_its_processes(
    run: Callable[..., Any],
    tools: Path,
    bundle: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    # As a bundle: all its files in one folder.
    zipped = shutil.make_archive(str(tmp_path / "model"), "zip", bundle.parent, bundle.name)
    output = tmp_path / "there.json"
    words = (zipped, "--cpu", "cortex-a72", "--images", 16, "--output", output)
    assert run(*words) == 7  # as the bundle's own program ended
    seen = json.loads(output.read_text())
    assert seen["argv"] == ["--exam", "--answers", "--output", str(output), "--images", "16"]
    assert seen["child"] == ["cortex-a72", seen["python"]]
    assert seen["ours"] == []
    assert seen["path"][1].startswith(str(environments.ROOT / "aarch64-"))
    assert "model name\t: cortex-a72, emulated by qemu-aarch64 7.2.9" in seen["cpuinfo"]
    assert "CPU part\t: 0xd08" in seen["cpuinfo"]
    assert not Path(seen["python"]).exists()  # nothing temporary is left
    log = (tmp_path / "log").read_text()
    update, install, wheels = log.splitlines()
    assert "APT::Architecture=arm64" in update
    assert install.endswith("--download-only python3 libstdc++6")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f"--python-platform aarch64-manylinux_2_28 --python-version {version} " in wheels
    # One of the lock may be needed on the other kind of processor only, so it is no more than a
    # version of what the imported packages may need here.
    assert wheels.endswith("numpy==2.4.6 pillow==13.0.0")
    assert "--no-deps" not in wheels
    assert "--only-binary :all: --target" in wheels
    versions = (tmp_path / "log.versions").read_text()
    assert versions == "coremltools==9.0 numpy==2.4.6 pillow==13.0.0 "
    assert "fetching once: aarch64 packages of Debian" in capfd.readouterr().out
    run(bundle, "--seconds", "2.5", "--output", output)
    assert json.loads(output.read_text())["argv"][-2:] == ["--seconds", "2.5"]
    assert (tmp_path / "log").read_text() == log  # fetched once
    assert sorted(path.name for path in environments.ROOT.iterdir() if path.is_dir()) == sorted(
        [Path(seen["path"][1]).name, "aarch64-system"]
    )


def test_a_package_of_python_code_alone_may_come_as_its_source(
    run: Callable[..., Any], tools: Path, bundle: Path, tmp_path: Path
) -> None:
    """Its index has no wheel of it, as of one that ExecuTorch needs."""
    lock = ROOT / "environments" / "executorch.lock"
    source = "antlr4-python3-runtime==4.9.3"
    assert f"{source} " in lock.read_text()
    with (bundle / "requirements.lock").open("a") as file:
        file.write(f"{source}\n")
    assert run(bundle, "--output", tmp_path / "there.json") == 7
    wheels = (tmp_path / "log").read_text().splitlines()[-1]
    assert "--only-binary :all: --no-binary antlr4-python3-runtime --target" in wheels


@pytest.mark.slow
def test_uv_builds_the_named_source_and_no_other(tmp_path: Path, script: ModuleType) -> None:
    import emulated_arm

    uv = environments.uv()
    if uv is None:
        pytest.skip("uv is not installed")
    sources = tmp_path / "sources"
    sources.mkdir()
    for name in (*emulated_arm._PURE_SOURCES, "other"):
        _source_distribution(sources, name)
    options = ("--only-binary", ":all:", "--no-binary", emulated_arm._PURE_SOURCES[0])
    for name, is_built in ((emulated_arm._PURE_SOURCES[0], True), ("other", False)):
        target = tmp_path / name
        install = [uv, "pip", "install", "--quiet", "--no-index", "--find-links", str(sources)]
        command = [*install, *options, "--target", str(target), f"{name}==1.0"]
        assert (subprocess.run(command, check=False).returncode == 0) == is_built
        module = name.replace("-", "_")
        assert (target / f"{module}.py").is_file() == is_built


def _source_distribution(folder: Path, name: str) -> None:
    """Write a source distribution whose build needs no other package."""
    module = name.replace("-", "_")
    root = f"{module}-1.0"
    backend = f"""
def build_wheel(folder, settings=None, metadata=None):
    import zipfile
    path = "{root}-py3-none-any.whl"
    with zipfile.ZipFile(folder + "/" + path, "w") as archive:
        archive.writestr("{module}.py", "")
        archive.writestr("{root}.dist-info/METADATA", "Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n")
        archive.writestr("{root}.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        archive.writestr("{root}.dist-info/RECORD", "")
    return path
"""  # noqa: E501
    files = {
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\n'
        f'backend-path = ["."]\n[project]\nname = "{name}"\nversion = "1.0"\n',
        "backend.py": backend,
    }
    with tarfile.open(folder / f"{root}.tar.gz", "w:gz") as archive:
        for file, text in files.items():
            member = tarfile.TarInfo(f"{root}/{file}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ("qemu-aarch64", r"no qemu-aarch64 on the PATH; install qemu-user"),
        ("apt-get", r"no apt-get here: the system to emulate is made of Debian's packages"),
        ("dpkg-deb", r"no dpkg-deb here"),
        ("uv", r"no uv on the PATH"),
    ],
)
def test_a_missing_tool_is_one_line_with_its_remedy(
    script: ModuleType,
    tools: Path,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    missing: str,
    told: str,
) -> None:
    (tools / missing).unlink()
    for name in ("mkdir", "ln", "touch"):
        (tools / name).symlink_to(f"/bin/{name}")
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setattr(sys, "argv", ["exam_elsewhere.py", str(bundle)])
    with pytest.raises(LightshipError, match=told) as caught:
        script.main()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("tool", "told"),
    [("apt-get", "apt-get failed: no route"), ("dpkg-deb", "failed"), ("uv", "uv failed")],
)
def test_what_cannot_be_fetched_leaves_nothing_behind(
    script: ModuleType,
    tools: Path,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    tool: str,
    told: str,
) -> None:
    program(tools, tool, "\necho 'no route' >&2; exit 1\n")
    monkeypatch.setattr(sys, "argv", ["exam_elsewhere.py", str(bundle)])
    with pytest.raises(LightshipError, match=told):
        script.main()
    left = {path.name for path in environments.ROOT.iterdir() if path.is_dir()}
    assert left == ({"aarch64-system"} if tool == "uv" else set())


def test_a_processor_that_this_qemu_lacks_is_refused_before_anything_is_fetched(
    script: ModuleType, tools: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["exam_elsewhere.py", str(bundle), "--cpu", "cortex-a76"])
    with pytest.raises(LightshipError, match=r"qemu-aarch64 7.2.9 does not emulate a cortex-a76"):
        script.main()
    assert not [*environments.ROOT.iterdir()]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda folder: (folder / "predict.py").unlink(), r"no predict\.py in it; pack one"),
        (lambda folder: shutil.rmtree(folder / "exam"), r"none without an exam; pack it with"),
        (lambda folder: (folder / "untimed.py").unlink(), r"of an earlier version.*; pack it"),
        (lambda folder: (folder / "requirements.lock").unlink(), r"no requirements\.lock in it"),
        (lambda folder: (folder / "requirements.txt").unlink(), r"no requirements\.txt in it"),
        (
            lambda folder: (folder / "requirements.txt").write_text("--index-url evil\n"),
            r"requirements\.txt: .*--index-url evil.*; pack it again",
        ),
        (
            lambda folder: (folder / "requirements.txt").write_text("torch>=2\n"),
            r"requirements\.lock has no torch; pack it again",
        ),
        (
            lambda folder: (folder / "requirements.txt").write_text("# nothing\n"),
            r"nothing in requirements\.txt; pack it again",
        ),
        (
            lambda folder: (folder / "requirements.lock").write_text("--index-url evil\n"),
            r"requirements\.lock: expected a package and one version",
        ),
        (
            lambda folder: (folder / "requirements.lock").write_text("x @ file:///etc\n"),
            r"requirements\.lock: expected a package and one version",
        ),
    ],
)
def test_another_folder_than_a_bundle_is_one_line(
    script: ModuleType,
    tools: Path,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Change,
    told: str,
) -> None:
    change(bundle)
    monkeypatch.setattr(sys, "argv", ["exam_elsewhere.py", str(bundle)])
    with pytest.raises(UsageError, match=told) as caught:
        script.main()
    assert "\n" not in str(caught.value)
    assert not [*environments.ROOT.iterdir()]


def test_a_file_that_is_no_zip_file_or_a_bomb_is_refused(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.zip"
    for content in (None, b"no zip file"):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(UsageError, match=r"BUNDLE: expected a bundle"), script.unpacked(path):
            pass
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../escaped", "x")
        archive.writestr("predict.py", "x" * 100)
    with pytest.raises(UsageError, match="none without an exam"), script.unpacked(path):
        pass
    assert not (tmp_path / "escaped").exists()
    monkeypatch.setattr(script, "MOST_BYTES", 50)
    with pytest.raises(UsageError, match="2 files of 101 bytes"), script.unpacked(path):
        pass


@pytest.mark.parametrize(
    "words", [["--images", "0"], ["--seconds", "0"], ["--seconds", "nan"], ["--cpu", "i386"]]
)
def test_a_wrong_option_is_refused(
    run: Callable[..., Any], capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert run("model.zip", *words) == 2
    assert words[0] in capsys.readouterr().err.splitlines()[-1]
