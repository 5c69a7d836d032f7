"""The parser of the command line of ``src.train``, with error messages of one line."""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Sequence
from enum import Enum
from typing import Any, NoReturn, Union, get_args, get_origin

from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from src.cli import parser_errors
from src.data.dataset_module import DatasetModule
from src.models.classifier import Classifier


class Parser(LightningArgumentParser):
    """LightningCLI's parser, with one-line errors and without abbreviated options."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # An abbreviation may become the name of a later option.
        super().__init__(*args, allow_abbrev=False, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:
            # A nested parser. The outer parser includes this message in its own.
            super().error(message, ex)
        parser = getattr(ex, "subcommand_parser", None) or self
        raise parser_errors.from_parser(message, _options(parser)) from ex


class SubcommandCLI(LightningCLI):
    """LightningCLI that makes the options of one subcommand, the one on the command line.

    LightningCLI makes those of all four. Each of them asks the signatures of the Trainer, the
    model, the data and all optimizers.
    """

    def __init__(
        self, model_class: Any, datamodule_class: Any, *, args: Sequence[str], **options: Any
    ) -> None:
        self._chosen = args[0] if args else ""  # a subcommand, or --help, which lists all of them
        super().__init__(model_class, datamodule_class, args=list(args), **options)

    def _prepare_subcommand_parser(
        self, klass: type, subcommand: str, **kwargs: Any
    ) -> LightningArgumentParser:
        if subcommand == self._chosen:
            return super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        self._subcommand_method_arguments[subcommand] = []
        return self.init_parser(**kwargs)


def prefer_integers(parser: Any) -> None:
    """Let an option that takes an int or a float read ``1`` as an int.

    Lightning takes ``limit_train_batches=1`` for one batch and ``1.0`` for all of them. Its
    annotation ``Optional[Union[int, float]]`` may have the other order: ``typing`` caches types,
    and ``Union[float, int]`` of a package that was imported earlier, such as rich, is equal to it.
    """
    for action in parser._actions:  # noqa: SLF001  # argparse has no public list
        kind = getattr(action, "_typehint", None)
        members = get_args(kind)
        if get_origin(kind) is Union and int in members and float in members:
            others = [member for member in members if member is not int]
            # The operator | does not use that cache.
            action._typehint = functools.reduce(operator.or_, others, int)  # noqa: SLF001


def _options(parser: Any) -> list[str]:
    """Return the names of all options, including those of the architectures and data sets."""
    names = [action.dest for action in parser._actions]  # noqa: SLF001  # argparse has no public list
    for group, base in (("model", Classifier), ("data", DatasetModule)):
        for kind in [base, *base.__subclasses__()]:
            names += [f"{group}.{name}" for name in inspect.signature(kind).parameters]
    return names


def without_enumerations(value: Any) -> Any:
    """Return a configuration with texts in place of members of Lightning's enumerations.

    They are defaults of options that are texts, such as ``interval`` of Timer. The configuration
    could not be written to a file with them.
    """
    if isinstance(value, Namespace):
        plain = {name: without_enumerations(inner) for name, inner in vars(value).items()}
        return Namespace(plain)  # type: ignore[no-untyped-call]
    if isinstance(value, list):
        return [without_enumerations(inner) for inner in value]
    is_text = isinstance(value, Enum) and isinstance(value, str)
    is_of_lightning = is_text and type(value).__module__.startswith("lightning.")
    return str(value.value) if is_of_lightning else value
