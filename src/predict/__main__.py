"""``python -m src.predict``: see :mod:`src.cli.commands.predict`."""

from src.cli.commands.predict import main
from src.cli.entry_point import run_command

if __name__ == "__main__":
    run_command(main)
