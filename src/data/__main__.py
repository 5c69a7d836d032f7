"""``python -m src.data``: see :mod:`src.cli.commands.data`."""

from src.cli.commands.data import main
from src.cli.entry_point import run_command

if __name__ == "__main__":
    run_command(main)
