"""Charts with class names in scripts that matplotlib's own font does not have."""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from src.report.charts import style
from src.report.charts.chart import Chart, label_of_class
from src.report.writers import svg

NAMES = ["猫", "고양이", "ねこ", "แมว", "cat"]


def font_of(text: str, family: str, path: Path) -> Path:
    """Write a font that has a box for each character of a text."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for point in ((0, 700), (500, 700), (500, 0)):
        pen.lineTo(point)
    pen.closePath()
    glyphs = {".notdef": TTGlyphPen(None).glyph()}
    names = {ord(character): f"u{ord(character):x}" for character in text}
    glyphs |= dict.fromkeys(names.values(), pen.glyph())
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(list(glyphs))
    builder.setupCharacterMap(names)
    builder.setupGlyf(glyphs)
    builder.setupHorizontalMetrics(dict.fromkeys(glyphs, (600, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800)
    builder.setupPost()
    builder.save(path)
    return path


@pytest.fixture
def fonts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The fonts of this machine without those for other scripts."""
    own = [font for font in font_manager.fontManager.ttflist if "DejaVu" in font.name]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
    font_manager.fontManager._findfont_cached.cache_clear()  # type: ignore[attr-defined]
    yield own
    font_manager.fontManager._findfont_cached.cache_clear()  # type: ignore[attr-defined]


def chart() -> Chart:
    def drawn(width: float) -> Figure:
        figure = Figure(figsize=(width, 2))
        axes = figure.subplots()
        axes.set_xticks(range(len(NAMES)), [label_of_class(name) for name in NAMES])
        return figure

    return Chart("names", "names", "names", drawn)


def missing_in(caught: list[warnings.WarningMessage]) -> set[str]:
    """Return the characters for which matplotlib drew an empty box."""
    found = (re.search(r"Glyph (\d+) ", str(warning.message)) for warning in caught)
    return {chr(int(match[1])) for match in found if match}


@pytest.mark.parametrize("family", [style.WIDE_FAMILIES[0], style.WIDE_FAMILIES[-1]])
def test_a_name_in_another_script_is_drawn_with_an_installed_font(
    family: str, fonts: list[Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    letters = {letter for name in NAMES for letter in name if ord(letter) > 0x400}
    for is_installed in (False, True):
        if is_installed:
            path = font_of("".join(sorted(letters)), family, tmp_path / "wide.ttf")
            font_manager.fontManager.addfont(path)
        with (
            warnings.catch_warnings(record=True) as caught,
            caplog.at_level(logging.WARNING),
            style.house(),
        ):
            warnings.simplefilter("always")
            figure = chart().draw()
            FigureCanvasAgg(figure)
            figure.savefig(io.BytesIO(), format="png")
        assert missing_in(caught) == (set() if is_installed else letters)
        assert "findfont" not in caplog.text
        assert style.families() == ["sans-serif", *([family] if is_installed else [])]


@pytest.mark.filterwarnings("ignore:Glyph")  # the reader's browser has the fonts
def test_the_text_of_a_page_is_drawn_by_the_readers_fonts(fonts: list[Any]) -> None:
    element = str(svg.broad(chart()))
    for name in NAMES:
        assert f">{name}</text>" in element
    assert "sans-serif" in element
