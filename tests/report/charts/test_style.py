from __future__ import annotations

import re
from pathlib import Path

from src.report.charts import style
from src.report.writers import html


def luminance(color: str) -> float:
    """Return the relative luminance of WCAG 2.2."""
    parts = [int(color[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_colours_have_enough_contrast_in_light_and_dark() -> None:
    css = (Path(html.__file__).parents[1] / "templates" / "page.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    light, dark, _ = (dict(re.findall(r"--(\w+): (#\w+)", block)) for block in blocks)
    assert (light["page"], dark["page"]) == (style.LIGHT, style.DARK)
    for theme in (light, dark):
        for name in ("ink", "faint", "accent", "good", "bad", "open"):
            assert contrast(theme[name], theme["page"]) >= 4.5, name
            assert contrast(theme[name], theme["card"]) >= 4.5, name
        for color in style.PALETTE:
            assert contrast(color, theme["page"]) >= 3, color
