"""``python -m src.serve_test``: see :mod:`src.cli.commands.serve_test`."""

from src.cli.commands.serve_test import main
from src.cli.entry_point import run_command

if __name__ == "__main__":
    run_command(main)
