"""A file is measured with the preprocessing that it was exported with, or not at all."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from src.benchmark import exported_preprocessing
from src.data.preprocessing import Preprocessing
from src.errors import UsageError

EXPORTED = Preprocessing(64, resize="crop")


def run_of(facts: Any) -> Any:
    """A run whose exports were made with these facts."""
    return SimpleNamespace(
        config=Path("run/config.yaml"),
        quoted="run",
        read_manifest=lambda: SimpleNamespace(preprocessing=facts),
    )


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"image_size": 32}, "image_size 64"),
        ({"resize": "squash"}, "resize crop"),
        ({"crop_share": 0.5}, "crop_share"),
        ({"interpolation": "bicubic"}, "interpolation bilinear"),
        ({"mean": (0.1, 0.2, 0.3)}, "mean"),
        ({"std": (0.1, 0.2, 0.3)}, "std"),
    ],
)
def test_another_preprocessing_than_that_of_the_exports_is_refused(
    change: dict[str, Any], shown: str
) -> None:
    other = dataclasses.replace(EXPORTED, **change)
    with pytest.raises(UsageError, match=shown) as caught:
        exported_preprocessing.require_same(
            run_of(EXPORTED.facts()), SimpleNamespace(preprocessing=other)
        )
    assert "export again: " in str(caught.value)


def test_the_same_one_is_accepted_also_from_an_older_record() -> None:
    data: Any = SimpleNamespace(preprocessing=EXPORTED)
    exported_preprocessing.require_same(run_of(EXPORTED.facts()), data)
    older = msgspec.structs.replace(
        EXPORTED.facts(), interpolation=None, crop_share=None, color=None, scale=None, layout=None
    )
    exported_preprocessing.require_same(run_of(older), data)
