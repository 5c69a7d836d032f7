"""Thousands of damaged configurations and command lines: each is accepted or refused in one line.

No other traceback, no hang, no call of foreign code. With the marker ``faults`` there are thousands
of each kind, else a few; docs/reliability.md has the results.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import yaml

from src import formats
from src.cli import grammar, stage_command
from src.data.restore import data_of
from src.errors import UsageError
from src.export.options import ExportOptions
from src.run.folder import Run
from tests.cli.test_app import parse
from tests.conftest import CONFIGS
from tests.faults.fuzzing import MANY, share_accepted
from tests.faults.mutation import HOSTILE, damaged

pytestmark = pytest.mark.usefixtures("no_hang_and_no_call")

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
    "!!python/object/apply:tests.support.canary.record_call [x]",
    "!!python/object:tests.support.canary.Canary {}",
    "!!python/name:tests.support.canary.record_call",
    "!!python/module:antigravity",
    "&a [*a, *a]",
    "&a {x: *a}",
    "{class_path: tests.support.canary.Canary}",
    "[" * 2000,
    "!!binary x",
    "!!timestamp 9999-99-99",
)


@pytest.mark.parametrize("count", [20, pytest.param(2000, marks=pytest.mark.faults)])
@pytest.mark.filterwarnings("ignore")  # deprecation warnings of the parser
def test_damaged_run_configurations_are_accepted_or_refused_in_one_line(
    tmp_path: Path, count: int
) -> None:
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

    assert 0.02 < share_accepted(count, read) < 0.9


WORDS = (
    *("RUN", "formats=[eager,onnx_int8]", "calibration_images=16", "export=all", "--help"),
    *("max_accuracy_drop=0.01", "onnx_int8.search_seconds=0", "embed_preprocessing=true"),
    *("--formats", "[eager]", "judging_images", "--onnx_int8.search_seconds=1", "=", "a=b"),
)


@pytest.mark.parametrize("count", [40, MANY])
@pytest.mark.filterwarnings("ignore")
def test_mutated_export_command_lines_are_accepted_or_refused_in_one_line(
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

    assert 0.02 < share_accepted(count, read) < 0.9
    capsys.readouterr()


TRAINING = (
    *("model=convnext_t", "model=resnet34", "data=digits", "trainer=cpu", "export=all", "test"),
    *("benchmark=quick", "model.lr=0.1", "trainer.max_epochs=2", "export.formats=[eager]"),
    *("optimizer=AdamW", "optimizer.lr=0.1", "data.image_size=32", "ckpt_path=last", "fit", "--x"),
    *("experiment=finetune", "finetune.freeze=backbone", "--trainer.max_epochs", "3", "=", "a=b"),
)


@pytest.mark.parametrize("count", [200, MANY])
@pytest.mark.filterwarnings("ignore")  # deprecation warnings of the parser
@pytest.mark.usefixtures("elsewhere")
def test_mutated_training_command_lines_are_accepted_or_refused_in_one_line(count: int) -> None:
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
            assert parse(*words)  # takes a second

    assert 0.02 < share_accepted(count, read) < 0.95
