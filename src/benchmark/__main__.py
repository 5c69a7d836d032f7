"""``python -m src.benchmark``: see :mod:`src.cli.commands.benchmark`."""

from src.cli.commands.benchmark import main
from src.cli.entry_point import run_command

if __name__ == "__main__":
    run_command(main)
