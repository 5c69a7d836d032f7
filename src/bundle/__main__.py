"""``python -m src.bundle``: see :mod:`src.cli.commands.bundle`."""

from src.cli.commands.bundle import main
from src.cli.entry_point import run_command

if __name__ == "__main__":
    run_command(main)
