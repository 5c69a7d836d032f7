"""How a command ends: with its own exit code; a mistake or a mishap in one line."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

from src import mishap, outlet, quiet, stopping
from src.errors import LightshipError
from src.stopping import Stopped


def run_command(command: Callable[[], None]) -> None:
    """Run ``command``; an error of ours, or one that is no defect, is printed in one line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A file's name may hold what the encoding of the output lacks.
            stream.reconfigure(errors="backslashreplace")
    with outlet.open_ended():
        _run(command)


def _run(command: Callable[[], None]) -> None:
    try:
        with stopping.at_once(), quiet.event_files(), quiet.warnings_in_our_words():
            command()
    except outlet.ClosedOutput as closed:
        sys.exit(closed.exit_code)
    except LightshipError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except Stopped as stopped:
        if not stopped.quiet:
            print(stopped, file=sys.stderr)
        sys.exit(stopped.exit_code)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        line = mishap.explain(error)
        if line is None:
            raise  # a defect, whose traceback is wanted
        print(f"error: {line}", file=sys.stderr)
        sys.exit(1)
