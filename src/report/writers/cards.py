"""A ``README.md`` in each export folder: what the file is, and what was measured of it."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from src.report.sections.card import card_of
from src.report.sections.rows import Results
from src.run import fingerprint
from src.run.folder import Run
from src.system import atomic_files, quoting

NAME = "README.md"


def write(run: Run) -> None:
    """Write a card beside each exported file, from the manifest and the measurement.

    The card is about the file as it is now: figures of another file under the same name, from
    before it was exported again or changed, are left out. No size of an export includes its card.
    """
    manifest = run.read_manifest()
    results = run.read_benchmark() if run.benchmark.is_file() else None
    for name, entry in manifest["formats"].items():
        folder = run.exports / name
        if entry["status"] == "ok" and folder.is_dir():
            entry["files"] = fingerprint.taken(folder, entry["files"])
            atomic_files.write_text(folder / NAME, card(name, manifest, results))


def card(name: str, manifest: dict[str, Any], results: Results | None) -> str:
    """Return the card of one format in Markdown.

    Args:
        name: the format.
        manifest: the content of ``exports/manifest.json``, with the files as they are now.
        results: the content of ``benchmark.json``; None if nothing was measured yet.
    """
    contents = card_of(name, manifest, results)
    return _environment().get_template("card.md").render(card=contents)


class _Markdown(str):
    """Text that is Markdown already."""

    __slots__ = ()


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("src.report"),
        autoescape=False,  # noqa: S701  # Markdown, not HTML: finalize escapes
        finalize=_escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["markdown"] = _Markdown
    environment.filters["code"] = lambda text: _Markdown(quoting.markdown_code(text))
    environment.filters["cell"] = lambda text: _Markdown(quoting.markdown(text, in_table=True))
    environment.filters["block"] = lambda text: _Markdown(quoting.markdown_block(text, "python"))
    return environment


def _escaped(value: object) -> object:
    """Return what the template shows: every text is escaped unless it is Markdown already."""
    if isinstance(value, str) and not isinstance(value, _Markdown):
        return quoting.markdown(value)
    return value
