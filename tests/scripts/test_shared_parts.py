"""Parts that several scripts share: a page with marks, and the types of arguments."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

BEGIN, END = "<!-- begin -->", "<!-- end -->"


@pytest.fixture(autouse=True)
def _scripts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "scripts"))
        yield


@pytest.mark.parametrize(
    "text",
    ["", "{0}", "{1}", "{1}\n{0}", "{0}\n{0}\n{1}", "{0}\n{1}\n{1}", "{0}\n{1}\n{0}\n{1}"],
)
def test_a_page_without_each_mark_once_in_order_stays_as_it_is(tmp_path: Path, text: str) -> None:
    import marked_page

    page = tmp_path / "page.md"
    page.write_text(text.format(BEGIN, END))
    for refused in (
        lambda: marked_page.require(page, BEGIN, END),
        lambda: marked_page.fill(page, BEGIN, END, ["new"]),
    ):
        with pytest.raises(SystemExit, match="expected a page with the marks of the table"):
            refused()
    assert page.read_text() == text.format(BEGIN, END)


def test_a_page_that_is_missing_is_refused(tmp_path: Path) -> None:
    import marked_page

    with pytest.raises(SystemExit, match=r"found .*none\.md"):
        marked_page.require(tmp_path / "none.md", BEGIN, END)


def test_only_the_lines_between_the_marks_are_replaced(tmp_path: Path) -> None:
    import marked_page

    page = tmp_path / "page.md"
    page.write_text(f"before\n\n{BEGIN}\nold\n{END}\n\nafter\n")
    for lines in (["| a |", "|---|"], ["shorter"]):
        marked_page.fill(page, BEGIN, END, lines)
        table = "\n".join(lines)
        assert page.read_text() == f"before\n\n{BEGIN}\n\n{table}\n\n{END}\n\nafter\n"


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "-inf", "", "two", "1,5"])
@pytest.mark.parametrize("kind", ["positive", "positive_number"])
def test_a_number_that_is_not_positive_is_refused(kind: str, text: str) -> None:
    import argument_types

    parse: Callable[[str], float] = getattr(argument_types, kind)
    with pytest.raises(argparse.ArgumentTypeError, match=f"found {text}"):
        parse(text)


def test_positive_numbers_are_read() -> None:
    import argument_types

    assert argument_types.positive("12") == 12
    assert argument_types.positive_number("0.5") == 0.5
    with pytest.raises(argparse.ArgumentTypeError):
        argument_types.positive("0.5")
