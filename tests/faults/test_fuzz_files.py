"""Thousands of damaged or mutated files: each is accepted or refused in one line.

No other traceback, no hang, no call of foreign code. With the marker ``faults`` there are 10,000 of
each kind, else a few; docs/reliability.md has the results.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from src.benchmark import up_to_date
from src.benchmark.options import BenchmarkOptions
from src.benchmark.plan import planned
from src.bundle.card import Shipment
from src.bundle.card import card as bundle_card
from src.compare import page as comparison_page
from src.compare import regression
from src.compare.collection import Measured
from src.compare.comparison import Comparison
from src.data.preprocessing import Preprocessing
from src.errors import UsageError
from src.export.source import Checkpoint
from src.formats.base import Bundling
from src.report.sections.report import report_of
from src.report.writers import tensorboard
from src.report.writers.console import report_table
from src.run import class_names
from src.run.folder import Run
from src.run.layout import as_dict
from src.run.manifest import Manifest
from src.run.reading import convert
from src.run.results import VERSION, Results
from tests.compare.test_regression import measurement
from tests.faults.fuzzing import MANY, share_accepted
from tests.faults.mutation import HOSTILE, as_json, damaged, valid_mutation
from tests.report.pages import card, html_page, markdown_page
from tests.report.planted import FAILED, latency, results, row, there
from tests.report.writers.test_cards import manifest
from tests.support import canary
from tests.support.checkpoints import checkpoint_bytes, checkpoint_content
from tests.test_foreign_text import planted

pytestmark = pytest.mark.usefixtures("no_hang_and_no_call")

UNTRIED = {
    "status": "skipped",
    "reason": "not here",
    "accuracy": None,
    "verdict": None,
    "changed": None,
}
MEASURED = results(
    row("eager", verdict=None, accuracy={"images": 9, "top1": 0.9, "top5": 1.0, "ece": 0.1}),
    row(
        "onnx_int8",
        precision="int8",
        latency=[latency(1, 0.01, unstable=["busy"])],
        instruction_sets=[there(), there("avx512", **UNTRIED)],
    ),
    row("onnx_fp32", **FAILED),
)


MEASURED["recommendation"]["cpu"]["inconclusive"] = [{"format": "onnx_int8", "images_needed": 9}]


SHIPMENT = Shipment(Bundling("runtime_onnxruntime", ("model.onnx",), ("onnxruntime",)))
EXPORTED = manifest()


EXPORTED["formats"] = dict(zip(("eager", "onnx_int8"), EXPORTED["formats"].values(), strict=True))


@pytest.mark.parametrize("count", [200, MANY])
def test_mutated_measurements_are_accepted_or_refused_in_one_line(
    tmp_path: Path, count: int
) -> None:
    run = Run(tmp_path)
    screen = Console(file=io.StringIO(), width=100)

    def read(chance: random.Random) -> None:
        run.benchmark.write_bytes(as_json(MEASURED, chance))
        measured = run.read_benchmark()
        assert markdown_page(measured, ["size"])
        report = report_of(measured)
        screen.print(report_table(report))
        assert len(report.recommendation) == len(measured.recommendation)
        assert Comparison.of([Measured("one", run.benchmark, measured)], None, None).rows()
        if chance.random() < 0.02:  # drawing is slow
            assert html_page(measured, run.flipped)

    assert 0.02 < share_accepted(count, read) < 0.9


@pytest.mark.parametrize("count", [30, MANY])
@pytest.mark.filterwarnings("ignore")  # matplotlib: glyphs missing in its font
def test_valid_mutated_measurements_can_be_reported_and_compared(
    tmp_path: Path, count: int
) -> None:
    """Every valid measurement can be shown on each page and compared with any other."""
    run, screen = Run(tmp_path), Console(file=io.StringIO(), width=100)
    timed = [measurement(1), measurement(2, onnx_int8=1.2)]
    for cell in (file["latency"][0] for content in timed for file in content["rows"]):
        cell["seconds"] = {number: calls[:2] for number, calls in cell["seconds"].items()}
    kinds = [MEASURED, planted("x"), results(), *timed]

    def read(chance: random.Random) -> None:
        measured = []
        for _ in range(2):
            content = valid_mutation(chance.choice(kinds), chance, Results)
            version = VERSION if content.get("schema_version") == VERSION else 1
            run.benchmark.write_text(json.dumps({**content, "schema_version": version}))
            measured.append(Measured(f"run {len(measured)}", run.benchmark, run.read_benchmark()))
        one, other = (item.results for item in measured)
        with contextlib.suppress(UsageError):  # two machines, or other images
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
        with contextlib.suppress(UsageError):  # no common batch size
            comparison = Comparison.of(measured, None, 1.0)
            assert comparison_page.markdown_page(comparison)
            assert not draws or comparison_page.html_page(comparison)
        assert card("onnx", manifest(), one)

    assert share_accepted(count, read) == 1


@pytest.mark.parametrize("count", [60, MANY])
def test_valid_mutated_manifests_can_be_used_by_every_stage(tmp_path: Path, count: int) -> None:
    run = Run(tmp_path)
    run.exports.mkdir()
    measured = results(row("onnx_int8"))

    def read(chance: random.Random) -> None:
        content = valid_mutation(EXPORTED, chance, Manifest)
        run.manifest.write_text(json.dumps({**content, "schema_version": 1}))
        exported = run.read_manifest()
        for name in exported.formats:
            assert card(name, exported, measured)
        scored = convert(measured, Results)
        assert bundle_card(
            exported, "x", scored.rows[0], scored.dataset, "x.png", shipment=SHIPMENT
        )
        assert Preprocessing.of(exported.preprocessing).input_shape
        run.benchmark.write_text(json.dumps(measured))
        with contextlib.suppress(UsageError):  # an unknown format
            assert planned(exported) or not exported.formats
            assert up_to_date.find(run, BenchmarkOptions(), lambda: None) is None

    assert share_accepted(count, read) == 1


@pytest.mark.parametrize("count", [200, MANY])
def test_mutated_manifests_are_accepted_or_refused_in_one_line(tmp_path: Path, count: int) -> None:
    run = Run(tmp_path)
    run.exports.mkdir()

    def read(chance: random.Random) -> None:
        run.manifest.write_bytes(as_json(EXPORTED, chance))
        exported = run.read_manifest()
        for name in exported.formats:
            assert card(name, exported, None)
            inside = (run.exports / name).resolve()
            assert inside.is_relative_to(run.exports.resolve())
            for file in exported.formats[name].files:
                assert (inside / file.path).resolve().is_relative_to(inside)
        assert bundle_card(exported, "onnx_int8", None, None, "test_image.png", shipment=SHIPMENT)
        with contextlib.suppress(UsageError):  # an unknown format
            assert planned(exported)

    assert 0.02 < share_accepted(count, read) < 0.9


def with_changed_members(content: bytes, change: Callable[[str, bytes], bytes]) -> bytes:
    """Return a valid archive of a checkpoint with some members changed."""
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(written, "w") as target:
        for name in source.namelist():
            target.writestr(name, change(name, source.read(name)))
    return written.getvalue()


@pytest.mark.parametrize("count", [200, MANY])
@pytest.mark.filterwarnings("ignore")  # torch: names in a damaged file
def test_damaged_checkpoints_are_accepted_or_refused_in_one_line(
    tmp_path: Path, count: int
) -> None:
    valid = checkpoint_bytes(checkpoint_content())
    path = tmp_path / "best.ckpt"

    def read(chance: random.Random) -> None:
        kind = chance.randrange(5)
        if kind == 0:
            path.write_bytes(damaged(valid, chance))
        elif kind == 1:  # in the pickle, which names the functions to call
            path.write_bytes(
                with_changed_members(
                    valid, lambda name, old: damaged(old, chance) if "pkl" in name else old
                )
            )
        elif kind == 2:  # any member
            name_changed = chance.choice(["data.pkl", "data/0", "version", "byteorder"])
            path.write_bytes(
                with_changed_members(
                    valid,
                    lambda name, old: damaged(old, chance) if name.endswith(name_changed) else old,
                )
            )
        elif kind == 3:  # a wrong value
            content = checkpoint_content()
            place = chance.choice([content, content["lightship"], content["lightship"]["network"]])
            place[chance.choice(list(place))] = chance.choice(HOSTILE)
            path.write_bytes(checkpoint_bytes(content))
        else:  # a call
            content = checkpoint_content()
            place = chance.choice([content, content["lightship"], content["state_dict"]])
            place[chance.choice(list(place))] = canary.Canary.__new__(canary.Canary)
            path.write_bytes(checkpoint_bytes(content))
        restored = Checkpoint.read(path)
        assert class_names.first_problem(restored.class_names) is None
        if chance.random() < 0.1:  # building a network is slow
            restored.network()

    # The damage may be in a part that is never read.
    assert 0.02 < share_accepted(count, read) < 0.9
