"""How a command ends: with its own exit code, and a user's mistake in one line."""

from __future__ import annotations

import sys
from collections.abc import Callable

from src.errors import LightshipError


def run_command(command: Callable[[], None]) -> None:
    """Run ``command``; an error of ours is printed in one line, without a traceback."""
    try:
        command()
    except LightshipError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
