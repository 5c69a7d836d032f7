"""``python -m src.export``: see :mod:`src.cli.commands.export`."""

from src.cli.commands.export import main
from src.cli.entry_point import run_command

if __name__ == "__main__":
    run_command(main)
