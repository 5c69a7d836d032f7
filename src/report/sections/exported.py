"""The exported files in words, for a command that does not measure them."""

from __future__ import annotations

from src.run.manifest import Manifest


def lines(manifest: Manifest) -> list[str]:
    """Return a line for each format, with its size in MB or the reason why there is no file.

    A format that is also exported with its preprocessing inside has one more.
    """
    found = []
    for name, export in manifest.formats.items():
        size = sum(file.bytes for file in export.files)
        result = f"{size / 1e6:.1f} MB" if export.status == "ok" else export.reason
        found.append(f"{name}: {export.status}, {result}")
        if embedded := export.embedded:
            found.append(f"{embedded.folder}: {embedded.reason or embedded.status}")
    return found
