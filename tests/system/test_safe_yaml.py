"""YAML with a name twice is refused. PyYAML takes the last value and says nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.cli import grammar
from src.cli.app import CONFIGS
from src.cli.commands.data import check
from src.errors import UsageError
from src.system import safe_yaml

REPEATED = {
    "lr: 1\nlr: 2": "lr twice, on lines 1 and 2",
    "trainer:\n  devices: 3\ndata: {}\ntrainer: {}": "trainer twice, on lines 1 and 4",
    "a:\n  b:\n    - c: 1\n      d: 2\n      c: 3": "c twice, on lines 3 and 5",
    "{a: {b: 1, b: 1}}": "b twice, on lines 1 and 1",
    "a: &x {b: 1, b: 2}\nc: *x": "b twice, on lines 1 and 1",
    "'a': 1\n\"a\": 2": "a twice, on lines 1 and 2",
    "1: a\n1: b": "1 twice, on lines 1 and 2",
    "'<<': 1\n'<<': 2": "<< twice, on lines 1 and 2",
}


@pytest.mark.parametrize("text", REPEATED)
def test_a_name_twice_is_refused_with_its_lines(text: str) -> None:
    with pytest.raises(safe_yaml.RepeatedKeyError) as caught:
        safe_yaml.load(text)
    assert str(caught.value) == REPEATED[text]


PLAIN = {
    "a: {b: 1}\nc: {b: 2}": {"a": {"b": 1}, "c": {"b": 2}},
    "a: &x {b: 1, d: 4}\nc: {<<: *x, b: 2}": {"a": {"b": 1, "d": 4}, "c": {"b": 2, "d": 4}},
    "a: &x {b: 1}\nc: &y {<<: *x, b: 2}\ne: {<<: *y, b: 3}": {
        "a": {"b": 1},
        "c": {"b": 2},
        "e": {"b": 3},
    },
    "a: &x {b: 1}\nc: &y {d: 2}\ne:\n  <<: *x\n  <<: *y": {
        "a": {"b": 1},
        "c": {"d": 2},
        "e": {"b": 1, "d": 2},
    },
    "1: a\n'1': b": {1: "a", "1": "b"},
    "- {a: 1}\n- {a: 2}": [{"a": 1}, {"a": 2}],
    "2024-12-31": "2024-12-31",  # names of folders
    "2024-31-12": "2024-31-12",
    "a": "a",
    "": None,
}


@pytest.mark.parametrize("text", PLAIN)
def test_plain_values_are_read_as_before(text: str) -> None:
    assert safe_yaml.load(text) == PLAIN[text]


@pytest.mark.parametrize("group", ["trainer", "data", "model"])
def test_a_group_twice_in_a_users_file_is_refused(group: str, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(f"{group}:\n  x: 1\nseed_everything: 1\n{group}:\n  y: 2\n")
    with pytest.raises(UsageError) as caught:
        grammar.translate(["--config", str(mine)], CONFIGS)
    assert str(caught.value) == (
        f"config {mine}: expected each name once; found {group} twice, on lines 1 and 4; "
        "keep one of them"
    )


def test_an_option_twice_in_a_value_of_the_command_line_is_refused() -> None:
    with pytest.raises(UsageError, match="trainer: expected each name once; found devices twice"):
        grammar.translate(["fit", "--trainer={devices: 1, devices: 2}"], CONFIGS)


def test_the_look_at_the_data_refuses_an_option_twice(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("data:\n  class_path: Digits\n  class_path: Digits\n")
    with pytest.raises(UsageError, match="class_path twice, on lines 2 and 3"):
        check(["--config", str(mine)])
