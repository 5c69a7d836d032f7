"""The widths of the networks of a forecast or a search: ``widths=0.5,0.75,1.0``."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from src.cli import grammar
from src.cli.typed_options import in_full
from src.errors import UsageError
from src.forecast.candidate import WIDTH, Request
from src.system import safe_yaml

NAME = "widths"
HELP = "factors on the channels of networks that have such an option, as 0.5,1 (default: 1)"
_NUMBER = re.compile(r"\d{1,2}(\.\d{1,4})?|\.\d{1,4}")
_ARCHITECTURE = "model.architecture"
_CLASS = "model.class_path"
_BY_ARCHITECTURE = "AnyNetwork"  # the class of networks that have a name in a library
_NETWORK_OPTIONS = "model.network_options"


@dataclass(frozen=True)
class Widened:
    """The candidates at all widths.

    Args:
        requests: the candidates.
        own_width_only: networks that have no other width.
    """

    requests: list[Request]
    own_width_only: list[str]


def parse(text: str) -> list[float]:
    """Return the widths of ``widths=TEXT``.

    Raises:
        UsageError: one is no number, out of range or repeated.
    """
    from src.models.widths import LEAST, MOST  # imports torch

    texts = [part.strip() for part in text.split(",")]
    widths = [float(part) if _NUMBER.fullmatch(part) else 0.0 for part in texts]
    if any(not LEAST <= width <= MOST for width in widths) or len(set(widths)) < len(widths):
        raise UsageError(
            NAME,
            expected=f"numbers from {LEAST:g} to {MOST:g} with commas between, each once",
            found=text or "nothing",
            remedy=f"for example {NAME}=0.5,0.75,1",
        )
    return widths


def at_widths(requests: Sequence[Request], widths: Sequence[float], configs: Path) -> Widened:
    """Return each candidate at each width, and at its own one where a network has no other.

    Args:
        requests: the candidates at their own width.
        widths: factors on the channels; none for the own width.
        configs: the folder of configuration files.

    Raises:
        UsageError: a network cannot be built at a width, starts from weights that are of another
            one, or the command line sets its width as well.
    """
    if not widths:
        return Widened(list(requests), [])
    from src.models.widths import option_of  # imports torch

    widened: list[Request] = []
    own_width_only = []
    for model in dict.fromkeys(request.model for request in requests):
        sizes = [request for request in requests if request.model == model]
        options = _options(sizes[0], configs)
        builder = _builder_of(options)
        option = option_of(builder) if builder is not None else None
        _require_undecided(options, option)
        if builder is None or option is None:
            own_width_only.append(model)
            widened += sizes
            continue
        for width in widths:
            if width == 1:
                widened += sizes
                continue
            _require_possible(sizes[0], options, builder, width)
            widened += [replace(request, width=width) for request in sizes]
    return Widened(widened, own_width_only)


def _options(request: Request, configs: Path) -> dict[str, object]:
    """Return the options of a candidate; none of them if the command line cannot be read.

    The first training reports what is wrong with it.
    """
    try:
        options = grammar.all_options(grammar.translate(request.words, configs))
        return dict(each for name, value in options.items() for each in in_full(name, value))
    except (OSError, ValueError, yaml.YAMLError, UsageError):
        return {}


def _builder_of(options: Mapping[str, object]) -> str | None:
    """Return the builder of the network; None for a class that names none.

    Raises:
        UsageError: no library has the network.
    """
    module, _, name = str(options.get(_CLASS) or "").rpartition(".")
    architecture = options.get(_ARCHITECTURE)
    if architecture and name in {"", _BY_ARCHITECTURE}:
        from src.models.architecture import Architecture  # imports torch

        return Architecture.parse(str(architecture)).builder
    from src.models import builders  # imports torch

    try:
        builder = getattr(importlib.import_module(module), name).builder
        return builder if builders.is_known(builder) else None
    except (ImportError, AttributeError, ValueError):
        return None


def _require_undecided(options: Mapping[str, object], option: str | None) -> None:
    """Refuse a command line whose files or words set the width of a network as well.

    Raises:
        UsageError: they do.
    """
    for name in (WIDTH, f"{_NETWORK_OPTIONS}.{option}"):
        if name in options:  # at any value: it comes after the width of the candidate
            raise UsageError(
                name,
                expected=f"it to be left out beside {NAME}=, which sets the width",
                found=f"{name}={options[name]}",
                remedy=f"leave out {name} or {NAME}",
            )


def _require_possible(
    request: Request, options: Mapping[str, object], builder: str, width: float
) -> None:
    """Refuse a width that the network cannot have.

    Raises:
        UsageError: it starts from weights of another width, or its constructor refuses this one.
    """
    from src.models.architecture import Architecture  # imports torch
    from src.models.widths import problem_of

    architecture = options.get(_ARCHITECTURE)
    published = Architecture.parse(str(architecture)).published if architecture else ""
    weights = _value(options.get("model.weights"))
    found = ""
    if published or _value(options.get("model.pretrained")) is True:
        found = f"{request.model} with published weights"
    elif weights:
        found = f"model.weights={weights}"
    if found:
        raise UsageError(
            NAME,
            expected="random weights at another width than 1, because weights are of one width",
            found=f"{width:g} for {found}",
            remedy=f"leave out {NAME}, or the weights",
        )
    if problem := problem_of(builder, width):
        raise UsageError(
            NAME,
            expected=f"widths that {request.model} can be built with",
            found=f"{width:g} ({problem})",
            remedy="choose others",
        )


def _value(value: object) -> object:
    """Return a value as YAML reads it; the text itself if it is none."""
    try:
        return safe_yaml.load(value) if isinstance(value, str) else value
    except (ValueError, yaml.YAMLError):
        return value
