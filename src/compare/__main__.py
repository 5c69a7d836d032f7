"""``python -m src.compare``: see :mod:`src.cli.commands.compare`."""

from src.cli.commands.compare import main
from src.cli.entry_point import run_command

if __name__ == "__main__":
    run_command(main)
