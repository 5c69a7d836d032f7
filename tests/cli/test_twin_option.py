"""``twin=true``: the formats that join the export, and the options that a later command takes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from src import formats
from src.cli import app, stage_command, twin_formats
from src.errors import UsageError
from src.system.packages import missing_packages
from src.twin.callback import TwinCallback
from src.twin.options import TwinOptions
from tests.cli.test_app import parse, parsed_command_line

TWINS = [
    name
    for name in formats.names()
    if formats.get(name).of_twin and not missing_packages(formats.get(name).requires)
]

pytestmark = pytest.mark.usefixtures("elsewhere")


def twins(*words: str) -> list[str]:
    return [name for name in parse(*words).export.formats if formats.get(name).of_twin]


def test_a_twin_brings_its_formats() -> None:
    assert twins() == []
    assert twins("twin=true") == TWINS
    assert twins("twin.enabled=true") == TWINS
    assert twins("experiment=fast_int8") == TWINS
    assert parse("twin=true").export.formats[: len(formats.DEFAULT)] == list(formats.DEFAULT)


def test_formats_of_a_package_that_is_missing_stay_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(names: Sequence[str]) -> list[str]:
        return [name for name in names if name == "openvino"]

    monkeypatch.setattr(twin_formats, "missing_packages", missing)
    assert twins("twin=true") == [name for name in TWINS if not name.startswith("openvino")]


def test_formats_that_the_user_names_stay_as_they_are() -> None:
    for words in (
        ("export.formats=[eager]",),
        ("--export.formats", "[eager]"),
        ("export=openvino",),
    ):
        assert twins("twin=true", *words) == []
    Path("mine.yaml").write_text("export: {formats: [eager]}")
    assert twins("twin=true", "--config", "mine.yaml") == []
    Path("other.yaml").write_text("export: {calibration_images: 64}")
    assert twins("twin=true", "--config", "other.yaml") == TWINS
    assert twins("twin=true", "export.formats=[eager,onnx_int8_twin]") == ["onnx_int8_twin"]


def test_the_switch_overrides_an_experiment() -> None:
    assert not parse("experiment=fast_int8", "twin=false").twin.enabled
    assert not parse("twin=false", "experiment=fast_int8").twin.enabled
    assert parse("twin=false", "twin.enabled=true").twin.enabled


def test_a_twin_that_is_not_exported_is_told_before_the_training() -> None:
    [line] = twin_formats.notices(parse("twin=true", "export=openvino"))
    assert "made and not exported" in line
    [line] = twin_formats.notices(parse("export.formats=[eager,onnx_int8_twin]"))
    assert "onnx_int8_twin need a twin, which twin=true makes" in line
    assert twin_formats.notices(parse("twin=true")) == []
    assert twin_formats.notices(parse()) == []


def test_only_a_training_takes_it() -> None:
    with pytest.raises(UsageError, match=r"twin.epochs: expected no such option"):
        parse("test", "twin.epochs=3")


def test_it_has_the_budget_of_the_measurement() -> None:
    assert parse("twin=true", "benchmark.max_accuracy_drop=0.02").twin.max_accuracy_drop == 0.02


def test_it_comes_before_the_export() -> None:
    keys: list[str] = parsed_command_line("twin=true")._parser("fit").callback_keys
    assert keys.index("twin") < keys.index("export") < keys.index("benchmark")


CONFIG = """
twin: {enabled: true, epochs: 7, max_minutes: 3.0, again: true}
benchmark: {max_accuracy_drop: 0.03}
"""


def stage_options(folder: Path, *words: str) -> TwinOptions:
    (folder / "config.yaml").write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["src.twin", str(folder), *words])
        return stage_command.parse("twin", None, TwinOptions)[1]


def test_a_later_command_has_the_options_of_the_training_but_for_again(tmp_path: Path) -> None:
    options = stage_options(tmp_path)
    assert (options.epochs, options.max_minutes, options.again) == (7, 3.0, False)
    assert options.max_accuracy_drop == 0.03
    assert stage_options(tmp_path, "epochs=2", "again=true").epochs == 2
    assert stage_options(tmp_path, "twin=true").epochs == 7


def test_a_failed_twin_fails_the_training_at_its_end() -> None:
    class Finished(app.CLI):
        def __init__(self) -> None:
            self.twin = TwinCallback(enabled=True)
            self.twin.failure = "the int8 twin was not made"
            self.config_init = {}

        def _get(self, config: object, key: str, default: object = None) -> object:
            return self.twin

    with pytest.raises(Exception, match="was not made"):
        Finished().after_fit()
