"""Colours of the plugin's page: those of the charts, and legible in light and dark."""

from __future__ import annotations

import re

import pytest

from src.report.charts import style
from tests.conftest import ROOT
from tests.report.charts.test_style import contrast

CSS = (ROOT / "src" / "tensorboard_plugin" / "static" / "plugin.css").read_text(encoding="utf-8")
RULES = re.findall(r"\.part-([a-z-]+) \{ --part: (#\w+);(?: --part-ink: (#\w+);)? \}", CSS)
COUNT = len(style.PART_COLORS)
LIGHT = {name.replace("-", " "): color for name, color, _ in RULES[:COUNT]}
DARK = {name.replace("-", " "): color for name, color, _ in RULES[COUNT:]}


def test_parts_of_a_step_have_the_colours_of_the_charts() -> None:
    assert LIGHT == style.PART_COLORS
    assert list(DARK) == list(LIGHT)


@pytest.mark.parametrize("name", style.PART_COLORS)
def test_parts_of_a_step_stand_out_on_a_dark_page(name: str) -> None:
    assert contrast(DARK[name], style.DARK) >= 4.5


@pytest.mark.parametrize(("name", "color", "ink"), RULES)
def test_labels_are_legible_on_their_part(name: str, color: str, ink: str) -> None:
    assert contrast(ink or "#ffffff", color) >= 4.5
