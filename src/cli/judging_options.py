"""The options of export and measurement that a training of a command line would have.

A process of its own reads them for a search, because the parser of ``src.train`` imports all of
Lightning: ``python -m src.cli.judging_options FILE WORDS...``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from src.cli import app, grammar
from src.cli.entry_point import run_command
from src.cli.parser import Parser
from src.data.dataset_module import DatasetModule
from src.models.classifier import Classifier
from src.search.judging_options import SECTIONS
from src.system import atomic_files, safe_yaml


class _ParseOnly(app.CLI):
    """The command line of a training without the training."""

    def instantiate_classes(self) -> None:
        """Build nothing."""

    def _run_subcommand(self, subcommand: str) -> None:
        """Train nothing."""

    def sections(self) -> dict[str, Any]:
        """Return the sections as ``config.yaml`` has them."""
        parser = self._parser(self.subcommand)
        text = parser.dump(self.config[self.subcommand], skip_none=False)
        return {name: safe_yaml.load(text)[name] for name in SECTIONS}


def sections_of(argv: Sequence[str]) -> dict[str, Any]:
    """Return the options of export and measurement of a command line.

    Args:
        argv: of ``src.train``, without the program's name.

    Raises:
        UsageError: the command line is wrong.
    """
    parsed = _ParseOnly(
        Classifier,
        DatasetModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        parser_class=Parser,
        args=grammar.translate(argv, app.CONFIGS),
    )
    return parsed.sections()


def _main() -> None:
    file, *argv = sys.argv[1:]
    atomic_files.write_text(Path(file), yaml.safe_dump(sections_of(argv), sort_keys=False))


if __name__ == "__main__":
    run_command(_main)
