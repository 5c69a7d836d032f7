"""The search for int8 files by a tool in another environment: a recipe that cannot be made."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import pytest

from src.backends.base import Unavailable
from src.backends.own_environment import ConversionError, OwnEnvironment
from src.quantization.candidates import CannotRunError
from src.quantization.environment_search import (
    PLAIN,
    EnvironmentCandidates,
    FloatLayers,
    Int8Program,
)


@pytest.mark.parametrize("error", [Unavailable("no layer for Gather"), ConversionError("killed")])
def test_the_search_goes_on_after_a_recipe_that_cannot_be_made(
    error: Exception, tmp_path: Path
) -> None:
    def convert(*_: object) -> NoReturn:
        raise error

    program = Int8Program(
        format="planted", tool="a tool", environment=OwnEnvironment("planted", size_bytes=1),
        runtime="planted", ending=".bin", reference=lambda: tmp_path, convert=convert, order=list,
    )  # fmt: skip
    evaluator: Any = None
    candidates = EnvironmentCandidates(program, evaluator, tmp_path, tmp_path)
    with pytest.raises(type(error)):  # there is no file at all
        candidates.make(PLAIN)
    with pytest.raises(CannotRunError, match=str(error)):
        candidates.make(FloatLayers(kept_in_float=("first",)))
