"""Transposed tables, and tables that are split into narrow ones."""

from __future__ import annotations

import pytest

from src.report.document import MISSING, Cell, Head, Table, TableRow
from src.report.narrow import split, transposed

TEXT = Head("format", is_text=True)
DEVICE = Head("device", is_text=True)
NUMBERS = (Head("batch 1\np50 ms"), Head("verdict", is_text=True), Head("mJ"))


def table(*heads: Head, rows: int = 3) -> Table:
    """Return a table whose cells name their row and column; the last column has no figure."""
    return Table(
        "a caption",
        heads,
        [
            TableRow(
                f"row {row}",
                [
                    Cell(MISSING) if head.name == "mJ" else Cell(f"{row}{column}", "[1, 2]")
                    for column, head in enumerate(heads)
                ],
            )
            for row in range(rows)
        ],
    )


def texts(shown: Table) -> list[list[str]]:
    return [[head.name for head in shown.heads]] + [
        [cell.figure for cell in row.cells] for row in shown.rows
    ]


def test_a_figure_is_a_row_and_a_measured_row_a_column() -> None:
    turned = transposed(table(TEXT, *NUMBERS))
    assert texts(turned) == [
        ["figure", "00 [1, 2]", "10 [1, 2]", "20 [1, 2]"],
        ["batch 1 p50 ms", "01", "11", "21"],
        ["verdict", "02", "12", "22"],
    ]
    assert turned.rows[0].cells[1].interval == "[1, 2]"  # the parts of a cell stay parts
    assert turned.keys == 1


@pytest.mark.parametrize(
    ("is_detail", "name"), [(False, "00 [1, 2] 01 [1, 2]"), (True, "00 [1, 2]")]
)
def test_the_device_names_a_column_if_there_are_several(*, is_detail: bool, name: str) -> None:
    turned = transposed(table(TEXT, DEVICE._replace(is_detail=is_detail), *NUMBERS))
    assert turned.heads[1].line == name
    assert [row.name for row in turned.rows] == ["batch 1 p50 ms", "verdict"]


def test_the_head_of_a_narrow_column_is_broken_at_spaces_only() -> None:
    shown = Table.of_text("windows", [TEXT, Head("ms")], [["training, epoch 0", "1"]])
    assert transposed(shown).heads[1].name == "training,\nepoch 0"
    shown = Table.of_text("files", [TEXT, Head("ms")], [["torch_export_cuda_fp16 cuda", "1"]])
    assert transposed(shown).heads[1].name == "torch_export_cuda_fp16\ncuda"


def test_a_row_without_figures_has_no_column() -> None:
    shown = table(TEXT, *NUMBERS)
    failed = TableRow("failed", [Cell("failed")], "failed", "a reason")
    turned = transposed(Table(shown.caption, shown.heads, [*shown.rows, failed]))
    assert len(turned.heads) == 4
    assert transposed(Table("none", shown.heads, [failed])).rows == []


def test_each_part_of_a_split_table_repeats_its_keys_and_fits() -> None:
    wide = table(TEXT, *(Head(f"column {number:02}") for number in range(9)))
    parts = split(wide, 13 + 4 * 13)  # 9 characters and the margins of each column
    assert [len(part.heads) for part in parts] == [5, 5, 2]
    assert [part.heads[0] for part in parts] == [TEXT] * 3
    figures = [figure for part in parts for figure in texts(part)[1][1:]]
    assert figures == texts(wide)[1][1:]


def test_a_column_that_is_wider_than_the_room_has_a_table_of_its_own() -> None:
    wide = table(TEXT, Head("a" * 200), Head("b"), Head("c"))
    assert [len(part.heads) for part in split(wide, 60)] == [2, 3]


def test_ranked_columns_are_split_without_a_key_and_without_empty_rows() -> None:
    heads = [Head(name * 20, is_text=True) for name in "abc"]
    rows = [
        TableRow("1", [Cell("one"), Cell("two"), Cell("three")]),
        TableRow("2", [Cell("one"), Cell(""), Cell("")]),
    ]
    first, second = split(Table("operators", heads, rows, keys=0), 50)
    assert texts(first) == [["a" * 20, "b" * 20], ["one", "two"], ["one", ""]]
    assert texts(second) == [["c" * 20], ["three"]]
