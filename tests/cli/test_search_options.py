"""The command line of ``src.search``: units, ranges, and options that a search decides itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.cli.commands import search as command
from src.cli.search_options import SearchOptions
from src.errors import LightshipError, UsageError
from src.search.machines import RayOptions
from src.search.plan import candidates_of


def test_limits_have_units_and_other_words_are_those_of_training() -> None:
    words = [
        *("under=5ms", "at_least=97.5%", "size_under=10MB", "memory_under=0.2GB", "budget=1.5h"),
        *("rungs=1", "reduction=3", "seed=7", "output=here", "data=digits", "model=a,b"),
    ]
    options, rest = SearchOptions.split(words)
    assert options == SearchOptions(
        latency_s=0.005,
        top1=0.975,
        size_bytes=10_000_000,
        memory_bytes=200_000_000,
        budget_s=5400.0,
        reduction=3,
        rungs=1,
        seed=7,
        folder=Path("here"),
        forecast_folder=Path("forecast"),
        engine="local",
        ray=RayOptions(),
    )
    assert rest == ["data=digits", "model=a,b"]


def test_without_options_there_is_no_limit() -> None:
    options, rest = SearchOptions.split([])
    assert (options.latency_s, options.top1, options.budget_s) == (None, None, None)
    assert (options.reduction, options.rungs, options.seed, rest) == (2, 2, 0, [])


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("under=5", "under: expected a time as 10ms"),
        ("under=0ms", "under: expected a time"),
        ("under=-5ms", "under: expected a time"),
        ("under=nan", "under: expected a time"),
        ("at_least=97", "at_least: expected a percentage as 5%"),
        ("at_least=101%", "at_least: expected at most 100%"),
        ("size_under=10", "size_under: expected a size as 500kB"),
        ("budget=2", "budget: expected a time as 90s"),
        ("budget=2d", "budget: expected a time as 90s"),
        ("reduction=1", "reduction: expected a whole number from 2"),
        ("rungs=-1", "rungs: expected a whole number from 0"),
        ("rungs=²", "rungs: expected a whole number"),
        ("seed=99999999999999", "seed: expected a whole number"),
        ("seed=", "seed: expected a whole number"),
        ("output=/dev/null", "output: expected a folder"),
        ("fit", "command line: expected group=name"),
        ("engine=slurm", "engine: expected local or ray; found slurm"),
        ("engine=", "engine: expected local or ray; found nothing"),
        ("ray.cpus=2", "ray.cpus: expected engine=ray with it; found engine=local"),
        ("ray.gpus=0", "ray.gpus: expected engine=ray with it; found engine=local"),
        ("ray.address=auto", "ray.address: expected engine=ray with it; found engine=local"),
    ],
)
def test_a_wrong_option_is_one_line(word: str, expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        SearchOptions.split([word])
    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)


def test_a_training_on_a_cluster_has_an_address_and_resources() -> None:
    words = ["engine=ray", "ray.address=head:6379", "ray.cpus=4", "ray.gpus=0", "data=digits"]
    options, rest = SearchOptions.split(words)
    assert (options.engine, rest) == ("ray", ["data=digits"])
    assert options.ray == RayOptions("head:6379", 4, 0)
    assert SearchOptions.split(["engine=ray"])[0].ray == RayOptions(None, None, None)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("ray.address=ray://head:10001", "ray.address: expected host:port"),
        ("ray.address=", "ray.address: expected host:port"),
        ("ray.cpus=0", "ray.cpus: expected a whole number from 1"),
        ("ray.cpus=0.5", "ray.cpus: expected a whole number from 1"),
        ("ray.gpus=-1", "ray.gpus: expected a whole number from 0"),
    ],
)
def test_a_wrong_option_of_a_cluster_is_one_line(word: str, expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        SearchOptions.split(["engine=ray", word])
    assert str(caught.value).startswith(expected)


def test_an_option_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="under: expected it once"):
        SearchOptions.split(["under=5ms", "under=6ms"])


@pytest.mark.parametrize(
    "word",
    [
        "ckpt_path=last",
        "--ckpt_path=last",
        "checkpoint.monitor=val/loss",
        "export.enabled=false",
        "benchmark.enabled=false",
        "benchmark.load=true",
        "--benchmark.load_p99_limit=0.02",
        "twin=true",
        "twin.enabled=true",
        "twin.epochs=3",
        "finetune.patience=3",
        "trainer.max_steps=3",
        "trainer.max_time=00:01:00:00",
        "trainer.fast_dev_run=true",
        "trainer.default_root_dir=x",
        "lr_scheduler=ReduceLROnPlateau",
    ],
)
def test_what_a_search_decides_itself_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="leave"):
        candidates_of(["model=resnet34", word], "resnet34")


def test_help_lists_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    command.main(["--help"])
    printed = capsys.readouterr().out
    for name in ("under=", "at_least=", "size_under=", "memory_under=", "budget=", "engine="):
        assert name in printed
    for name in ("rungs=", "ray.address=", "ray.cpus=", "ray.gpus="):
        assert name in printed


@pytest.mark.parametrize("word", ["model=resnet43", "model=timm/none", "under=5"])
def test_a_wrong_command_writes_nothing(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError):
        command.main([word])
    assert list(tmp_path.iterdir()) == []


_NO_MEMORY = (
    "memory_under: expected benchmark.memory=true beside it, so that the memory is measured; "
    "found benchmark.memory=false; add benchmark.memory=true, or leave out memory_under"
)
_NO_SINGLE_IMAGE = (
    "benchmark.batch_sizes: expected 1 among them, because a search compares calls with one image; "
    "found [8, 32]; add 1, as in benchmark.batch_sizes=[1,8,32]"
)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["memory_under=200MB", "benchmark=quick"], _NO_MEMORY),
        (["memory_under=200MB", "benchmark.memory=false"], _NO_MEMORY),
        (["memory_under=200MB", "--benchmark.memory", "False"], _NO_MEMORY),
        (["memory_under=200MB", "model=timm/lcnet_050", "benchmark=quick"], _NO_MEMORY),
        (["memory_under=200MB", "--config=own.yaml"], _NO_MEMORY),
        (["benchmark.batch_sizes=[8,32]"], _NO_SINGLE_IMAGE),
        (["under=5ms", "--benchmark.batch_sizes=[8,32]"], _NO_SINGLE_IMAGE),
        # The forecast has a measurement of its own, and the trained networks have this one.
        (["under=5ms", "--config=own.yaml"], _NO_SINGLE_IMAGE),
    ],
)
def test_a_limit_whose_figure_is_not_measured_is_one_line_and_nothing_is_written(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = Path("own.yaml")
    own.write_text("benchmark:\n  memory: false\n  batch_sizes: [8, 32]\n")
    monkeypatch.setattr(command, "train_in_subprocess", _measures)
    with pytest.raises(UsageError) as caught:
        command.main(words)
    assert str(caught.value) == message
    assert list(tmp_path.iterdir()) == [tmp_path / "own.yaml"]


@pytest.mark.parametrize(
    "words",
    [
        ["benchmark=quick"],  # without a limit of the memory it need not be measured
        ["memory_under=200MB"],
        ["memory_under=200MB", "benchmark=quick", "benchmark.memory=true"],
        ["memory_under=200MB", "benchmark.memory=true", "benchmark=quick"],
        ["memory_under=200MB", "benchmark.batch_sizes=[1,8]"],
        ["memory_under=200MB", "--config=own.yaml", "benchmark=thorough", "benchmark.memory=true"],
        # The first training says what is wrong with these.
        ["memory_under=200MB", "--config=none.yaml"],
        ["memory_under=200MB", "--config=broken.yaml"],
        ["memory_under=200MB", "benchmark.memory={"],
        ["memory_under=200MB", "benchmark=none"],
        ["benchmark.batch_sizes=[]"],
    ],
)
def test_a_limit_whose_figure_is_measured_is_searched_for(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.yaml").write_text("benchmark:\n  memory: false\n  batch_sizes: [8, 32]\n")
    Path("broken.yaml").write_text("benchmark: {\n")
    monkeypatch.setattr(command, "train_in_subprocess", _measures)
    with pytest.raises(MeasuringError):
        command.main(words)


class MeasuringError(Exception):
    """The first forecast is measured."""


def _measures(argv: list[str], run_file: Path, log: Path, kept_open: list[int]) -> int:
    raise MeasuringError


def test_without_optuna_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "missing_packages", lambda names: names)
    with pytest.raises(UsageError, match="extra search"):
        command.main(["model=resnet34"])


def test_without_ray_the_extra_is_named_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "missing_packages", lambda names: {"ray"} & set(names))
    with pytest.raises(UsageError) as caught:
        command.main(["model=resnet34", "engine=ray"])
    assert str(caught.value) == (
        "engine: expected the package ray, which is in the extra ray; found none; "
        "uv pip install ray"
    )
    assert list(tmp_path.iterdir()) == []


def test_when_every_candidate_fails_the_first_reason_is_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def fails(argv: list[str], run_file: Path, log: Path, kept_open: list[int]) -> int:
        log.write_text("error: data.root: expected a folder\n")
        return 2

    monkeypatch.setattr(command, "train_in_subprocess", fails)
    with pytest.raises(LightshipError, match=r"every candidate failed; .*data\.root: expected"):
        command.main(["model=resnet34,densenet121", "under=5ms"])
    assert "data.root" in (tmp_path / "search" / "search.html").read_text()
