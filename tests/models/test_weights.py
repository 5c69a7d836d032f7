"""Weights loaded from the kinds of files that users have."""

from __future__ import annotations

import argparse
import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from src.data.preprocessing import Preprocessing
from src.errors import UsageError
from src.models.network import published_preprocessing
from src.models.weights import load_into

State = dict[str, Tensor]


def network(classes: int = 3, value: float = 0.5) -> nn.Module:
    filled = torchvision.models.resnet18(num_classes=classes)
    for parameter in filled.parameters():
        nn.init.constant_(parameter, value)
    return filled


def plain(state: Mapping[str, Any], path: Path) -> Path:
    torch.save(state, path / "x.pt")
    return path / "x.pt"


def safetensors(state: State, path: Path) -> Path:
    save_file(state, path / "x.safetensors")
    return path / "x.safetensors"


def lightning(state: State, path: Path) -> Path:
    prefixed = {f"network.{name}": value for name, value in state.items()}
    content = {
        "state_dict": {**prefixed, "loss.weight": torch.ones(3)},
        "epoch": 1,
        "lightship": {},
    }
    torch.save(content, path / "x.ckpt")
    return path / "x.ckpt"


def compiled_and_distributed(state: State, path: Path) -> Path:
    return plain({f"module._orig_mod.{name}": value for name, value in state.items()}, path)


KINDS: list[Callable[[State, Path], Path]] = [
    plain,
    safetensors,
    lightning,
    compiled_and_distributed,
]


@pytest.mark.parametrize("write", KINDS)
def test_every_file_format_loads_all_weights(
    write: Callable[[State, Path], Path], tmp_path: Path
) -> None:
    path = write(network().state_dict(), tmp_path)
    target = torchvision.models.resnet18(num_classes=3)
    match = load_into(target, path)
    assert all((value == 0.5).all() for value in target.parameters())
    assert (match.missing, match.unknown, match.other_shape) == ([], [], [])
    assert match.lines() == [f"weights: 122 of 122 tensors from {path}"]


@pytest.mark.parametrize("write", KINDS)
def test_a_head_of_another_shape_is_not_loaded_and_reported(
    write: Callable[[State, Path], Path], tmp_path: Path
) -> None:
    target = network(value=0.25)
    match = load_into(target, write(network(7).state_dict(), tmp_path))
    assert (target.fc.weight == 0.25).all()
    assert (target.conv1.weight == 0.5).all()
    assert match.other_shape == ["fc.weight (7, 512) for (3, 512)", "fc.bias (7,) for (3,)"]
    assert "weights: 120 of 122 tensors" in match.lines()[0]


def test_missing_and_unknown_weights_are_listed(tmp_path: Path) -> None:
    state = network().state_dict()
    del state["fc.weight"], state["fc.bias"]
    state["projection.weight"] = torch.zeros(4)
    match = load_into(network(), plain(state, tmp_path))
    assert match.missing == ["fc.weight", "fc.bias"]
    assert match.unknown == ["projection.weight"]
    assert any("projection.weight" in line for line in match.lines())


@pytest.mark.parametrize("entry", ["model_state_dict", "net", "ema", "state_dict_ema"])
def test_the_entry_of_a_file_that_is_a_state_dict_is_found(entry: str, tmp_path: Path) -> None:
    content: dict[str, Any] = {
        "epoch": 3,
        "loss": torch.tensor(0.5),
        "optimizer_state_dict": {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": []},
        entry: network().state_dict(),
    }
    path = plain(content, tmp_path)
    target = network(value=0.25)
    match = load_into(target, path)
    assert all((value == 0.5).all() for value in target.parameters())
    assert match.lines() == [f"weights: 122 of 122 tensors from {path}, its {entry}"]


@pytest.mark.parametrize("usual", ["state_dict", "model"])
def test_of_two_entries_the_usual_one_is_loaded_and_the_other_one_is_named(
    usual: str, tmp_path: Path
) -> None:
    average = network(value=0.25).state_dict()
    path = plain({f"{usual}_ema": average, usual: network().state_dict()}, tmp_path)
    target = network(value=1)
    lines = load_into(target, path).lines()
    assert all((value == 0.5).all() for value in target.parameters())
    assert lines == [
        f"weights: 122 of 122 tensors from {path}",
        f"  not used, though as many match: {usual}_ema",
    ]


def test_a_checkpoint_with_the_options_of_its_training_is_read(tmp_path: Path) -> None:
    options = argparse.Namespace(lr=0.1, data="photos", layers=[1, 2])
    path = plain({"model": network().state_dict(), "args": options, "epoch": 3}, tmp_path)
    assert load_into(network(value=0.25), path).missing == []
    with pytest.raises(pickle.UnpicklingError, match="Namespace"):  # elsewhere it is refused
        torch.load(path, weights_only=True)


def test_a_published_file_of_densenet_gives_all_weights(tmp_path: Path) -> None:
    state = torchvision.models.densenet121(num_classes=3).state_dict()
    former = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", name): value
        for name, value in state.items()
    }
    assert former.keys() != state.keys()
    match = load_into(torchvision.models.densenet121(num_classes=3), plain(former, tmp_path))
    assert (match.missing, match.unknown, match.other_shape) == ([], [], [])


class CallsPrint:
    def __reduce__(self) -> Any:
        return (print, ("unpickled",))


def calling(path: Path) -> Path:
    (path / "x.pt").write_bytes(pickle.dumps({"a": CallsPrint()}))
    return path / "x.pt"


def cut_off(path: Path) -> Path:
    file = plain(network().state_dict(), path)
    file.write_bytes(file.read_bytes()[:1000])
    return file


def cut_off_safetensors(path: Path) -> Path:
    file = safetensors(network().state_dict(), path)
    file.write_bytes(file.read_bytes()[:1000])
    return file


def unrelated(path: Path) -> Path:
    return plain({"a": torch.zeros(3)}, path)


def empty(path: Path) -> Path:
    torch.save({"a": 1}, path / "x.pt")
    return path / "x.pt"


def absent(path: Path) -> Path:
    return path / "none.pt"


def calling_in_a_namespace(path: Path) -> Path:
    content = {"model": network().state_dict(), "args": argparse.Namespace(hook=CallsPrint())}
    torch.save(content, path / "x.pt")
    return path / "x.pt"


UNUSABLE: list[Callable[[Path], Path]] = [
    *(calling, calling_in_a_namespace, cut_off, cut_off_safetensors, unrelated, empty, absent)
]


@pytest.mark.parametrize("write", UNUSABLE)
def test_an_unusable_weights_file_is_one_line(
    write: Callable[[Path], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path)
    with pytest.raises(UsageError, match=r"model.weights: expected") as caught:
        load_into(network(), path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "unpickled" not in capsys.readouterr().out


def test_published_preprocessing_equals_that_of_torchvision() -> None:
    picture = Image.effect_noise((300, 260), 80).convert("RGB")
    for builder in ("resnet34", "efficientnet_b0", "convnext_tiny", "densenet121"):
        preprocessing = Preprocessing(**published_preprocessing(builder))
        reference = torchvision.models.get_model_weights(builder)["DEFAULT"].transforms()
        torch.testing.assert_close(preprocessing(picture), reference(picture), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_networks_that_convert_their_input_get_it_converted(name: str) -> None:
    # With published weights, torchvision builds these two so that they convert ImageNet's
    # normalisation to that of pixels from -1 to 1.
    options = {"aux_logits": False, "init_weights": False, "num_classes": 4}
    ours = torchvision.models.get_model(name, **options).eval()
    theirs = torchvision.models.get_model(name, transform_input=True, **options).eval()
    theirs.load_state_dict(ours.state_dict())
    picture = Image.effect_noise((360, 350), 80).convert("RGB")
    preprocessing = Preprocessing(**published_preprocessing(name))
    reference = torchvision.models.get_model_weights(name)["DEFAULT"].transforms()
    with torch.inference_mode():
        mine, other = ours(preprocessing(picture)[None]), theirs(reference(picture)[None])
    torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-4)
