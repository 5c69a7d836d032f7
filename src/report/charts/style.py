"""How figures look: on a white page, in TensorBoard, and within a page that may be dark."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure

# Each is at 3:1 or more against a white and against a dark page (WCAG 2.2, 1.4.11), and they are
# told apart with any kind of colour vision by lightness and label as well.
PALETTE = ("#2f7fd1", "#d9601a", "#1f9468", "#b861a5", "#9a8108", "#d4495f", "#6a7bd6", "#7d8590")
LIGHT, DARK = "#ffffff", "#14171c"  # the pages behind them: see templates/page.css

INK, FAINT, GRID = "#1a1c1f", "#5b6067", "#c9ced6"  # text and axes; notes; lines behind the data
_VARIABLES = {INK: "var(--ink)", FAINT: "var(--faint)", GRID: "var(--line)"}

NARROW, WIDE = 4.4, 8.4  # inches: a phone's width, and a table's
_SETTINGS: Any = {
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.facecolor": "none",
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    # In a page text is text: it can be searched, read aloud and is as sharp as the page's own.
    "svg.fonttype": "none",
    # The same figure is the same file.
    "svg.hashsalt": "lightship",
}


@contextmanager
def house() -> Iterator[None]:
    """Draw in the house's style within this block."""
    with mpl.rc_context(_SETTINGS):
        yield


def colors(names: Sequence[str]) -> dict[str, str]:
    """A colour for each name; they come again where there are more names than colours."""
    distinct = dict.fromkeys(names)
    return {name: PALETTE[index % len(PALETTE)] for index, name in enumerate(distinct)}


def plain(text: str) -> str:
    """``text`` for a figure, in which a dollar would begin a formula."""
    return text.replace("$", r"\$")


def inline(figure: Figure, name: str, description: str, kind: str = "slim") -> Markup:
    """A figure as an SVG element of a page, in the page's colours.

    Args:
        figure: drawn in the house's style.
        name: unique within the page, for what the element refers to within itself.
        description: what there is to see, for who cannot.
        kind: the element's class: ``slim`` for a phone, ``broad`` for a wider page.
    """
    buffer = io.StringIO()
    with house():
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text)
    # Several figures in one page: what they call the same must not be the same.
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(xlink:)?href="#', f'href="#{name}-', text)
    text = text.replace("url(#", f"url(#{name}-")
    for color, variable in _VARIABLES.items():
        text = text.replace(color, variable)
    label = Markup(' class="{}" role="img" aria-label="{}"').format(kind, description)
    return Markup(text.replace("<svg", f"<svg{label}", 1))  # noqa: S704  # matplotlib escapes text
