"""Packages of a bundle: the exact versions, the ranges and the licences, by their metadata."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from src import formats
from src.bundle import card, packages
from src.bundle.card import Shipment
from src.errors import UsageError
from src.formats.base import Bundling
from src.shipped import decoder_names, machine
from src.system import environments
from tests.conftest import ROOT


class Planted(dict[str, Any]):
    """Installed packages: versions, requirements, and fields of the metadata."""

    def distribution(self, name: str) -> Any:
        if canonicalize_name(name) not in self:
            raise metadata.PackageNotFoundError(name)
        version, requires, fields = self[canonicalize_name(name)]
        facts = SimpleNamespace(get_all=fields.get)
        return SimpleNamespace(version=version, requires=requires, metadata=facts)


PLANTED = Planted(
    numpy=("2.4.1", None, {"License-Expression": ["BSD-3-Clause"]}),
    pillow=("11.3", [], {"License": ["A long text\nof a licence"]}),
    engine=(
        "0.9.2+cpu",
        [
            "Tool_Kit[fast]>=1",
            "windows-only; sys_platform == 'win32'",
            "test-only; extra == 'test'",
            "gone>=3; python_version > '3'",
        ],
        {"Classifier": ["License :: OSI Approved :: MIT License", "Topic :: Software"]},
    ),
    **{
        "tool-kit": ("3", ["part; extra == 'fast'", "engine"], {"License": ["Apache 2.0"]}),
        "part": ("2026.4.1", None, {}),
    },
)


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Planted:
    monkeypatch.setattr(metadata, "distribution", PLANTED.distribution)
    monkeypatch.setattr(metadata, "packages_distributions", lambda: {"motor": ["engine"]})
    return PLANTED


def test_the_lock_has_all_that_the_packages_need_here(planted: Planted) -> None:
    software = packages.installed(["engine"], same_minor=False)
    assert software.lock() == (
        "engine==0.9.2\nnumpy==2.4.1\npart==2026.4.1\npillow==11.3\ntool-kit==3\n"
        "# engine also asks for gone>=3, which was not installed\n"
    )
    assert [(package.name, package.licence) for package in software.every] == [
        ("engine", "MIT License"),
        ("numpy", "BSD-3-Clause"),
        ("part", None),
        ("pillow", None),
        ("tool-kit", "Apache 2.0"),
    ]


@pytest.mark.parametrize(
    ("version", "locked", "index"),
    [
        ("2.15.0", "torch==2.15.0", None),
        ("2.15.0+cpu", "torch==2.15.0+cpu", "https://download.pytorch.org/whl/cpu"),
        ("2.15.0+cu126", "torch==2.15.0+cu126", "https://download.pytorch.org/whl/cu126"),
        ("2.15.0+rocm6.4", "torch==2.15.0+rocm6.4", "https://download.pytorch.org/whl/rocm6.4"),
        ("2.15.0+xpu", "torch==2.15.0+xpu", "https://download.pytorch.org/whl/xpu"),
        ("2.15.0+our.cluster", "torch==2.15.0", None),  # whose wheels nobody else can get
    ],
)
def test_the_lock_names_the_build_of_pytorch_and_the_index_that_has_it(
    monkeypatch: pytest.MonkeyPatch, version: str, locked: str, index: str | None
) -> None:
    planted = Planted(PLANTED, torch=(version, ["engine"], {}))
    monkeypatch.setattr(metadata, "distribution", planted.distribution)
    software = packages.installed(["torch"], same_minor=False)
    lines = software.lock().splitlines()
    requirements = [line for line in lines if not line.startswith("#")]
    assert requirements == sorted(
        [locked, "engine==0.9.2", "numpy==2.4.1", "part==2026.4.1", "pillow==11.3", "tool-kit==3"]
    )
    assert [str(environments.parse("lock", line)) for line in requirements] == requirements
    more = "" if index is None else f"--extra-index-url {index} "
    command = f"pip install --no-deps {more}-r requirements.lock"
    assert software.lock_command == command
    noted = f"# A build that PyPI does not have: {command}"
    assert (noted in lines) == (index is not None)
    assert packages.build_indexes(requirements) == ([] if index is None else [index])
    bundling = formats.get("torchscript").bundling
    assert bundling
    text = card._versions(Shipment(bundling, lock_command=software.lock_command))
    assert f"`{command}`" in text
    assert "torch>=2.15,<3\n" in software.requirements()
    assert f"torch=={software.versions()['torch']}" == locked


def test_a_measurement_with_another_release_is_told_and_one_with_another_build_is_not(
    planted: Planted,
) -> None:
    software = packages.installed(["engine"], same_minor=False)
    here = {"engine": "0.9.2+cu126", "numpy": "2.4.1", "Pillow": "11.3", "part": "1"}
    assert software.differences(here) == []  # a part that is not imported is not compared
    assert software.differences({}) == []  # an older measurement recorded fewer packages
    assert software.differences({"engine": "unknown"}) == []
    assert software.differences(here | {"engine": "0.9.1+cpu", "Pillow": "11.2"}) == [
        "engine 0.9.1+cpu instead of 0.9.2",
        "pillow 11.2 instead of 11.3",
    ]
    # The package for a GPU brings the same modules.
    assert software.differences({"engine-gpu": "0.8"}) == ["engine 0.8 instead of 0.9.2"]


def test_the_ranges_begin_at_the_minor_version_here(planted: Planted) -> None:
    software = packages.installed(["engine"], same_minor=False)
    assert software.requirements() == "engine>=0.9,<1\nnumpy>=2.4,<3\npillow>=11.3,<12\n"
    assert packages.installed(["part"], same_minor=True).requirements() == (
        "numpy>=2.4,<3\npart==2026.4.*\npillow>=11.3,<12\n"
    )
    pinned = packages.installed(["engine", "part"], same_minor=False, pinned={"part"})
    assert "engine>=0.9,<1\n" in pinned.requirements()
    assert "part==2026.4.*\n" in pinned.requirements()
    assert "tool-kit>=3.0,<4" in packages.installed(["tool-kit"], same_minor=False).requirements()


def test_a_version_with_a_date_in_it_begins_its_range(monkeypatch: pytest.MonkeyPatch) -> None:
    dated = Planted(PLANTED, reader=("1.0.20261020", None, {}), patched=("1.2.345", None, {}))
    monkeypatch.setattr(metadata, "distribution", dated.distribution)
    software = packages.installed(["reader", "patched"], same_minor=False)
    assert {"reader>=1.0.20261020,<2", "patched>=1.2,<2"} < set(software.requirements().split())


@pytest.mark.parametrize(
    ("pythons", "here", "least"),
    [
        ([], "3.12.4", "3.10"),  # as the program
        ([">=3.9", ">=3.11"], "3.12.4", "3.11"),
        ([">=3.10.2,<3.14"], "3.12.4", "3.10"),
        ([">=3.12"], "3.12.0+", "3.12"),
        ([">=3.14"], "3.12.4", "3.12"),  # it runs where it was packed
        ([">=3.6.*"], "3.12.4", "3.10"),  # of an old package, no valid text
        (["!=3.10.*"], "3.12.4", "3.11"),
    ],
)
def test_the_oldest_python_is_that_which_all_packages_take(
    monkeypatch: pytest.MonkeyPatch, pythons: list[str], here: str, least: str
) -> None:
    planted = Planted(
        {"numpy": PLANTED["numpy"], "pillow": PLANTED["pillow"]},
        **{
            f"part{index}": ("1", None, {"Requires-Python": [python]})
            for index, python in enumerate(pythons)
        },
    )
    monkeypatch.setattr(metadata, "distribution", planted.distribution)
    names = [f"part{index}" for index in range(len(pythons))]
    software = packages.installed(names, same_minor=False, python=here)
    assert (software.least_python, software.python) == (least, here)


def test_the_packages_of_another_environment_are_read_there(tmp_path: Path) -> None:
    needs = "Requires-Dist: part\nRequires-Dist: absent>=2\n"
    for name, version, more in (
        ("engine", "7.1", f"License-Expression: MIT\n{needs}"),
        ("part", "3.0", ""),
        ("numpy", "0.0.1", ""),
        ("Pillow", "0.0.2", ""),
        ("unrelated", "1.0", ""),
    ):
        folder = tmp_path / f"{name.lower()}-{version}.dist-info"
        folder.mkdir()
        facts = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{more}"
        (folder / "METADATA").write_text(facts)
    software = packages.installed(["Engine"], same_minor=False, site=tmp_path)
    assert software.versions() == {
        "engine": "7.1",
        "numpy": "0.0.1",
        "part": "3.0",
        "pillow": "0.0.2",
    }
    assert "# engine also asks for absent>=2, which was not installed\n" in software.lock()
    assert {package.name: package.licence for package in software.every}["engine"] == "MIT"
    # Packages that are installed here are not there.
    with pytest.raises(UsageError, match="the package packaging"):
        packages.installed(["packaging"], same_minor=False, site=tmp_path)


def test_a_package_of_another_name_may_bring_the_modules(planted: Planted) -> None:
    assert "motor==0.9.2\n" in packages.installed(["motor"], same_minor=False).lock()


def test_a_package_that_is_not_installed_is_refused(planted: Planted) -> None:
    with pytest.raises(UsageError, match=r"format: .* package absent, .*; pip install absent"):
        packages.installed(["absent"], same_minor=False)


BUNDLED = [name for name in formats.names() if formats.get(name).can_be_bundled]


@pytest.mark.parametrize("name", BUNDLED)
def test_the_versions_here_are_within_the_ranges_of_every_format(name: str) -> None:
    bundling = formats.get(name).bundling
    assert bundling
    environment = formats.get(name).environment
    site = (
        environments.site_packages(environment.folder / "bin" / "python") if environment else None
    )
    try:
        software = packages.installed(bundling.packages, same_minor=bundling.same_minor, site=site)
    except UsageError as error:
        pytest.skip(str(error))
    locked = dict(line.split("==") for line in software.lock().splitlines() if line[0] != "#")
    for line in software.requirements().splitlines():
        requirement = Requirement(line)
        assert locked[requirement.name] in SpecifierSet(str(requirement.specifier))
    assert {"numpy", "pillow", *map(canonicalize_name, bundling.packages)} <= set(locked)


def test_an_exam_names_every_package_that_opens_a_file_or_decodes_an_image() -> None:
    runtimes = {name for kind in BUNDLED for name in _bundling(kind).packages}
    decoders = {package for _, package in decoder_names.PACKAGES.values()}
    assert runtimes | decoders | set(packages.PROGRAM) <= set(machine.PACKAGES)


def _bundling(name: str) -> Bundling:
    bundling = formats.get(name).bundling
    assert bundling
    return bundling


def test_the_page_names_every_format_that_is_bundled() -> None:
    page = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    table = page.partition("| format | runtime in the bundle |")[2].partition("\n\n")[0]
    assert set(BUNDLED) <= set(re.findall(r"`(\w+)`", table))


def test_every_format_for_a_cpu_is_bundled_but_those_that_need_this_project() -> None:
    on_cpu = {name for name in formats.names() if "cpu" in formats.get(name).devices}
    left_out = on_cpu - set(BUNDLED)
    # They build the network by a library's code, or by other sources, or conflict with ours.
    assert all(
        name.startswith("eager") or formats.get(name).compiles or formats.get(name).environment
        for name in left_out
    ), left_out
    assert not any("cpu" not in formats.get(name).devices for name in BUNDLED)
