"""A user's few lines prepare a picture as training's evaluation does, to the last bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from src import formats
from src.data.preprocessing import Preprocessing, ResizeRule
from src.formats import _usage


@pytest.mark.parametrize("resize", ["squash", "crop"])
@pytest.mark.parametrize("shape", [(60, 41), (41, 60), (20, 21), (32, 32)])
def test_a_picture_is_prepared_as_in_evaluation(
    resize: ResizeRule, shape: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation = Preprocessing(32, resize)
    picture = Image.effect_noise(shape, 90).convert("RGB")
    picture.save(tmp_path / "picture.png")
    monkeypatch.chdir(tmp_path)
    seen = []

    def network(images: np.ndarray) -> np.ndarray:
        seen.append(images)
        return np.array([[0.0, 1.0]])

    printed: list[object] = []
    program = _usage.lines([], ["names = 'ab'"], evaluation.to_dict(), "network(images)")
    exec(program, {"network": network, "print": printed.append})  # noqa: S102  # our own text
    assert printed == ["b"]
    assert seen[0].dtype == np.float32
    assert seen[0].flags.c_contiguous
    assert np.allclose(seen[0], evaluation(picture)[None].numpy(), atol=1e-5)


@pytest.mark.parametrize("name", formats.names())
def test_every_format_says_how_it_is_used_in_a_few_lines(name: str) -> None:
    usage = formats.get(name).usage(Preprocessing(64).to_dict())
    assert "{folder}/" in usage
    assert len(usage.splitlines()) <= 24
    assert max(map(len, usage.splitlines())) <= 100
    compile(usage, name, "exec")
