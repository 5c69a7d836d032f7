"""Base of the data modules that the command line offers, one per data set."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

from src.data.dataset import Dataset
from src.data.images import ImageDataModule
from src.data.loading import Loading


class DatasetModule(ImageDataModule, ABC):
    """Images in three splits, with one evaluation preprocessing for all later stages.

    ``class Digits(DatasetModule, dataset=DigitsDataset)`` defines a data module. Its constructor
    takes the options of ``DigitsDataset``, then those of :class:`Loading` with the defaults of
    ``DigitsDataset.loading``. The command line reads its options from the constructor's signature,
    for example ``data.image_size``.
    """

    @abstractmethod
    def __init__(self, *args: Any, **options: Any) -> None:
        """Take all options. Each subclass gets a constructor with its own signature."""

    def __init_subclass__(cls, dataset: type[Dataset] | None = None) -> None:
        super().__init_subclass__()
        if dataset is not None:
            cls.__doc__ = dataset.__doc__
            cls.__init__ = _constructor(dataset)  # type: ignore[method-assign]  # one per class


def _constructor(dataset: type[Dataset]) -> Callable[..., None]:
    own, shared = _own_options(dataset), _loading_options(dataset)
    myself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    signature = inspect.Signature([myself, *own, *shared], return_annotation=None)

    def __init__(self: ImageDataModule, *args: Any, **options: Any) -> None:  # noqa: N807
        bound = signature.bind(self, *args, **options)
        bound.apply_defaults()
        loading = Loading(**{option.name: bound.arguments[option.name] for option in shared})
        source = dataset(**{option.name: bound.arguments[option.name] for option in own})
        ImageDataModule.__init__(self, source, loading)

    __init__.__signature__ = signature  # type: ignore[attr-defined]  # read by inspect.signature
    __init__.__doc__ = Loading.__doc__
    return __init__


def _own_options(dataset: type[Dataset]) -> list[inspect.Parameter]:
    types = get_type_hints(dataset if is_dataclass(dataset) else dataset.__init__)
    parameters = inspect.signature(dataset).parameters.values()
    return [option.replace(annotation=types[option.name]) for option in parameters]


def _loading_options(dataset: type[Dataset]) -> list[inspect.Parameter]:
    types = get_type_hints(Loading)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=getattr(dataset.loading, field.name),
            annotation=types[field.name],
        )
        for field in fields(Loading)
    ]
