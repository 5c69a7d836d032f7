"""The settings of a service in a bundle, from the measurement of the file under load."""

from __future__ import annotations

import json

import msgspec

from src import formats
from src.run.folder import Run
from src.run.serving import ServingSettings, current_serve_test

FILE = "serving.json"


def contents(run: Run, name: str, *, embedded: bool) -> dict[str, bytes]:
    """Return ``serving.json``, or nothing if this very file was not put under load on a CPU.

    A file with its preprocessing inside is another one than the measured one, and takes one image
    at a time. Other packages than the measured ones have another speed.

    Raises:
        UsageError: ``serve_test.json`` is not as its stage writes it.
    """
    record = None if embedded else current_serve_test(run)
    if record is None or (record.format, record.device) != (name, "cpu"):
        return {}
    environment = formats.get(name).environment if name in formats.names() else None
    if record.own_environment != (environment.identity if environment else None):
        return {}
    settings = ServingSettings.of(record)
    if settings is None:
        return {}
    return {FILE: (json.dumps(msgspec.to_builtins(settings), indent=1) + "\n").encode()}
