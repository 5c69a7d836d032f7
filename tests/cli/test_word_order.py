"""Command lines that mean the same have the same words in the same order."""

from __future__ import annotations

import pytest

from src.cli.grammar import all_options, translate
from src.cli.word_order import in_one_order
from tests.conftest import CONFIGS


@pytest.mark.parametrize(
    "words",
    [
        ["data=digits", "trainer.max_epochs=30", "model.lr=0.1"],
        ["model.lr=0.1", "trainer.max_epochs=30", "data=digits"],
        ["--trainer.max_epochs=30", "data=digits", "--model.lr", "0.1"],
        ["--trainer.max_epochs", "30", "--model.lr=0.1", "data=digits"],
    ],
)
def test_words_in_any_order_and_spelling_are_the_same(words: list[str]) -> None:
    ordered = in_one_order(words, CONFIGS)
    assert ordered == ["data=digits", "model.lr=0.1", "trainer.max_epochs=30"]
    assert translate(ordered, CONFIGS) == translate(in_one_order(ordered, CONFIGS), CONFIGS)
    assert all_options(translate(ordered, CONFIGS)) == all_options(translate(words, CONFIGS))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["--config=a.yaml", "-c", "b.yaml"], ["--config=b.yaml", "--config", "a.yaml"]),
        (["data=digits", "profiler=none"], ["profiler=none", "data=digits"]),
        (["benchmark=quick", "benchmark=thorough"], ["benchmark=thorough", "benchmark=quick"]),
        (["model.lr=1", "model.lr=2"], ["model.lr=2", "model.lr=1"]),
        (["--a.b+=A", "a.b+=B"], ["a.b+=B", "a.b+=A"]),
        (["model.lr=1", "model.class_path=X"], ["model.class_path=X", "model.lr=1"]),
        (["model.x=A", "model.init_args.x.y=1"], ["model.init_args.x.y=1", "model.x=A"]),
        (["data.root=a b"], ["data.root=a"]),
    ],
)
def test_words_whose_order_decides_keep_it(one: list[str], other: list[str]) -> None:
    assert in_one_order(one, CONFIGS) != in_one_order(other, CONFIGS)
    assert len(in_one_order(one, CONFIGS)) >= len(set(one)) - 1


def test_an_option_with_the_name_of_a_group_stays_one() -> None:
    words = ["--model=ConvNeXtTiny", "--data.root", "-x", "model=resnet34"]
    assert in_one_order(words, CONFIGS) == [
        "model=resnet34",
        "data.root=-x",
        "--model=ConvNeXtTiny",
    ]


def test_a_name_of_a_group_is_the_same_with_dashes() -> None:
    words = ["--model", "convnext_t", "--data=cifar10"]
    assert in_one_order(words, CONFIGS) == ["model=convnext_t", "data=cifar10"]
