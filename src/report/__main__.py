"""``python -m src.report``: see :mod:`src.cli.commands.report`."""

from src.cli.commands.report import main
from src.cli.entry_point import run_command

if __name__ == "__main__":
    run_command(main)
