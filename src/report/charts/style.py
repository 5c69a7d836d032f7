"""Palette and style of all charts, for light and dark pages."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib import font_manager

# Each colour has a contrast of 3:1 or more with the light and with the dark page (WCAG 2.2,
# 1.4.11). They differ in lightness too, and are labelled, for readers who see colours differently.
PALETTE = ("#2f7fd1", "#d9601a", "#1f9468", "#b861a5", "#9a8108", "#d4495f", "#6a7bd6", "#7d8590")
LIGHT, DARK = "#ffffff", "#14171c"  # colours of the page: see templates/page.css

INK, FAINT, GRID = "#1a1c1f", "#5b6067", "#c9ced6"  # text and axes; notes; lines behind the data
CURVE_COLORS = {"train_loss": PALETTE[-1], "val_loss": PALETTE[0], "val_top1": PALETTE[0]}
OUTCOME_COLORS = {"lost": "#b3261e", "gained": "#1e6b34", "still wrong": "#555555"}
PART_COLORS = {  # of a training step
    "data loading": "#b3261e",
    "data to device": "#e07b39",
    "forward": "#1f5fa8",
    "backward": "#4f93d2",
    "optimizer": "#1e6b34",
    "other": "#8a8a8a",
}
STAGE_COLORS = {  # of a pipeline
    "decode": PALETTE[0],
    "resize": PALETTE[1],
    "convert": PALETTE[2],
    "infer": PALETTE[3],
    "label": PALETTE[4],
}

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
    # Keep text as text in SVG, so that it can be searched and read aloud.
    "svg.fonttype": "none",
    # Ids are hashes with this salt instead of a random one: the same figure gives the same file.
    "svg.hashsalt": "lightship",
}

# Free fonts with the scripts that matplotlib's own font lacks, the usual ones of each system first.
# A class may have a name in any script.
WIDE_FAMILIES = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Noto Sans JP", "Noto Sans KR"),
    *("Source Han Sans SC", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback"),
    *("IPAexGothic", "TakaoGothic", "NanumGothic", "PingFang SC", "Hiragino Sans"),
    *("Apple SD Gothic Neo", "Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Tamil"),
    *("Noto Sans Thai", "Lohit Devanagari", "Unifont"),
)

# matplotlib's settings are those of the process, and a server draws in several threads.
_SETTINGS_LOCK = threading.RLock()


@contextmanager
def house() -> Iterator[None]:
    """Apply this project's style to figures that are drawn in the block, one thread at a time."""
    settings = {**_SETTINGS, "font.family": families()}
    with _SETTINGS_LOCK, mpl.rc_context(settings):
        yield


def families() -> list[str]:
    """Return matplotlib's own font, and the installed ones that have characters which it lacks.

    A font that is not installed would be a line of the log for each text.
    """
    installed = set(font_manager.get_font_names())
    return ["sans-serif", *(name for name in WIDE_FAMILIES if name in installed)]


def colors(names: Sequence[str]) -> dict[str, str]:
    """Return a colour for each name; colours repeat if there are more names than colours."""
    distinct = dict.fromkeys(names)
    return {name: PALETTE[index % len(PALETTE)] for index, name in enumerate(distinct)}


def plain(text: str) -> str:
    """Escape the dollar signs of a text, with which matplotlib would begin a formula."""
    return text.replace("$", r"\$")
