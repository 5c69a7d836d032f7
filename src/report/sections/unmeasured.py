"""Rows without figures in words: each of its own, or all of them folded into one line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from src.report.document import Folded
from src.report.sections.rows import name_of, order, status_in_words
from src.run.results import Results
from src.run.row import Row


def folded_rows(results: Results) -> Folded | None:
    """Return the rows without figures of a long table; None for a short one, which shows them."""
    rows = order(results)
    return folded((name_of(row), row) for row in rows.items) if rows.is_long else None


def notes(results: Results) -> Iterator[str]:
    """Yield a note on each row without figures, or a single one on all of a long table."""
    if order(results).is_long:
        together = folded_rows(results)
        yield from [together.line] if together else ()
        return
    for row in results.rows:
        if not row.is_ok:
            yield f"{name_of(row)}: {status_in_words(row)} ({row.reason})"


def folded(named: Iterable[tuple[str, Row]]) -> Folded | None:
    """Return the rows without figures by reason; None without any such row.

    Reasons come in the order of their first rows.

    Args:
        named: rows with their names; those that have figures are left out.
    """
    by_reason: dict[tuple[str, str | None], list[str]] = {}
    for name, row in named:
        if not row.is_ok:
            by_reason.setdefault((status_in_words(row), row.reason), []).append(name)
    if not by_reason:
        return None
    count = sum(map(len, by_reason.values()))
    items = [
        f"{', '.join(names)} ({status}: {reason})" for (status, reason), names in by_reason.items()
    ]
    return Folded(f"{count} not measured", items)
