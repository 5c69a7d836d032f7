"""The presets of ``export=NAME``: formats that exist, documented, and what their heads say."""

from __future__ import annotations

import re

import pytest
import yaml

from src import formats
from tests.conftest import CONFIGS, ROOT

NAMES = sorted(path.stem for path in (CONFIGS / "export").glob("*.yaml"))


def text_of(name: str) -> str:
    return (CONFIGS / "export" / f"{name}.yaml").read_text(encoding="utf-8")


def formats_of(name: str) -> list[str]:
    names: list[str] = yaml.safe_load(text_of(name))["export"]["formats"]
    return names


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_names_formats_that_exist_once_each_and_is_documented(name: str) -> None:
    chosen = formats_of(name)
    assert chosen[0] == "eager"  # the baseline
    assert len(set(chosen)) == len(chosen)
    assert set(chosen) <= set(formats.names())
    assert f"export={name}" in (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    for command in ("src.train model=", "src.export lightning_logs/"):
        line = rf"^#   python -m {command}\S+ .*\bexport={name}$"
        assert re.search(line, text_of(name), re.MULTILINE)


def test_the_preset_of_a_server_has_its_runtimes_and_needs_no_environment_or_gpu() -> None:
    chosen = [formats.get(name) for name in formats_of("server")]
    assert all("cpu" in kind.devices and kind.environment is None for kind in chosen)
    runtimes = {package for kind in chosen for package in kind.runs_with}
    assert {"torch", "onnxruntime", "openvino"} <= runtimes
    assert {"torchscript", "torch_export", "onnx_int8", "openvino_int8"} <= {
        kind.name for kind in chosen
    }


def test_the_size_of_the_preset_for_phones_is_that_of_its_environments() -> None:
    environments = {formats.get(name).environment for name in formats_of("mobile")}
    size = sum(environment.size_bytes for environment in environments if environment)
    told = re.search(r"about (\d+) MB together", text_of("mobile"))
    assert told
    assert int(told[1]) == round(size / 1e7) * 10
