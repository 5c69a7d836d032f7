"""``python -m src.forecast``: see :mod:`src.cli.commands.forecast`."""

from src.cli.commands.forecast import main
from src.cli.entry_point import run_command

if __name__ == "__main__":
    run_command(main)
