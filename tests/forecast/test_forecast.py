"""The forecast: candidates, cache, failures and pages, with trainings that are faked by a run."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from src.cli.commands import forecast as command
from src.cli.commands import search as search_command
from src.cli.grammar import all_options, translate
from src.data.restore import PATHS
from src.errors import LightshipError, UsageError
from src.forecast import candidate, page
from src.forecast.candidate import SHORT_TRAINING, Request, requests_of
from src.forecast.named_files import OF_PATHS, named_file
from src.forecast.occupancy import LOCK, alone_in
from src.forecast.records import Forecast, TrainingCost
from src.forecast.stage import RECORD, forecast, known, sorted_by_latency
from src.run.circumstances import Environment, Gpu
from src.run.folder import Run
from src.run.layout import as_dict
from src.system import file_locks
from tests.cli.test_app import parse
from tests.compare.test_comparison import keep
from tests.conftest import CONFIGS
from tests.report.planted import FAILED, latency, pipeline, results, row

COMMAND = "python -m src.forecast model=a,b"


def test_every_network_is_measured_at_every_image_size() -> None:
    words = ["model=resnet34,timm/lcnet_050", "data.image_size=64,128", "export=all"]
    requests = requests_of(words, "resnet34")
    assert [(each.model, each.image_size) for each in requests] == [
        ("resnet34", 64),
        ("resnet34", 128),
        ("timm/lcnet_050", 64),
        ("timm/lcnet_050", 128),
    ]
    argv = requests[3].argv(Path("/scratch"))
    assert argv[0] == f"--config={CONFIGS / 'benchmark' / 'forecast.yaml'}"
    assert argv[1:4] == ["model=timm/lcnet_050", "data.image_size=128", "export=all"]
    assert requests[3].name == "timm-lcnet_050-128px"


def test_without_values_the_defaults_of_training_hold() -> None:
    [request] = requests_of([], "resnet34")
    assert (request.model, request.image_size) == ("resnet34", None)
    words = request.argv(Path("x"))
    assert not any(word.startswith(("data.image_size", "model=")) for word in words)


@pytest.mark.parametrize(
    "several",
    [
        ["model=a,b", "data.image_size=32,64"],
        ["--model=a,b", "--data.image_size=32,64"],
        ["--model", "a,b", "--data.image_size", "32,64"],
        ["model=a,b", "data.init_args.image_size=32,64"],
        ["--model", "a,b", "--data.init_args.image_size", "32,64"],
    ],
)
def test_several_values_may_be_written_as_any_option(several: list[str]) -> None:
    words = [*several, "--config=x.yaml"]
    requests = requests_of(words, "resnet34")
    assert [(each.model, each.image_size) for each in requests] == [
        ("a", 32), ("a", 64), ("b", 32), ("b", 64),
    ]  # fmt: skip
    assert requests[0].rest == ("--config=x.yaml",)


def test_all_parts_train_in_the_few_steps_of_a_forecast() -> None:
    [request] = requests_of(["experiment=finetune", "finetune.freeze_epochs=2"], "resnet34")
    argv = request.argv(Path("x"))
    assert argv.index("finetune.freeze_epochs=0") > argv.index("finetune.freeze_epochs=2")


@pytest.mark.parametrize(
    "words",
    [
        ["trainer.min_steps=500", "finetune.patience=3"],
        ["--config=own.yaml"],
        ["--trainer={min_steps: 500, min_epochs: 10}", "trainer.max_epochs=20"],
    ],
)
def test_a_least_length_of_the_training_is_none_of_a_forecast(
    words: list[str], elsewhere: Path
) -> None:
    (elsewhere / "own.yaml").write_text("trainer: {min_steps: 500, min_epochs: 10, max_epochs: 20}")
    [request] = requests_of(["model=resnet34", *words], "resnet34")
    trainer = parse(*request.argv(elsewhere / "scratch")).trainer
    assert (trainer.min_steps, trainer.min_epochs, trainer.max_steps) == (None, None, 8)


def test_a_file_does_not_make_a_forecast_put_its_networks_under_load() -> None:
    [request] = requests_of(["--config=own.yaml"], "resnet34")
    argv = request.argv(Path("x"))
    later = argv[argv.index("--config=own.yaml") :]
    for name, value in (
        ("load", "false"),
        ("load_p99_limit", "null"),
        ("load_max_seconds", "null"),
    ):
        assert f"benchmark.{name}={value}" in later


def test_a_file_does_not_change_the_baseline_of_a_forecast(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("benchmark: {baseline: onnx_fp32}\n")
    [request] = requests_of([f"--config={own}", "benchmark=quick"], "resnet34")
    argv = request.argv(Path("x"))
    assert all_options(translate(argv, CONFIGS))["benchmark.baseline"] == "eager"


def test_the_key_does_not_depend_on_a_folder_that_the_command_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: Environment
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["benchmark=forecast", "data=digits", "data.root=photos", "experiment=finetune"]
    [request] = requests_of(words, "resnet34")
    before = request.key(environment)
    for name in ("forecast", "digits", "photos", "finetune"):
        (tmp_path / name).mkdir()
    assert request.key(environment) == before
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")  # data.root is another folder there
    assert request.key(environment) != before


def test_the_options_of_data_that_are_paths_are_known() -> None:
    assert set(PATHS) <= OF_PATHS


def test_a_home_that_nobody_has_is_no_file() -> None:
    assert named_file("model.weights=~nobody-has-this-name/w.pt") == []


def test_a_chosen_measurement_replaces_that_of_a_forecast() -> None:
    [request] = requests_of(["benchmark=quick"], "resnet34")
    words = request.argv(Path("x"))
    chosen = [word for word in words if "benchmark" in word and word not in SHORT_TRAINING]
    assert chosen == ["benchmark=quick"]


@pytest.mark.parametrize(
    "words",
    [
        ["model=a,a"],
        ["model=a,"],
        ["model="],
        ["data.image_size=64,64"],
        ["data.image_size=64px"],
        ["data.image_size=0"],
        ["data.image_size=-1"],
        ["data.image_size=1e9"],
        ["data.image_size=99999999"],
        ["benchmark.baseline=onnx_fp32"],
        ["trainer.max_steps=3"],
        ["--trainer.max_steps=3"],
        ["export.judging_images=4"],
        ["benchmark.load=true"],
        ["--benchmark.load_max_seconds=9"],
        ["trainer.default_root_dir=x"],
        ["model=a,b", "model.class_path=src.models.convnext_t.ConvNeXtTiny"],
        ["model=a", "--model.class_path", "src.models.convnext_t.ConvNeXtTiny"],
        ["--model", "a", "--model.init_args.architecture=timm/lcnet_050"],
        ["model=timm/lcnet_035", "model.architecture=timm/lcnet_050"],
        ["--model"],
    ],
)
def test_a_wrong_word_is_one_line(words: list[str]) -> None:
    with pytest.raises(UsageError):
        requests_of(words, "resnet34")


def test_the_key_depends_on_options_machine_and_versions(environment: Environment) -> None:
    first = Request("resnet34", 64, ("export=all",))
    others = [
        (msgspec.structs.replace(environment, threads=environment.threads + 1), first),
        (msgspec.structs.replace(environment, packages={"torch": "0"}), first),
        (environment, Request("resnet34", 128, ("export=all",))),
        (environment, Request("resnet34", 64, ())),
        (environment, Request("densenet121", 64, ("export=all",))),
    ]
    others.append((environment, Request("resnet34", 64, ("export=all",), is_named=False)))
    keys = {request.key(machine) for machine, request in [(environment, first), *others]}
    assert len(keys) == len(others) + 1
    swapped = Request("resnet34", 64, ("benchmark=quick", "benchmark=thorough"))
    last = Request("resnet34", 64, ("benchmark=thorough", "benchmark=quick"))
    assert swapped.key(environment) != last.key(environment)


def test_the_key_depends_on_the_content_of_files_and_not_on_a_clock(
    tmp_path: Path, environment: Environment
) -> None:
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"1")
    request = Request("resnet34", 64, (f"model.weights={weights}",))
    before = request.key(environment)
    assert request.key(environment) == before
    weights.write_bytes(b"2")
    assert request.key(environment) != before

    def at(clock: float, commit: str) -> str:
        gpu = Gpu(name="H100", clock_hz=clock)
        machine = msgspec.structs.replace(environment, gpu=gpu, git_commit=commit)
        return request.key(machine)

    assert at(1e9, "a" * 40) == at(2e9, "b" * 40)


def test_the_key_of_the_own_width_is_that_of_a_command_without_widths(
    environment: Environment,
) -> None:
    request = Request("resnet34", 64, ("export=all",))
    machine = msgspec.structs.replace(environment.lasting, git_commit=None)
    network = ["resnet34", True, 64]
    content = [network, request.rest, [[]], None, as_dict(machine), candidate.code_hash()]
    text = json.dumps(content, sort_keys=True)
    assert request.key(environment) == hashlib.sha256(text.encode()).hexdigest()
    keys = {
        dataclasses.replace(request, width=width).key(environment) for width in (None, 0.5, 0.75)
    }
    assert len(keys) == 3


def test_a_forecast_of_several_widths_names_each(
    tmp_path: Path, measured_run: Run, environment: Environment
) -> None:
    requests = [Request("a", 64, (), width=width) for width in (0.5, None)]
    train = FakeTraining(measured_run)
    made = forecast(
        [*requests, Request("b", 64, ())],
        environment,
        COMMAND,
        tmp_path,
        train,
        lambda *_: None,
        own_width_only=["b"],
    )
    assert [each.network for each in made.candidates] == ["a x0.5", "a", "b"]
    assert {log.name for log in (tmp_path / "logs").iterdir()} == {
        "a-x0.5-64px.txt", "a-64px.txt", "b-64px.txt",
    }  # fmt: skip
    for text in (page.markdown_page(made), page.html_page(made)):
        assert "a x0.5" in text
        assert "At their own width only, because their constructors have no other: b" in text
    content = json.loads((tmp_path / RECORD).read_text())
    assert [each["width"] for each in content["candidates"]] == [0.5, None, None]
    content.pop("own_width_only")
    for each in content["candidates"]:
        if each["width"] is None:
            del each["width"]
    (tmp_path / RECORD).write_text(json.dumps(content))  # as an earlier version wrote it
    assert [each.width for each in known(tmp_path).values()] == [0.5, None, None]
    again = forecast(requests, environment, COMMAND, tmp_path, train, lambda *_: None)
    assert [each.network for each in again.candidates] == ["a x0.5", "a"]
    assert train.trained == ["a", "a", "b"]


@pytest.mark.parametrize("subcommand", ["fit", "test"])
def test_a_subcommand_is_refused_before_anything_is_measured(subcommand: str) -> None:
    with pytest.raises(UsageError, match=f"found {subcommand}; leave out {subcommand}"):
        command.main([subcommand, "model=resnet34"])


class FakeTraining:
    """Copies a finished run to where a training would write it."""

    def __init__(self, run: Run, fail: Sequence[str] = ()) -> None:
        self.run = run
        self.fail = fail
        self.trained: list[str] = []

    def __call__(self, argv: Sequence[str], run_file: Path, log: Path) -> int:
        words = dict(word.split("=", 1) for word in argv)
        self.trained.append(words["model"])
        if words["model"] in self.fail:
            log.write_text("epoch 1\nerror: data.image_size: too small\n")
            return 2
        folder = Path(words["trainer.default_root_dir"]) / "lightning_logs" / "x" / "version_0"
        shutil.copytree(self.run.folder, folder)
        run_file.write_text(str(folder))
        log.write_text("done\n")
        return 0


@pytest.fixture
def measured_run(tmp_path: Path) -> Run:
    """A run that was trained for a few steps, with a planted measurement."""
    measured = results(
        row("eager", latency=[latency(1, 0.02)]),
        row("onnx_fp32", latency=[latency(1, 0.005)]),
        row("onnx_int8", **{**FAILED, "status": "skipped"}),
    )
    measured["origin"] = {"dataset": "digits", "images": 1000}
    folder = keep(tmp_path / "finished", "small", measured)
    (folder / "config.yaml").write_text("trainer: {max_epochs: 5}\n")
    return Run(folder)


@pytest.fixture
def environment(measured_run: Run) -> Environment:
    return measured_run.read_benchmark().environment


def made(
    folder: Path, environment: Environment, train: FakeTraining, *models: str, again: bool = False
) -> Forecast:
    requests = [Request(model, 64, ()) for model in models]
    return forecast(requests, environment, COMMAND, folder, train, lambda *_: None, again=again)


def test_a_forecast_has_the_rows_of_the_measurement(
    tmp_path: Path, measured_run: Run, environment: Environment
) -> None:
    result = made(tmp_path, environment, FakeTraining(measured_run), "a")
    rows = measured_run.read_benchmark().rows
    [candidate] = result.candidates
    assert [file.format for file in candidate.files] == [measured.format for measured in rows]
    for file, measured in zip(candidate.files, rows, strict=True):
        assert (file.status, file.size_bytes) == (measured.status, measured.size_bytes)
        for timing, cell in zip(file.timings, measured.latency, strict=True):
            assert timing.p50_s == cell.p50_s
            assert timing.low_s <= timing.p50_s <= timing.high_s


def test_a_training_costs_the_images_of_all_epochs(
    tmp_path: Path, measured_run: Run, environment: Environment
) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(measured_run.folder)) as writer:
        for step, speed in ((4, 100.0), (8, 250.0)):  # the first steps warm up
            writer.add_scalar("throughput/images_per_second", speed, step)
            writer.add_scalar("throughput/step_seconds", 64 / speed, step)
            writer.add_scalar("throughput/peak_rss_bytes", 2e9, step)
    [candidate] = made(tmp_path, environment, FakeTraining(measured_run), "a").candidates
    assert candidate.training is not None
    assert candidate.training.seconds == 1000 * 5 / 250
    assert candidate.training.peak_rss_bytes == 2_000_000_000


@pytest.mark.parametrize(
    ("limit", "images"),
    [("null", 1000), ("1.0", 1000), ("0.1", 100), ("20", 640), ("900", 1000)],
)
def test_a_limit_of_batches_makes_an_epoch_shorter(
    tmp_path: Path, measured_run: Run, environment: Environment, limit: str, images: int
) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(measured_run.folder)) as writer:
        writer.add_scalar("throughput/images_per_second", 250.0, 8)
        writer.add_scalar("throughput/step_seconds", 0.1, 8)
    measured_run.config.write_text(
        f"trainer: {{max_epochs: 5, limit_train_batches: {limit}}}\n"
        "data: {init_args: {batch_size: 32}}\n"
    )
    [candidate] = made(tmp_path, environment, FakeTraining(measured_run), "a").candidates
    assert candidate.training is not None
    assert candidate.training.images == images


def test_a_training_without_an_end_has_no_time_and_says_why(
    tmp_path: Path, measured_run: Run, environment: Environment
) -> None:
    measured_run.config.write_text("trainer: {max_epochs: -1}\n")
    result = made(tmp_path, environment, FakeTraining(measured_run), "a")
    assert result.candidates[0].training is None
    assert "trainer.max_epochs sets no end" in page.markdown_page(result)


def test_known_candidates_are_not_measured_again(
    tmp_path: Path, measured_run: Run, environment: Environment
) -> None:
    train = FakeTraining(measured_run)
    made(tmp_path, environment, train, "a", "b")
    second = made(tmp_path, environment, train, "b", "c")
    assert train.trained == ["a", "b", "c"]
    assert [candidate.model for candidate in second.candidates] == ["b", "c"]
    made(tmp_path, environment, train, "a")  # the second command kept it
    assert train.trained == ["a", "b", "c"]
    made(tmp_path, environment, train, "a", again=True)
    assert train.trained == ["a", "b", "c", "a"]


def test_a_failed_candidate_is_named_with_its_reason_and_tried_again(
    tmp_path: Path, measured_run: Run, environment: Environment
) -> None:
    train = FakeTraining(measured_run, fail=["a"])
    result = made(tmp_path, environment, train, "a", "b")
    assert [candidate.status for candidate in result.candidates] == ["failed", "ok"]
    assert "data.image_size: too small" in (result.candidates[0].reason or "")
    for text in (page.markdown_page(result), page.html_page(result)):
        assert "a at 64 px failed: data.image\\_size: too small" in text or (
            "a at 64 px failed: data.image_size: too small" in text
        )
    made(tmp_path, environment, FakeTraining(measured_run), "a")
    assert json.loads((tmp_path / RECORD).read_text())["candidates"][0]["status"] == "ok"


def test_a_candidate_with_a_failed_file_is_tried_again(
    tmp_path: Path, measured_run: Run, environment: Environment
) -> None:
    content = json.loads(measured_run.benchmark.read_text())
    content["rows"][-1] |= {"status": "failed"}
    measured_run.benchmark.write_text(json.dumps(content))
    train = FakeTraining(measured_run)
    made(tmp_path, environment, train, "a")
    made(tmp_path, environment, train, "a")
    assert train.trained == ["a", "a"]


def test_a_killed_forecast_keeps_what_it_measured(
    tmp_path: Path, measured_run: Run, environment: Environment
) -> None:
    train = FakeTraining(measured_run)

    def killed(argv: Sequence[str], run_file: Path, log: Path) -> int:
        if "model=b" in argv:
            raise KeyboardInterrupt
        return train(argv, run_file, log)

    requests = [Request(model, 64, ()) for model in ("a", "b")]
    with pytest.raises(KeyboardInterrupt):
        forecast(requests, environment, COMMAND, tmp_path, killed, lambda *_: None)
    made(tmp_path, environment, train, "a", "b")
    assert train.trained == ["a", "b"]


def models_in(folder: Path) -> dict[str, str]:
    """Return the candidates of a record with their status."""
    candidates = json.loads((folder / RECORD).read_text())["candidates"]
    return {candidate["model"]: candidate["status"] for candidate in candidates}


def test_measuring_one_candidate_again_keeps_the_others(
    tmp_path: Path, measured_run: Run, environment: Environment
) -> None:
    train = FakeTraining(measured_run)
    made(tmp_path, environment, train, "a", "b", "c")
    result = made(tmp_path, environment, train, "a", again=True)
    assert [candidate.model for candidate in result.candidates] == ["a"]
    made(tmp_path, environment, train, "a", "b", "c")
    assert train.trained == ["a", "b", "c", "a"]


def test_a_killed_command_that_measures_again_keeps_the_figures_of_the_rest(
    tmp_path: Path, measured_run: Run, environment: Environment
) -> None:
    train = FakeTraining(measured_run)
    made(tmp_path, environment, train, "a", "b", "c")

    def killed(argv: Sequence[str], run_file: Path, log: Path) -> int:
        if "model=b" in argv:
            raise KeyboardInterrupt
        return train(argv, run_file, log)

    requests = [Request(model, 64, ()) for model in ("a", "b", "c")]
    with pytest.raises(KeyboardInterrupt):
        forecast(requests, environment, COMMAND, tmp_path, killed, lambda *_: None, again=True)
    made(tmp_path, environment, train, "a", "b", "c")
    assert train.trained == ["a", "b", "c", "a"]


def test_candidates_with_a_failure_stay_in_the_record(
    tmp_path: Path, measured_run: Run, environment: Environment
) -> None:
    good = measured_run.benchmark.read_text()
    content = json.loads(good)
    content["rows"][-1] |= {"status": "failed"}
    measured_run.benchmark.write_text(json.dumps(content))
    made(tmp_path, environment, FakeTraining(measured_run, fail=["b"]), "a", "b")
    measured_run.benchmark.write_text(good)
    made(tmp_path, environment, FakeTraining(measured_run), "c")
    assert models_in(tmp_path) == {"a": "ok", "b": "failed", "c": "ok"}


def test_what_another_command_writes_meanwhile_stays_in_the_record(
    tmp_path: Path, measured_run: Run, environment: Environment
) -> None:
    train = FakeTraining(measured_run)

    def beside(argv: Sequence[str], run_file: Path, log: Path) -> int:
        if "model=b" in argv:  # as on a file system without locks
            made(tmp_path, environment, train, "c")
        return train(argv, run_file, log)

    requests = [Request(model, 64, ()) for model in ("a", "b")]
    forecast(requests, environment, COMMAND, tmp_path, beside, lambda *_: None)
    assert set(models_in(tmp_path)) == {"a", "b", "c"}


@pytest.mark.parametrize("module", [command, search_command])
def test_the_folder_is_held_while_a_forecast_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType
) -> None:
    monkeypatch.chdir(tmp_path)
    held: list[Path] = []

    def fails(argv: Sequence[str], run_file: Path, log: Path, kept_open: Sequence[int] = ()) -> int:
        held.extend(Path(f"/proc/self/fd/{number}").resolve() for number in kept_open)
        other = os.open(tmp_path / "forecast" / LOCK, os.O_RDWR)
        assert not file_locks.take_exclusive(other)
        os.close(other)
        return 2

    monkeypatch.setattr(module, "train_in_subprocess", fails)
    with pytest.raises(LightshipError, match="failed"):
        module.main(["model=resnet34"])
    assert tmp_path / "forecast" / LOCK in held  # by what a killed command leaves behind
    with alone_in(tmp_path / "forecast", lambda phase, *_: pytest.fail(phase)):
        pass


def test_files_are_compared_by_calls_with_one_image(
    tmp_path: Path, measured_run: Run, environment: Environment
) -> None:
    def page_of(model: str, *cells: dict[str, Any]) -> str:
        measured = results(row("eager", latency=list(cells)))
        measured["origin"] = {"dataset": "digits", "images": 1000}
        measured_run.benchmark.write_text(json.dumps(measured))
        text = page.markdown_page(made(tmp_path, environment, FakeTraining(measured_run), model))
        return text.partition("\n- ")[0]

    text = page_of("a", latency(8, 0.08), latency(1, 0.02))
    assert ("20.00" in text, "80.00" in text, "batch" in text) == (True, False, False)
    text = page_of("b", latency(8, 0.08))
    assert ("80.00" in text, "batch" in text) == (True, True)


def test_the_memory_of_the_training_is_on_the_page(
    tmp_path: Path, measured_run: Run, environment: Environment
) -> None:
    result = made(tmp_path, environment, FakeTraining(measured_run), "a")
    [candidate] = result.candidates
    for device_bytes in (None, 3_210_000_000):
        cost = TrainingCost(
            images_per_second=100.0,
            step_seconds=0.1,
            peak_rss_bytes=1_234_000_000,
            peak_device_bytes=device_bytes,
            images=1000,
            epochs=5,
        )
        known = msgspec.structs.replace(candidate, training=cost)
        shown = msgspec.structs.replace(result, candidates=[known])
        text = page.markdown_page(shown)
        assert "1234" in text
        assert ("GPU MB" in text, "3210" in text) == (bool(device_bytes), bool(device_bytes))


def test_the_pipeline_of_a_file_is_on_the_page_and_may_be_missing(
    tmp_path: Path, measured_run: Run, environment: Environment
) -> None:
    measured = results(row("eager", pipeline=[pipeline()]), row("onnx_fp32"))
    measured["origin"] = {"dataset": "digits", "images": 1000}
    measured_run.benchmark.write_text(json.dumps(measured))
    result = made(tmp_path, environment, FakeTraining(measured_run), "a")
    [candidate] = result.candidates
    figures = measured_run.read_benchmark().rows[0].pipeline_of()
    assert figures is not None
    seconds = {file.format: file.pipeline_p50_s for file in candidate.files}
    assert seconds == {"eager": figures.whole.p50_s, "onnx_fp32": None}
    path = tmp_path / RECORD
    content = json.loads(path.read_text())
    for file in content["candidates"][0]["files"]:
        del file["pipeline_p50_s"]
    path.write_text(json.dumps(content))  # as an earlier version wrote it
    [earlier] = known(tmp_path).values()
    files = [msgspec.structs.replace(file, pipeline_p50_s=None) for file in candidate.files]
    assert earlier == msgspec.structs.replace(candidate, files=files)
    files = [msgspec.structs.replace(file, pipeline_p50_s=0.04321) for file in candidate.files]
    timed = msgspec.structs.replace(candidate, files=files)
    text = page.markdown_page(msgspec.structs.replace(result, candidates=[timed]))
    assert "43.21" in text


def test_a_damaged_record_is_refused_by_name(
    tmp_path: Path, measured_run: Run, environment: Environment
) -> None:
    (tmp_path / RECORD).write_text("{")
    with pytest.raises(UsageError, match=r"forecast\.json"):
        made(tmp_path, environment, FakeTraining(measured_run), "a")


def test_the_page_escapes_names_and_shows_every_file(
    tmp_path: Path, measured_run: Run, environment: Environment
) -> None:
    result = made(tmp_path, environment, FakeTraining(measured_run), "<b>a</b>")
    text = page.html_page(sorted_by_latency(result))
    assert "<b>a</b>" not in text
    assert "&lt;b&gt;a&lt;/b&gt;" in text
    for file in result.candidates[0].files:
        if file.timings:
            assert file.format in text
    assert "Pareto front" in text
