"""The pages of a run and of a comparison in a real browser, which a machine without one skips."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from src.compare.collection import collect
from src.compare.comparison import Comparison
from src.compare.page import html_page as comparison_page
from tests.compare.test_comparison import file, keep
from tests.report.pages import html_page
from tests.report.planted import FAILED, results, row, twenty
from tests.support import browser
from tests.support.browser import Page

CHROMIUM = browser.program()
PHONE = 360  # CSS pixels

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is on the PATH")


@pytest.fixture(scope="module")
def new_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Page]]:
    assert CHROMIUM is not None
    with browser.chromium(CHROMIUM, tmp_path_factory.mktemp("chromium")) as open_page:
        yield open_page


def pages(folder: Path) -> dict[str, str]:
    measured = results(
        file("eager", 0.008, 0.95), file("onnx_int8", 0.002, 0.94), row("x", **FAILED)
    )
    for name in ("small", "large"):
        keep(folder, name, measured)
    return {
        "report": html_page(measured, folder / "flipped"),
        "comparison": comparison_page(Comparison.of(collect([str(folder)]), None, None)),
    }


@pytest.mark.parametrize("name", ["report", "comparison"])
def test_a_page_is_as_wide_as_a_phone(
    tmp_path: Path, new_page: Callable[[], Page], name: str
) -> None:
    path = tmp_path / "page.html"
    path.write_text(pages(tmp_path)[name], encoding="utf-8")
    page = new_page()
    page.look(width=PHONE, height=740)
    page.open(path.as_uri(), "document.querySelectorAll('tbody tr').length > 1")
    assert page.run("document.documentElement.scrollWidth") == PHONE
    # The table is wider, and scrolls by itself.
    assert page.run("document.querySelector('.scroll').scrollWidth") > PHONE
    assert page.errors == []
    page.close()


def test_a_long_table_is_as_wide_as_a_phone_and_a_click_sorts_all_groups(
    tmp_path: Path, new_page: Callable[[], Page]
) -> None:
    path = tmp_path / "page.html"
    path.write_text(html_page(results(*twenty()), tmp_path / "flipped"), encoding="utf-8")
    page = new_page()
    page.look(width=PHONE, height=740)
    page.open(path.as_uri(), "document.querySelectorAll('tr.group').length > 3")
    assert page.run("document.documentElement.scrollWidth") == PHONE
    groups = "document.querySelector('table').querySelectorAll('tr.group').length"
    is_open = "document.querySelector('details li').checkVisibility()"
    assert not page.run(is_open)
    page.run("document.querySelector('summary').click()")
    assert page.run(is_open)
    seconds = (
        "[...document.querySelector('table').rows].map((row) => row.cells[7]?.dataset.value)"
        ".filter(Boolean).map(Number)"
    )
    before = page.run(seconds)
    assert page.run(groups) > 0
    assert before != sorted(before)
    page.run(
        "document.querySelector('table').tHead.rows[0].cells[7].querySelector('button').click()"
    )
    assert page.run(seconds) == sorted(before)
    assert page.run(groups) == 0
    assert page.errors == []
    page.close()
