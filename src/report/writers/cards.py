"""A ``README.md`` in each export folder: a description of the file with its figures."""

from __future__ import annotations

from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined

from src.report.sections.card import File, card_of
from src.run import fingerprint
from src.run.folder import Run
from src.run.manifest import Manifest
from src.run.paths import CARD
from src.run.results import Results
from src.system import atomic_files, quoting


def write(run: Run) -> None:
    """Write a card into the folder of each exported format.

    A card has figures only if the measured files are those that are there now. The recorded size
    of an export does not include the card.
    """
    manifest = run.read_manifest()
    results = run.read_benchmark() if run.benchmark.is_file() else None
    for name in manifest.exported:
        folder = run.exports / name
        if folder.is_dir():
            present = fingerprint.now(folder, manifest.formats[name].files)
            files = [File(file.path, file.bytes, file.sha256 or "") for file in present]
            atomic_files.write_text(folder / CARD, card(name, manifest, files, results))


def card(name: str, manifest: Manifest, files: Sequence[File], results: Results | None) -> str:
    """Return the card of one format in Markdown.

    Args:
        name: the format.
        manifest: the record of the export.
        files: the present files of the format.
        results: the measurement; None if there is none yet.
    """
    contents = card_of(name, manifest, files, results)
    return _environment().get_template("card.md").render(card=contents)


class _Markdown(str):
    """Text that is Markdown already, so that it is not escaped again."""

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
    """Escape a value of the template, unless it is Markdown already."""
    if isinstance(value, str) and not isinstance(value, _Markdown):
        return quoting.markdown(value)
    return value
