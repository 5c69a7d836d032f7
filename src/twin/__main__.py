"""``python -m src.twin``: see :mod:`src.cli.commands.twin`."""

from src.cli.commands.twin import main
from src.cli.entry_point import run_command

if __name__ == "__main__":
    run_command(main)
