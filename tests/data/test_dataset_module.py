"""A data module has the options of its data set and of the loading."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from dataclasses import fields
from typing import ClassVar

import numpy as np
import pytest
import torch
from jsonargparse import ArgumentParser

from src.data import datasets
from src.data.dataset import Dataset, Photographs
from src.data.dataset_module import DatasetModule
from src.data.datasets.digits import Digits, DigitsDataset
from src.data.images import ImageDataModule
from src.data.loading import Loading
from src.data.pipeline.dataset import LabelledImages
from src.data.pipeline.split import Parts
from src.errors import UsageError

NAMES = [module.name for module in pkgutil.iter_modules(datasets.__path__)]


class Plain(Photographs):
    """A data set that is not a dataclass."""

    loading: ClassVar[Loading] = Loading(image_size=48)

    def __init__(self, root: str, count: int = 3) -> None:
        self.root = root
        self.count = count

    @property
    def class_names(self) -> list[str]:
        return ["cat", "dog"]

    def load(self, split_seed: int) -> Parts[LabelledImages]:
        raise NotImplementedError


class PlainData(DatasetModule, dataset=Plain):
    pass


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_a_data_set_holds_it_and_one_data_module(name: str) -> None:
    module = importlib.import_module(f"{datasets.__name__}.{name}")
    own = [kind for _, kind in inspect.getmembers(module, inspect.isclass)]
    own = [kind for kind in own if kind.__module__ == module.__name__]
    [data_module] = [kind for kind in own if issubclass(kind, DatasetModule)]
    [dataset] = [kind for kind in own if issubclass(kind, Dataset)]
    options = inspect.signature(data_module).parameters
    assert list(options)[-len(fields(Loading)) :] == [field.name for field in fields(Loading)]
    for field in fields(Loading):
        assert options[field.name].default == getattr(dataset.loading, field.name)


def test_a_data_module_is_the_same_as_its_parts() -> None:
    named = Digits(image_size=16, split_seed=3)
    composed = ImageDataModule(DigitsDataset(), Loading(**vars(named.loading)))
    assert named.preprocessing == composed.preprocessing
    assert named.dataset_name == composed.dataset_name == "digits"
    np.testing.assert_array_equal(named.dataset("val").indices, composed.dataset("val").indices)
    assert torch.equal(named.dataset("val")[0][0], composed.dataset("val")[0][0])


def test_without_loading_options_a_data_set_has_its_own() -> None:
    assert ImageDataModule(DigitsDataset()).loading == DigitsDataset.loading


def test_own_options_come_first_and_then_those_of_loading() -> None:
    data = PlainData("photos", 5, 32, batch_size=2)
    assert isinstance(data.source, Plain)
    assert (data.source.root, data.source.count) == ("photos", 5)
    assert (data.loading.image_size, data.loading.batch_size) == (32, 2)
    assert PlainData("photos").loading == Plain.loading


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [((), {}, "root"), (("photos",), {"file": "x"}, "file"), ((), {"image_size": 8}, "root")],
)
def test_a_wrong_argument_is_an_error_as_of_any_constructor(
    arguments: tuple[str, ...], options: dict[str, object], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        PlainData(*arguments, **options)


def test_the_parser_knows_the_options_of_both() -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(DatasetModule, "data")
    data = {"class_path": f"{__name__}.PlainData", "init_args": {"root": "x"}}
    config = parser.parse_object({"data": data})
    assert config.data.init_args.image_size == 48
    assert config.data.init_args.count == 3


def test_the_bare_class_is_no_data_set() -> None:
    with pytest.raises(TypeError, match="abstract"):
        DatasetModule()


def test_ranges_hold_for_options_of_the_data_set_too() -> None:
    from src.data.datasets.image_folder import ImageFolder

    with pytest.raises(UsageError, match=r"data.val_share: expected a share between 0 and 0.5"):
        ImageFolder("photos", val_share=0.5)
