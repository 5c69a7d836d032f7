"""``python -m src.search``: see :mod:`src.cli.commands.search`."""

from src.cli.commands.search import main
from src.cli.entry_point import run_command

if __name__ == "__main__":
    run_command(main)
