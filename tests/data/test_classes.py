"""Lines about class names."""

from __future__ import annotations

import pytest

from src.data.classes import mirrored_names


@pytest.mark.parametrize(
    "names",
    [
        ["left", "right"],
        ["ahead", "turn_left", "turn_right"],
        ["Left hand", "right hand"],
        ["arrow-LEFT", "arrow-RIGHT"],
    ],
)
def test_classes_that_are_mirror_images_are_named(names: list[str]) -> None:
    [line] = mirrored_names(names)
    assert "data.flip=false" in line
    assert repr(names[-1]) in line


@pytest.mark.parametrize(
    "names", [["left"], ["left", "wright"], ["cleft", "cright"], ["leftover", "rightover"], []]
)
def test_other_classes_are_not(names: list[str]) -> None:
    assert mirrored_names(names) == []
