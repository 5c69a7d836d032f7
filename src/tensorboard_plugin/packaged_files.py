"""The files of the page: its own, and the style and the script that it shares with the reports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import jinja2

from src import report

STATIC = Path(__file__).parent / "static"
_REPORT = Path(report.__file__).parent / "templates"
_SHARED = ("page.css", "sort.js")


@dataclass(frozen=True)
class PackagedFile:
    """A file of the page.

    Args:
        path: of the file.
        is_template: it includes other files of its folder.
    """

    path: Path
    is_template: bool = False

    def read(self) -> bytes:
        """Return the content."""
        if not self.is_template:
            return self.path.read_bytes()
        loader = jinja2.FileSystemLoader(self.path.parent)
        environment = jinja2.Environment(loader=loader)  # noqa: S701  # styles and scripts of ours, no HTML
        return environment.get_template(self.path.name).render().encode()


def packaged_files() -> dict[str, PackagedFile]:
    """Return the files by route. No other file is sent, whatever a request names."""
    own = sorted(path for path in STATIC.rglob("*") if path.is_file())
    return {
        "/index.js": PackagedFile(STATIC / "index.js"),
        **{f"/static/{name}": PackagedFile(_REPORT / name, is_template=True) for name in _SHARED},
        **{f"/static/{path.relative_to(STATIC).as_posix()}": PackagedFile(path) for path in own},
    }
