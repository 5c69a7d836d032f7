"""A parser of ``report.html``, as far as the tests need it."""

from __future__ import annotations

import functools
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np

from tests.report.pages import html_page
from tests.report.planted import FAILED, latency, results, row, twenty


class Page(HTMLParser):
    """The tags, words and first table of an HTML page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: dict[str, list[tuple[str, str | None]]] = {}  # of the first table, by name
        self.rows_in_order: list[list[tuple[str, str | None]]] = []
        self.heads: list[str] = []
        self.groups: list[str] = []  # headings between the rows
        self.words: list[str] = []
        self._tables = 0
        self._row: list[tuple[str, str | None]] | None = None
        self._text: list[str] | None = None
        self._value: str | None = None
        self._is_head = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        self._tables += tag == "table"
        if tag == "tr" and attributes.get("data-row") and self._tables == 1:
            self._row = self.rows[str(attributes["data-row"])] = []
            self.rows_in_order.append(self._row)
        if tag in {"td", "th"}:
            self._text, self._value = [], attributes.get("data-value")
            self._is_head = attributes.get("scope") == "col"

    def handle_endtag(self, tag: str) -> None:
        if tag in {"td", "th"} and self._text is not None:
            text = re.sub(r"\s+", " ", " ".join(self._text)).strip()
            if self._row is not None:
                self._row.append((text, self._value))
            elif self._tables == 1:
                (self.heads if self._is_head else self.groups).append(text)
            self._text = None
        if tag == "tr":
            self._row = None

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self._text is not None:
            self._text.append(data)


def page_of(measured: dict[str, Any], folder: Path) -> Page:
    """Return the page of a measurement, with flipped images from ``folder``."""
    return Page(html_page(json.loads(json.dumps(measured)), folder))


@functools.cache
def cached_page(kind: str) -> Page:
    """Return the page of one of ``ROWS``, made once because drawing takes a second."""
    return page_of(results(*ROWS[kind]), Path("nowhere"))


def unstable() -> dict[str, Any]:
    """Return a row with an unstable timing."""
    generator = np.random.default_rng(0)
    samples = {
        str(number): [float(value) for value in generator.gamma(50, 0.0123 / 50, 8)]
        for number in range(6)
    }
    cell = latency(1, 0.0123456, stable=False, unstable=["busy"], seconds=samples)
    return row("onnx_int8", size_bytes=3_086_420, latency=[cell, latency(8, 0.04)])


ROWS: dict[str, list[dict[str, Any]]] = {
    "many": [
        row("eager"),
        unstable(),
        row("onnx", **FAILED),
        row("other", **FAILED | {"status": "skipped", "files": []}),
    ],
    "twenty": twenty(),
    "single": [row("eager")],
    "all failed": [row("eager", **FAILED)],
    "none": [],
}
