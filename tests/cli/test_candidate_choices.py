"""A network that a file or an option names, and the files of a user, in a forecast and a search."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.cli.candidate_choices import choices_of
from src.cli.grammar import all_options, translate
from src.errors import UsageError
from src.forecast.candidate import Request, requests_of
from src.search import remote, training
from src.search.machines import require_alike
from src.search.remote import Place
from tests.conftest import CONFIGS
from tests.search.planted import ENVIRONMENT

ROOT = Path("candidates")


def request_of(*words: str) -> Request:
    """Return the only candidate of a command line."""
    choices = choices_of(words, CONFIGS)
    [request] = requests_of(choices.words, choices.network, choices.images, choices.paths)
    return request


def options_of(*words: str) -> dict[str, object]:
    """Return the options that a training of these words has."""
    return all_options(translate(words, CONFIGS))


def options_of_search(request: Request) -> dict[str, object]:
    """Return the options that the training of a candidate to a rung has."""
    return options_of(*training.words_of(request, ROOT, resumes=False))


def options_of_forecast(request: Request) -> dict[str, object]:
    """Return the options that the short training of a candidate has."""
    return options_of(*request.argv(ROOT))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / "own.yaml"


CONVNEXT = "model: {class_path: src.models.convnext_t.ConvNeXtTiny}\n"
LCNET = (
    "model:\n  class_path: src.models.any_network.AnyNetwork\n"
    "  init_args: {architecture: timm/lcnet_050}\n"
)


@pytest.mark.parametrize(("text", "name"), [(CONVNEXT, "ConvNeXtTiny"), (LCNET, "timm/lcnet_050")])
def test_the_network_of_a_file_is_trained_and_named(own: Path, text: str, name: str) -> None:
    own.write_text(text)
    request = request_of(f"--config={own}", "data=digits")
    assert request.model == name
    wanted = options_of(f"--config={own}", "data=digits")["model.class_path"]
    for options in (options_of_search(request), options_of_forecast(request)):
        assert options["model.class_path"] == wanted
        assert options.get("model.architecture", name) == name


@pytest.mark.parametrize(
    "words",
    [
        ["model.class_path=src.models.convnext_t.ConvNeXtTiny"],
        ["--model.class_path=src.models.convnext_t.ConvNeXtTiny"],
        ["--model.class_path", "src.models.convnext_t.ConvNeXtTiny"],
    ],
)
def test_the_class_of_an_option_names_the_candidate(words: list[str]) -> None:
    request = request_of(*words)
    assert request.model == "ConvNeXtTiny"
    assert options_of_search(request)["model.class_path"] == words[-1].rpartition("=")[2]


def test_the_values_of_a_file_win_over_those_of_the_default_network_as_in_a_training(
    own: Path,
) -> None:
    own.write_text("trainer: {max_epochs: 3}\nmodel: {init_args: {lr: 0.5}}\n")
    request = request_of(f"--config={own}")
    assert request.model == "resnet34"
    trained = options_of(f"--config={own}")
    for options in (options_of_search(request), options_of_forecast(request)):
        for name in ("trainer.max_epochs", "model.lr", "model.class_path"):
            assert options[name] == trained[name]


@pytest.mark.parametrize("words", [["model=convnext_t"], ["--model", "convnext_t"]])
def test_a_network_that_is_named_has_its_preset_and_its_name(words: list[str], own: Path) -> None:
    own.write_text(LCNET)
    request = request_of(*words, f"--config={own}")
    assert request.model == "convnext_t"
    expected = options_of("model=convnext_t")["model.class_path"]
    assert options_of_search(request)["model.class_path"] == expected
    assert options_of_forecast(request)["model.class_path"] == expected


def test_the_measurement_of_a_file_wins_over_that_of_a_forecast(own: Path) -> None:
    own.write_text("benchmark: {processes: 7, memory: false}\n")
    options = options_of_forecast(request_of(f"--config={own}"))
    assert (options["benchmark.processes"], options["benchmark.memory"]) == (7, False)
    assert options["benchmark.batch_sizes"] == [1]
    chosen = options_of_forecast(request_of(f"--config={own}", "benchmark=quick"))
    assert chosen["benchmark.processes"] == options_of("benchmark=quick")["benchmark.processes"]


@pytest.mark.parametrize(
    "text", ["model: [1", "", "model: 3", "trainer: {max_epochs: 3}", "model: {class_path: null}"]
)
def test_without_a_network_in_a_file_the_default_one_is_named(own: Path, text: str) -> None:
    own.write_text(text)
    assert choices_of([f"--config={own}"], CONFIGS).network == "resnet34"
    assert choices_of(["--config=missing.yaml"], CONFIGS).network == "resnet34"


def test_the_folder_of_the_users_own_images_is_known(own: Path) -> None:
    own.write_text(
        "data:\n  class_path: src.data.datasets.image_folder.ImageFolder\n"
        "  init_args: {root: photos}\n"
    )
    words = ["model=resnet34,densenet121", "data.image_size=32,64"]
    for chosen in (["data=image_folder", "data.root=photos"], [f"--config={own}"]):
        choices = choices_of([*words, *chosen], CONFIGS)
        assert choices.images == "photos"
        requests = requests_of([*words, *chosen], choices.network, choices.images)
        assert {request.images for request in requests} == {"photos"}
    # The folder of a download has no images before the first training.
    assert choices_of(["data=pets", "data.root=photos"], CONFIGS).images is None
    assert choices_of(["data=digits"], CONFIGS).images is None


def keys_of(*words: str) -> tuple[str, str]:
    """Return the key of the only candidate of a command line, and that of its training."""
    request = request_of(*words)
    return request.key(ENVIRONMENT), request.training_key(ENVIRONMENT)


@pytest.mark.parametrize(
    "text",
    [
        "data: {class_path: src.data.datasets.csv_file.CSVFile, init_args: {file: NAMED}}\n",
        "model: {init_args: {weights: NAMED}}\n",
        "trainer: {callbacks: [{class_path: mine.Callback, init_args: {table: NAMED}}]}\n",
    ],
)
def test_the_content_of_a_file_that_a_file_names_decides_the_key(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    named = tmp_path / "named.csv"
    own.write_text(text.replace("NAMED", str(named)))
    monkeypatch.chdir(tmp_path)  # and back after the look
    named.write_text("path,label\n1.png,cat\n")
    before = keys_of(f"--config={own}")
    assert keys_of(f"--config={own}") == before
    named.write_text("path,label\n1.png,dog\n")
    for one, other in zip(keys_of(f"--config={own}"), before, strict=True):
        assert one != other
    place = Place(tmp_path, tmp_path, request_of(f"--config={own}").naming)
    elsewhere = remote.look(place, "none")
    named.write_text("path,label\n1.png,cat\n")
    with pytest.raises(UsageError, match=r"named\.csv names to be the same"):
        require_alike([elsewhere], remote.look(place, "none"), place)


def test_a_file_that_a_mapping_on_the_line_names_decides_the_key(tmp_path: Path) -> None:
    named = tmp_path / "named.csv"
    words = ("data=csv", f"--data={{init_args: {{file: {named}}}}}")
    named.write_text("1")
    before = keys_of(*words)
    named.write_text("2")
    assert keys_of(*words)[1] != before[1]


def test_folders_of_downloads_do_not_tie_a_key_to_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = keys_of("data=pets")
    monkeypatch.chdir(tmp_path)
    assert keys_of("data=pets") == before


def test_the_order_and_the_spelling_of_words_decide_no_key(own: Path) -> None:
    own.write_text("trainer: {max_epochs: 3}\n")
    keys = {
        keys_of("model=resnet34", "data=digits", f"--config={own}", *words)
        for words in (
            ["trainer.precision=32", "model.lr=0.1"],
            ["model.lr=0.1", "--trainer.precision=32"],
            ["--trainer.precision", "32", "model.lr=0.1"],
        )
    }
    assert len(keys) == 1
    assert keys_of("trainer.precision=32", f"--config={own}", "data=digits", "model=resnet34") != (
        keys_of("trainer.precision=16", f"--config={own}", "data=digits", "model=resnet34")
    )
