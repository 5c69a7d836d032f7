"""The shape of ``exports/manifest.json``."""

from __future__ import annotations

from src.run.schema import (
    all_of,
    fields,
    listed,
    mapping,
    number,
    optional,
    path_inside,
    text,
    word,
)
from src.run.shapes.parts import (
    COUNT,
    DETAILS,
    HEALTH,
    NETWORK,
    ORIGIN,
    PREPROCESSING,
    STATUS,
    as_many_names,
)

_file = fields({"path": path_inside, "bytes": COUNT}, {"sha256": optional(text)})
_embedded = fields(
    {"folder": word, "status": STATUS, "reason": optional(text), "files": listed(_file)}
)
_export = fields(
    {
        "precision": word,
        "status": STATUS,
        "reason": optional(text),
        "files": listed(_file),
    },
    {
        "details": optional(DETAILS),
        "usage": optional(text),
        "runs_with": listed(text),
        "embedded": optional(_embedded),
        "export_seconds": number(0, 1e9),
    },
)


MANIFEST = all_of(
    fields(
        {
            **NETWORK,
            "preprocessing": PREPROCESSING,
            "calibration": fields({"split": word, "images": COUNT, "images_sha256": listed(text)}),
            "formats": mapping(_export, key=word),
        },
        {
            "origin": optional(ORIGIN),
            "judging": fields({"split": word, "images": COUNT}),
            "probe_files": listed(_file),
            "health": optional(HEALTH),
        },
    ),
    as_many_names,
)
