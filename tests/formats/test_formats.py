from __future__ import annotations

import pytest

from src import formats
from src.errors import UsageError
from src.system.packages import missing_packages


def test_a_format_is_found_by_its_modules_name() -> None:
    assert "onnx_int8" in formats.names()
    assert not [name for name in formats.names() if name.startswith("_") or name == "base"]


@pytest.mark.parametrize("name", formats.names())
def test_every_format_offers_what_the_protocol_asks(name: str) -> None:
    kind = formats.get(name)
    assert set(kind.devices) <= {"cpu", "cuda"}
    assert kind.precision
    assert kind.tolerance is None or 0 < kind.tolerance < 0.1
    assert not missing_packages([*kind.requires, *kind.runs_with])
    assert callable(kind.export)
    assert callable(kind.load)


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"onnx_int8, onnx_int8_dynamic.*found onnx_int7"):
        formats.get("onnx_int7")


def test_a_missing_package_is_named() -> None:
    assert missing_packages(["json", "no_such_package"]) == ["no_such_package"]
