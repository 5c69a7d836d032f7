"""Names of the options on a command line."""

from __future__ import annotations

import pytest

from src.cli.typed_options import names


@pytest.mark.parametrize(
    "words",
    [
        ["--model.lr=1e-3"],
        ["--model.lr", "1e-3"],
        ["--model.init_args.lr=1e-3"],
        ["--model.init_args.lr", "1e-3"],
        ["--model.dict_kwargs.lr=1e-3"],
        ["--model.init_args={lr: 1e-3}"],
        ["--model.init_args", '{"lr": 1e-3}'],
        ["--model={class_path: ConvNeXtTiny, init_args: {lr: 1e-3}}"],
        ["--model", "{init_args: {lr: 1e-3}}"],
    ],
)
def test_an_option_has_one_name_in_each_form(words: list[str]) -> None:
    assert "model.lr" in names(["fit", "--config=mine.yaml", *words])


@pytest.mark.parametrize("value", ["{", "[model.lr]", "&a [*a]", "model.lr: 1e-3 : 2", "model.lr"])
def test_a_value_that_is_no_mapping_names_no_option(value: str) -> None:
    assert names(["fit", f"--data.root={value}"]) == ["data.root"]
