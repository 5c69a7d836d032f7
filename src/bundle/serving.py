"""The settings of a service in a bundle, from the measurement of the file under load."""

from __future__ import annotations

import json
import sys

import msgspec

from src import formats
from src.bundle.packages import Software
from src.run.folder import Run
from src.run.serving import ServingSettings, current_serve_test
from src.system.project_commands import typed

FILE = "serving.json"


def contents(run: Run, name: str, software: Software, *, embedded: bool) -> dict[str, bytes]:
    """Return ``serving.json``, or nothing if this very file was not put under load on a CPU.

    A file with its preprocessing inside is another one than the measured one, and takes one image
    at a time. Other packages than the measured ones have another speed.

    Args:
        run: the run.
        name: the format.
        software: the packages of the bundle.
        embedded: the file has its preprocessing inside.

    Raises:
        UsageError: ``serve_test.json`` is not as its stage writes it.
    """
    record = None if embedded else current_serve_test(run)
    if record is None or (record.format, record.device) != (name, "cpu"):
        return {}
    environment = formats.get(name).environment if name in formats.names() else None
    if environment is None and record.own_environment is None:
        others = software.differences(record.environment.packages)
    elif environment is None or not environment.has_run(record.own_environment):
        others = ["those of another environment"]
    else:
        others = []  # the versions in the record are not those of its own environment
    if others:
        sys.stderr.write(
            f"warning: {name} was put under load with other packages than are packed "
            f"({', '.join(others)}), so the bundle has no {FILE}; measure it again: "
            f"{typed('src.serve_test')} {run.quoted}\n"
        )
        return {}
    settings = ServingSettings.of(record)
    if settings is None:
        return {}
    return {FILE: (json.dumps(msgspec.to_builtins(settings), indent=1) + "\n").encode()}
