"""The entry point of all commands: one-line error messages and exit codes."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable

from src.errors import LightshipError
from src.system import log_filters, os_errors, runtime_variables, signals, standard_output
from src.system.signals import Stopped


def run_command(command: Callable[[], None]) -> None:
    """Run ``command`` and exit with its code.

    Print a LightshipError, or an error that os_errors explains, in one line. Any other exception
    is a defect and keeps its traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A file's name may contain characters that the encoding of the output lacks.
            stream.reconfigure(errors="backslashreplace")
    with standard_output.tolerating_closed_output():
        for line in runtime_variables.drop_other_precision(os.environ):
            print(f"note: {line}", file=sys.stderr)
        _run(command)


def _run(command: Callable[[], None]) -> None:
    try:
        with (
            signals.stopping_on_signals(),
            log_filters.quiet_event_writer_threads(),
            log_filters.one_line_warnings(),
        ):
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
            raise  # a defect
        print(f"error: {line}", file=sys.stderr)
        sys.exit(1)
