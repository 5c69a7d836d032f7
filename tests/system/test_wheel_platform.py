"""The platform of installed packages, by the tags of their wheels."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest

from src.system import wheel_platform


def planted(site: Path, *tags: str) -> None:
    folder = site / f"package{len(list(site.iterdir()))}-1.0.dist-info"
    folder.mkdir()
    (folder / "WHEEL").write_text("Wheel-Version: 1.0\n" + "".join(f"Tag: {tag}\n" for tag in tags))


@pytest.mark.parametrize(
    ("platform", "tag", "fits"),
    [
        ("linux-x86_64", "py3-none-any", True),
        ("linux-x86_64", "cp311-cp311-linux_x86_64", True),
        ("linux-x86_64", "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64", True),
        ("linux-x86_64", "cp311-cp311-musllinux_1_2_x86_64", True),
        ("linux-x86_64", "cp311-cp311-manylinux_2_28_aarch64", False),
        ("linux-aarch64", "cp311-cp311-manylinux_2_28_aarch64", True),
        ("linux-aarch64", "cp311-cp311-manylinux_2_28_x86_64", False),
        ("linux-x86_64", "cp311-cp311-macosx_11_0_x86_64", False),
        ("macosx-14.0-arm64", "cp311-cp311-macosx_11_0_arm64", True),
        ("macosx-14.0-arm64", "cp311-cp311-macosx_10_9_universal2", True),
        ("macosx-14.0-arm64", "cp311-cp311-macosx_10_9_x86_64", False),
        ("win-amd64", "cp311-cp311-win_amd64", True),
    ],
)
def test_packages_fit_the_platform_that_their_tags_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str, tag: str, *, fits: bool
) -> None:
    monkeypatch.setattr(sysconfig, "get_platform", lambda: platform)
    planted(tmp_path, "py3-none-any")
    planted(tmp_path, "cp311-cp311-of_another", tag)  # one of the tags of a wheel is enough
    assert wheel_platform.fits(tmp_path) == fits


def test_the_packages_of_this_environment_fit() -> None:
    site = Path(sysconfig.get_path("platlib"))
    assert list(site.glob("*.dist-info/WHEEL"))
    assert wheel_platform.fits(site)
