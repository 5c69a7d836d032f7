"""How a command ends: with its own exit code, and a user's mistake in one line."""

from __future__ import annotations

import sys
from collections.abc import Callable

from src import stopping
from src.errors import LightshipError
from src.stopping import Stopped


def run_command(command: Callable[[], None]) -> None:
    """Run ``command``; an error of ours is printed in one line, without a traceback."""
    try:
        with stopping.at_once():
            command()
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
