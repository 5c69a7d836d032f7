"""Thousands of inputs that are nearly right: each is taken or refused in one line.

No traceback of another kind, no hang, no code run. With the marker ``faults`` there are 10,000 of
each kind, else a few: docs/reliability.md has what came of them.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import signal
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from rich.console import Console

from src import formats
from src.benchmark import up_to_date
from src.benchmark.options import BenchmarkOptions
from src.benchmark.row import planned
from src.bundle.card import card as bundle_card
from src.cli import grammar, stage_command
from src.compare import page as comparison_page
from src.compare import regression
from src.compare.collection import Measured
from src.compare.comparison import Comparison
from src.data.preprocessing import Preprocessing
from src.data.restore import data_of
from src.errors import LightshipError, UsageError
from src.export.options import ExportOptions
from src.export.source import Checkpoint
from src.models.network import NetworkSpec
from src.report.sections.report import report_of
from src.report.writers import tensorboard
from src.report.writers.console import report_table
from src.run import class_names
from src.run.folder import Run
from src.run.layout import as_dict
from src.run.manifest import Manifest
from src.run.reading import convert
from src.run.results import Results
from tests.cli.test_app import parse
from tests.compare.test_regression import measurement
from tests.conftest import CONFIGS
from tests.faults import canary
from tests.faults.mutation import HOSTILE, as_json, damaged, within
from tests.report.pages import card, html_page, markdown_page
from tests.report.test_table import FAILED, latency, results, row
from tests.report.writers.test_cards import manifest
from tests.test_foreign_text import planted

SECONDS = 60  # that no input may take: a hang is ended, nothing is timed

MANY = pytest.param(10_000, marks=pytest.mark.faults)


@pytest.fixture(autouse=True)
def _no_hang_and_no_song() -> Iterator[None]:
    def end(*_: object) -> None:
        raise TimeoutError("an input takes a minute")

    before = signal.signal(signal.SIGALRM, end)
    canary.sung.clear()
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
    assert not canary.sung


def taken(read: Callable[[], object]) -> bool:
    """Whether an input is taken; where it is refused, it is in one line."""
    signal.alarm(SECONDS)
    refused = None
    try:
        read()
    except LightshipError as error:
        refused = str(error)
    finally:
        signal.alarm(0)
    assert refused is None or (refused and "\n" not in refused)
    return refused is None


def share_taken(count: int, one: Callable[[random.Random], object]) -> float:
    """The share of ``count`` seeded inputs that is taken; the first that breaks tells its seed."""
    chosen = 0
    for seed in range(count):
        try:
            chosen += taken(lambda seed=seed: one(random.Random(seed)))
        except Exception as error:
            error.add_note(f"the input of seed {seed}")
            raise
    return chosen / count


MEASURED = results(
    row("eager", verdict=None, accuracy={"images": 9, "top1": 0.9, "top5": 1.0, "ece": 0.1}),
    row("onnx_int8", precision="int8", latency=[latency(1, 0.01, unstable=["busy"])]),
    row("onnx_fp32", **FAILED),
)
MEASURED["recommendation"]["cpu"]["inconclusive"] = [{"format": "onnx_int8", "images_needed": 9}]
EXPORTED = manifest()
EXPORTED["formats"] = dict(zip(("eager", "onnx_int8"), EXPORTED["formats"].values(), strict=True))


@pytest.mark.parametrize("count", [200, MANY])
def test_measurements(tmp_path: Path, count: int) -> None:
    run = Run(tmp_path)
    screen = Console(file=io.StringIO(), width=100)

    def read(chance: random.Random) -> None:
        run.benchmark.write_bytes(as_json(MEASURED, chance))
        found = run.read_benchmark()
        assert markdown_page(found, ["size"])
        report = report_of(found)
        screen.print(report_table(report))
        assert len(report.recommendation) == len(found.recommendation)
        measured = Measured("one", run.benchmark, found)
        assert Comparison.of([measured], None, None).rows()
        if chance.random() < 0.02:  # for it draws
            assert html_page(found, run.flipped)

    assert 0.02 < share_taken(count, read) < 0.9


@pytest.mark.parametrize("count", [60, MANY])
@pytest.mark.filterwarnings("ignore")  # matplotlib's, of letters that its font has not
def test_measurements_that_are_taken(tmp_path: Path, count: int) -> None:
    """Whatever a measurement may say is told on every page, and compared with any other."""
    run, screen = Run(tmp_path), Console(file=io.StringIO(), width=100)
    timed = [measurement(1), measurement(2, onnx_int8=1.2)]
    for cell in (file["latency"][0] for each in timed for file in each["rows"]):
        cell["seconds"] = {number: calls[:2] for number, calls in cell["seconds"].items()}
    kinds = [MEASURED, planted("x"), results(), *timed]

    def read(chance: random.Random) -> None:
        both = []
        for _ in range(2):
            content = within(chance.choice(kinds), chance, Results)
            version = 1 if content.get("schema_version") != 2 else 2
            run.benchmark.write_text(json.dumps({**content, "schema_version": version}))
            both.append(Measured(f"run {len(both)}", run.benchmark, run.read_benchmark()))
        one, other = (each.results for each in both)
        with contextlib.suppress(UsageError):  # in two places, or on other images
            assert isinstance(
                regression.compare(one, other, max_slowdown=0.05, max_drop=0.01), list
            )
        assert markdown_page(one, ["size"])
        report = report_of(one)
        screen.print(report_table(report))
        for sentence in (*report.unmeasured, *report.recommendation):
            screen.print(sentence)
        draws = chance.random() < 0.03
        if draws:
            assert html_page(one, run.flipped)
            tensorboard.write(report, tmp_path / "events", {"model": as_dict(one.options)}, {})
        with contextlib.suppress(UsageError):  # of no batch size in common
            comparison = Comparison.of(both, None, 1.0)
            assert comparison_page.markdown(comparison)
            assert not draws or comparison_page.page(comparison)
        assert card("onnx", manifest(), one)

    assert share_taken(count, read) == 1


@pytest.mark.parametrize("count", [120, MANY])
def test_manifests_that_are_taken(tmp_path: Path, count: int) -> None:
    run = Run(tmp_path)
    run.exports.mkdir()
    measured = results(row("onnx_int8"))

    def read(chance: random.Random) -> None:
        content = within(EXPORTED, chance, Manifest)
        run.manifest.write_text(json.dumps({**content, "schema_version": 1}))
        record = run.read_manifest()
        found = as_dict(record)
        for name in found["formats"]:
            assert card(name, record, measured)
        scored = convert(measured, Results)
        assert bundle_card(record, "x", scored.rows[0], scored.dataset, "x.png")
        assert Preprocessing.from_dict(found["preprocessing"]).input_shape
        run.benchmark.write_text(json.dumps(measured))
        with contextlib.suppress(UsageError):  # of a format that there is not
            assert planned(record) or not found["formats"]
            assert up_to_date.find(run, BenchmarkOptions(), lambda: None) is None

    assert share_taken(count, read) == 1


@pytest.mark.parametrize("count", [200, MANY])
def test_manifests(tmp_path: Path, count: int) -> None:
    run = Run(tmp_path)
    run.exports.mkdir()

    def read(chance: random.Random) -> None:
        run.manifest.write_bytes(as_json(EXPORTED, chance))
        record = run.read_manifest()
        found = as_dict(record)
        for name in found["formats"]:
            assert card(name, record, None)
            inside = (run.exports / name).resolve()
            assert inside.is_relative_to(run.exports.resolve())
            for file in found["formats"][name]["files"]:
                assert (inside / file["path"]).resolve().is_relative_to(inside)
        assert bundle_card(record, "onnx_int8", None, None, "test_image.png")
        with contextlib.suppress(UsageError):  # of a format that there is not
            assert planned(record)

    assert 0.02 < share_taken(count, read) < 0.9


def checkpoint() -> dict[str, Any]:
    """What a checkpoint holds, with weights of a few bytes."""
    return {
        "epoch": 3,
        "global_step": 12,
        "state_dict": {"network.fc.weight": torch.ones(2, 3), "network.fc.bias": torch.ones(2)},
        "lightship": {
            "model": "resnet18",
            "network": NetworkSpec("shufflenet_v2_x0_5", 2).to_dict(),
            "class_names": ["cat", "dog"],
            "pretrained": False,
        },
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 3}}}},
    }


def archive(content: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def repacked(content: bytes, change: Callable[[str, bytes], bytes]) -> bytes:
    """A checkpoint's archive with some of its members changed, and sound as an archive."""
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as given, zipfile.ZipFile(written, "w") as new:
        for name in given.namelist():
            new.writestr(name, change(name, given.read(name)))
    return written.getvalue()


@pytest.mark.parametrize("count", [200, MANY])
@pytest.mark.filterwarnings("ignore")  # torch's, of what a damaged file names
def test_checkpoints(tmp_path: Path, count: int) -> None:
    sound = archive(checkpoint())
    path = tmp_path / "best.ckpt"

    def read(chance: random.Random) -> None:
        kind = chance.randrange(5)
        if kind == 0:
            path.write_bytes(damaged(sound, chance))
        elif kind == 1:  # in the pickle, where the names of what is called are
            path.write_bytes(
                repacked(sound, lambda name, old: damaged(old, chance) if "pkl" in name else old)
            )
        elif kind == 2:  # any member
            name_changed = chance.choice(["data.pkl", "data/0", "version", "byteorder"])
            path.write_bytes(
                repacked(
                    sound,
                    lambda name, old: damaged(old, chance) if name.endswith(name_changed) else old,
                )
            )
        elif kind == 3:  # what it says
            content = checkpoint()
            place = chance.choice([content, content["lightship"], content["lightship"]["network"]])
            place[chance.choice(list(place))] = chance.choice(HOSTILE)
            path.write_bytes(archive(content))
        else:  # a call
            content = checkpoint()
            place = chance.choice([content, content["lightship"], content["state_dict"]])
            place[chance.choice(list(place))] = canary.Bird.__new__(canary.Bird)
            path.write_bytes(archive(content))
        found = Checkpoint.read(path)
        assert class_names.first_problem(found.class_names) is None
        if chance.random() < 0.1:  # for it builds a network
            found.network()

    # The damage may be where nothing is read.
    assert 0.02 < share_taken(count, read) < 0.9


CONFIG = {
    "seed_everything": 0,
    "data": {
        "class_path": "src.data.datasets.digits.Digits",
        "init_args": {"image_size": 32, "batch_size": 8, "mean": [0.5, 0.5, 0.5], "mixup": 0.0},
    },
    "model": {"class_path": "src.models.resnet34.ResNet34", "init_args": {"lr": 0.1}},
    "trainer": {"max_epochs": 2, "callbacks": None},
}
CALLS = (
    "!!python/object/apply:tests.faults.canary.sing [x]",
    "!!python/object:tests.faults.canary.Bird {}",
    "!!python/name:tests.faults.canary.sing",
    "!!python/module:antigravity",
    "&a [*a, *a]",
    "&a {x: *a}",
    "{class_path: tests.faults.canary.Bird}",
    "[" * 2000,
    "!!binary x",
    "!!timestamp 9999-99-99",
)


@pytest.mark.parametrize("count", [20, pytest.param(2000, marks=pytest.mark.faults)])
@pytest.mark.filterwarnings("ignore")  # the parser's, of what is deprecated in it
def test_configurations_of_a_run(tmp_path: Path, count: int) -> None:
    run = Run(tmp_path)

    def read(chance: random.Random) -> None:
        content = json.loads(json.dumps(CONFIG))
        options = content["data"]["init_args"]
        if chance.random() < 0.5:
            options[chance.choice(list(options))] = chance.choice(HOSTILE)
        text = yaml.safe_dump(content).encode()
        if chance.random() < 0.5:
            text = text.replace(
                chance.choice([b"32", b"8", b"0.5", b"src"]), chance.choice(CALLS).encode(), 1
            )
        elif chance.random() < 0.5:
            text = damaged(text, chance)
        run.config.write_bytes(text)
        assert data_of(run).class_names

    assert 0.02 < share_taken(count, read) < 0.9


WORDS = (
    *("RUN", "formats=[eager,onnx_int8]", "calibration_images=16", "export=all", "--help"),
    *("max_accuracy_drop=0.01", "onnx_int8.search_seconds=0", "embed_preprocessing=true"),
    *("--formats", "[eager]", "judging_images", "--onnx_int8.search_seconds=1", "=", "a=b"),
)


@pytest.mark.parametrize("count", [40, MANY])
@pytest.mark.filterwarnings("ignore")
def test_command_lines(
    tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.yaml").touch()

    def read(chance: random.Random) -> None:
        words = [chance.choice(WORDS) for _ in range(chance.randint(0, 3))]
        words.insert(chance.randint(0, len(words)), "RUN")
        kind = chance.randrange(4)
        if kind == 0:
            at = chance.randrange(len(words))
            words[at] = damaged(words[at].encode(), chance).decode("utf-8", "surrogateescape")
        elif kind == 1:
            words.append(f"{chance.choice(['formats', 'onnx_int8'])}={chance.choice(CALLS)}")
        elif kind == 2:
            words.append(
                f"{chance.choice(['formats', 'calibration_images', 'x'])}={chance.choice(HOSTILE)}"
            )
        argv = [str(tmp_path) if word == "RUN" else word.replace("\0", "") for word in words]
        monkeypatch.setattr("sys.argv", ["export", *argv])
        if {"--help", "-h"} & set(argv):
            with pytest.raises((SystemExit, UsageError)):
                stage_command.parse("export", None, ExportOptions)
            return
        _, options = stage_command.parse("export", None, ExportOptions)
        assert set(options.formats) <= set(formats.names())

    assert 0.02 < share_taken(count, read) < 0.9
    capsys.readouterr()


TRAINING = (
    *("model=convnext_t", "model=resnet34", "data=digits", "trainer=cpu", "export=all", "test"),
    *("benchmark=quick", "model.lr=0.1", "trainer.max_epochs=2", "export.formats=[eager]"),
    *("optimizer=AdamW", "optimizer.lr=0.1", "data.image_size=32", "ckpt_path=last", "fit", "--x"),
    *("experiment=finetune", "finetune.freeze=backbone", "--trainer.max_epochs", "3", "=", "a=b"),
)


@pytest.mark.parametrize("count", [200, MANY])
@pytest.mark.filterwarnings("ignore")  # the parser's, of what is deprecated in it
@pytest.mark.usefixtures("elsewhere")
def test_training_command_lines(count: int) -> None:
    def read(chance: random.Random) -> None:
        words = [chance.choice(TRAINING) for _ in range(chance.randint(0, 4))]
        if words and chance.random() < 0.7:
            at = chance.randrange(len(words))
            name = words[at].partition("=")[0]
            words[at] = chance.choice(
                [
                    damaged(words[at].encode(), chance).decode("utf-8", "surrogateescape"),
                    f"{name}={chance.choice(CALLS)}",
                    f"{name}={chance.choice(HOSTILE)}",
                ]
            )
        assert grammar.translate(words, CONFIGS)
        if chance.random() < 0.05 and not {"--help", "-h", "--print_config"} & set(words):
            assert parse(*words)  # which takes a second

    assert 0.02 < share_taken(count, read) < 0.95
