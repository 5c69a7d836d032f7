"""How a command ends: with its own exit code; a mistake or a mishap in one line."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

from src.errors import LightshipError
from src.system import log_filters, os_errors, signals, standard_output
from src.system.signals import Stopped


def run_command(command: Callable[[], None]) -> None:
    """Run ``command``; an error of ours, or one that is no defect, is printed in one line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A file's name may hold what the encoding of the output lacks.
            stream.reconfigure(errors="backslashreplace")
    with standard_output.open_ended():
        _run(command)


def _run(command: Callable[[], None]) -> None:
    try:
        with signals.at_once(), log_filters.event_files(), log_filters.warnings_in_our_words():
            command()
    except standard_output.ClosedOutput as closed:
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
        line = os_errors.explain(error)
        if line is None:
            raise  # a defect, whose traceback is wanted
        print(f"error: {line}", file=sys.stderr)
        sys.exit(1)
