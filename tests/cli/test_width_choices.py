"""``widths=`` of a forecast and a search: the candidates, and the networks that have one width."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.cli.candidate_choices import choices_of
from src.cli.commands import forecast as forecast_command
from src.cli.commands import search as search_command
from src.cli.search_options import SearchOptions
from src.cli.width_choices import Widened, at_widths, parse
from src.errors import UsageError
from src.forecast.candidate import requests_of
from tests.conftest import CONFIGS

V2 = "model=torchvision/mobilenet_v2"


def widened(*words: str, widths: tuple[float, ...] = (0.5, 1.0)) -> Widened:
    choices = choices_of(words, CONFIGS)
    return at_widths(requests_of(words, choices.network, choices.images), widths, CONFIGS)


def test_widths_are_numbers_with_commas_between() -> None:
    assert parse("0.5,.75,1,1.25") == [0.5, 0.75, 1.0, 1.25]
    options, rest = SearchOptions.split(["widths=0.5,1", "data=digits"])
    assert (options.widths, rest) == ((0.5, 1.0), ["data=digits"])


@pytest.mark.parametrize(
    "text", ["", "0", "0.05", "4.5", "-1", "nan", "1e0", "0.5x", "1,1.0", "0.5,", "0.12345", "¼"]
)
def test_a_wrong_width_is_one_line(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert str(caught.value).startswith("widths: expected numbers from 0.1 to 4 with commas")
    assert "\n" not in str(caught.value)


def test_only_networks_with_such_an_option_have_other_widths() -> None:
    made = widened(
        "model=resnet34,torchvision/mobilenet_v2,torchvision/mnasnet1_0", "data.image_size=32,64"
    )
    assert [(each.model, each.width, each.image_size) for each in made.requests] == [
        ("resnet34", None, 32),
        ("resnet34", None, 64),
        ("torchvision/mobilenet_v2", 0.5, 32),
        ("torchvision/mobilenet_v2", 0.5, 64),
        ("torchvision/mobilenet_v2", None, 32),
        ("torchvision/mobilenet_v2", None, 64),
        ("torchvision/mnasnet1_0", None, 32),
        ("torchvision/mnasnet1_0", None, 64),
    ]
    assert made.own_width_only == ["resnet34", "torchvision/mnasnet1_0"]
    assert made.requests[2].words[:3] == [V2, "data.image_size=32", "model.width=0.5"]


def test_without_widths_nothing_is_changed() -> None:
    made = widened("model=resnet34,torchvision/mobilenet_v2", widths=())
    assert [each.width for each in made.requests] == [None, None]
    assert made.own_width_only == []


def test_the_network_of_a_file_has_widths_as_well(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(
        "model:\n  class_path: src.models.any_network.AnyNetwork\n"
        "  init_args: {architecture: torchvision/mobilenet_v2}\n"
    )
    made = widened(f"--config={own}", widths=(0.25,))
    assert [(each.model, each.width) for each in made.requests] == [
        ("torchvision/mobilenet_v2", 0.25)
    ]
    own.write_text("model: {class_path: nobody.Has}\n")
    assert widened(f"--config={own}").own_width_only == ["Has"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["model=torchvision/mobilenet_v2.IMAGENET1K_V1"],
            "widths: expected random weights at another width than 1",
        ),
        ([V2, "model.pretrained=true"], "widths: expected random weights"),
        ([V2, "model.init_args.pretrained=true"], "widths: expected random weights"),
        ([V2, "experiment=finetune"], "widths: expected random weights"),
        ([V2, "model.weights=mine.pt"], "widths: expected random weights"),
        *(
            ([V2, word], "model.width: expected it to be left out beside widths=")
            for word in (
                "model.width=0.75",
                "model.width=1",
                "model.width=null",
                "--model.init_args.width=1.0",
            )
        ),
        (
            [V2, "model.network_options.width_mult=1"],
            "model.network_options.width_mult: expected it to be left out",
        ),
        (
            [V2, "model.network_options={width_mult: 0.75}"],
            "model.network_options.width_mult: expected it to be left out",
        ),
    ],
)
def test_what_contradicts_a_width_is_one_line(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        widened(*words)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_width_in_a_file_contradicts_widths_at_any_value(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    for line in ("width: 1", "width: 0.5", "network_options: {width_mult: 1}"):
        own.write_text(f"model: {{init_args: {{{line}}}}}\n")
        with pytest.raises(UsageError, match="expected it to be left out beside widths="):
            widened(V2, f"--config={own}")


def test_published_weights_are_no_obstacle_at_the_own_width() -> None:
    made = widened(V2, "model.pretrained=true", widths=(1.0,))
    assert [each.width for each in made.requests] == [None]
    made = widened("model=resnet34", "model.pretrained=true")
    assert (made.own_width_only, len(made.requests)) == (["resnet34"], 1)


def test_a_width_that_a_constructor_refuses_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.models.widths.problem_of", lambda *_: "too narrow")
    with pytest.raises(UsageError, match=r"widths: expected widths that torchvision/mobilenet_v2 "):
        widened(V2)


@pytest.mark.parametrize("command", [forecast_command, search_command])
def test_a_command_with_a_wrong_width_writes_nothing(
    command: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (["widths=0"], [f"{V2}.IMAGENET1K_V1", "widths=0.5"]):
        with pytest.raises(UsageError, match="widths: expected"):
            command.main(words)  # type: ignore[attr-defined]
    assert list(tmp_path.iterdir()) == []


def test_help_names_the_option(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (forecast_command, search_command):
        command.main(["--help"])
        assert "widths=" in capsys.readouterr().out
