"""Conflicts of the options of a search with the files of its command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from src.cli import grammar
from src.cli.typed_options import in_full
from src.errors import UsageError
from src.forecast.candidate import Request
from src.search import own_options
from src.search.figures import require_memory, require_single_images
from src.search.records import Limits
from src.system import safe_yaml

_MEMORY = "benchmark.memory"
_BATCH_SIZES = "benchmark.batch_sizes"


def require_measured(request: Request, limits: Limits, configs: Path) -> None:
    """Check that the forecast and the measurement of the trained network give each figure.

    Only plain values on the command line and in its files are read. The first forecast shows what
    is written otherwise.

    Args:
        request: a candidate of the command line.
        limits: of the search.
        configs: the folder of configuration files.

    Raises:
        UsageError: a figure is not measured.
    """
    for words in (request.words, request.argv(Path())):
        options = _measurement_options(words, configs)
        require_memory(
            limits,
            is_measured=options.get(_MEMORY) is not False,
            found=f"{_MEMORY}=false",
        )
        sizes = options.get(_BATCH_SIZES)
        if isinstance(sizes, list) and sizes and all(isinstance(size, int) for size in sizes):
            require_single_images(sizes)


def require_whole_training(request: Request, configs: Path) -> None:
    """Check that no file or mapping of the command line ends a training early or resumes another.

    Args:
        request: a candidate of the command line.
        configs: the folder of configuration files.

    Raises:
        UsageError: one does.
    """
    own_options.require_whole_training(_options(request.words, configs))


def _measurement_options(words: Sequence[str], configs: Path) -> dict[str, object]:
    """Return the two options; none of them if one is no YAML, which the first training reports."""
    try:
        return {
            name: safe_yaml.load(value) if isinstance(value, str) else value
            for name, value in _options(words, configs).items()
            if name in {_MEMORY, _BATCH_SIZES}
        }
    except (ValueError, yaml.YAMLError):
        return {}


def _options(words: Sequence[str], configs: Path) -> dict[str, object]:
    """Return the options; none of them if the command line cannot be read.

    The first training reports what is wrong with it.
    """
    try:
        options = grammar.all_options(grammar.translate(words, configs))
        return dict(each for name, value in options.items() for each in in_full(name, value))
    except (OSError, ValueError, yaml.YAMLError, UsageError):
        return {}
