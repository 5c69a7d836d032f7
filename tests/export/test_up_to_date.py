"""Export and measurement do what is left, and only that."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

from src import formats
from src.benchmark import up_to_date as measured
from src.benchmark.options import BenchmarkOptions
from src.bundle.packages import Software
from src.bundle.stage import _measured
from src.cli.stage_command import parse
from src.data.preprocessing import Preprocessing
from src.errors import LightshipError, UsageError
from src.export import stage, up_to_date
from src.export.options import ExportOptions
from src.export.source import Checkpoint
from src.models.network import NetworkSpec
from src.predict.exported import files_now, recommended, require_known
from src.report.writers import cards
from src.run import fingerprint
from src.run.folder import Run
from src.run.layout import as_dict
from src.run.manifest import Export, Manifest
from src.run.reading import convert
from src.system import environments
from tests.export.drawn_images import DrawnImages
from tests.report.planted import of_version_1
from tests.report.planted import results as table_results
from tests.report.planted import row as table_row

DATA = DrawnImages(Preprocessing(32), 4, [str(label) for label in range(10)])
SPEC = NetworkSpec("squeezenet1_1", 10, {})


def save(run: Run, seed: int) -> None:
    torch.manual_seed(seed)
    run.best_checkpoint.parent.mkdir(parents=True, exist_ok=True)
    weights = {f"network.{name}": value for name, value in SPEC.build().state_dict().items()}
    ours = {
        "model": "small",
        "network": SPEC.to_dict(),
        "class_names": [str(label) for label in range(10)],
    }
    torch.save({"epoch": seed, "state_dict": weights, "lightship": ours}, run.best_checkpoint)


def bundled_figures(run: Run, *, embedded: bool) -> tuple[Any, Any]:
    """Return the row and the data set in a bundle of eager, whose packages are not compared."""
    return _measured(run, run.read_manifest(), "eager", Software((), ()), embedded=embedded)


def export(run: Run, **options: Any) -> list[str]:
    """Export, and which formats were written for it."""
    made = []

    def export_one(name: str, *args: Any, **given: Any) -> Export:
        # What is being replaced is in no manifest meanwhile.
        assert name not in json.loads(run.manifest.read_text())["formats"]
        made.append(name)
        return real(name, *args, **given)

    real = stage.export_one
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "export_one", export_one)
        chosen = ExportOptions(**{"formats": ["eager", "torchscript"], **options})
        checkpoint = Checkpoint.read(run.best_checkpoint)
        manifest = stage.export_run(run, checkpoint, DATA, chosen, lambda *_: None)
    assert manifest == run.read_manifest()
    assert set(chosen.formats) <= set(manifest.formats)
    return made


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(tmp_path_factory.mktemp("exported") / "small" / "version_0")
    save(run, 0)
    assert export(run) == ["eager", "torchscript"]
    return run


@pytest.fixture
def run(exported: Run, tmp_path: Path) -> Run:
    """A copy of the exported run, which a test may change."""
    return Run(shutil.copytree(exported.folder, tmp_path / "small" / "version_0"))


def test_what_is_whole_is_kept(run: Run) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.exports.rglob("*")}
    assert export(run) == []
    after = {path: path.stat().st_mtime_ns for path in run.exports.rglob("*")}
    assert {path.name for path in after if after[path] != before.get(path)} <= {
        "manifest.json",
        "exports",
    }
    assert export(run, again=True) == ["eager", "torchscript"]


def test_what_is_not_whole_is_made_again(run: Run) -> None:
    file = run.exports / "torchscript" / "model.pt"
    file.write_bytes(file.read_bytes()[:-1])
    assert export(run) == ["torchscript"]
    (run.exports / "eager" / "model.safetensors").unlink()
    assert export(run) == ["eager"]
    probe = run.exports / stage.PROBE
    for spoil in (probe.unlink, lambda: probe.write_bytes(b"another")):
        spoil()
        assert export(run) == ["eager", "torchscript"]
        assert export(run) == []


def test_formats_that_are_not_named_stay_in_the_record(tmp_path: Path) -> None:
    run = Run(tmp_path / "small" / "version_0")
    save(run, 0)
    assert export(run, formats=["torchscript"]) == ["torchscript"]
    before = run.read_manifest()
    assert export(run, formats=["eager"]) == ["eager"]
    after = run.read_manifest()
    assert list(after.formats) == ["torchscript", "eager"]
    assert after.formats["torchscript"] == before.formats["torchscript"]
    # Neither again=true nor an option of one export says anything about the files of another.
    for options in ({"again": True}, {"max_accuracy_drop": 0.05}):
        assert export(run, formats=["eager"], **options) == ["eager"]
        assert run.read_manifest().formats["torchscript"] == before.formats["torchscript"]
    assert export(run) == ["eager"]


def _of_other_weights(run: Run) -> None:
    save(run, 1)


def _with_a_changed_file(run: Run) -> None:
    (run.exports / "torchscript" / "model.pt").write_bytes(b"changed")


def _without_the_folder(run: Run) -> None:
    shutil.rmtree(run.exports / "torchscript")


def _that_failed(run: Run) -> None:
    manifest = as_dict(run.read_manifest())
    manifest["formats"]["torchscript"].update(status="failed", reason="no memory")
    run.manifest.write_text(json.dumps(manifest))


def _of_a_format_that_is_gone(run: Run) -> None:
    manifest = json.loads(run.manifest.read_text())
    manifest["formats"]["from_elsewhere"] = manifest["formats"].pop("torchscript")
    run.manifest.write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "spoil",
    [
        *(_of_other_weights, _with_a_changed_file, _without_the_folder),
        *(_that_failed, _of_a_format_that_is_gone),
    ],
)
def test_a_record_lists_no_file_that_is_not_of_it(spoil: Callable[[Run], None], run: Run) -> None:
    spoil(run)
    told: list[str] = []
    chosen = ExportOptions(formats=["eager"])
    checkpoint = Checkpoint.read(run.best_checkpoint)
    stage.export_run(run, checkpoint, DATA, chosen, lambda what, *_: told.append(what))
    assert list(run.read_manifest().formats) == ["eager"]
    assert any(line.startswith("no longer listed: ") for line in told)


def test_other_calibration_images_are_of_another_record(run: Run) -> None:
    assert export(run, formats=["eager"], calibration_images=2) == ["eager"]
    assert list(run.read_manifest().formats) == ["eager"]


def test_only_the_failure_of_a_named_format_fails_the_command(run: Run) -> None:
    manifest = as_dict(run.read_manifest())
    manifest["formats"]["torchscript"].update(status="failed", reason="no memory")
    failed = convert(manifest, Manifest)
    stage.require_success(failed, ["eager"])
    with pytest.raises(LightshipError, match=r"1 failed \(torchscript\)"):
        stage.require_success(failed, ["eager", "torchscript"])


def test_no_card_of_an_earlier_file_is_beside_a_new_one(run: Run) -> None:
    cards.write(run)
    card = run.exports / "torchscript" / "README.md"
    assert card.is_file()
    save(run, 1)
    assert export(run) == ["eager", "torchscript"]
    assert not card.exists()
    cards.write(run)
    assert card.is_file()


def test_what_a_user_put_beside_an_export_stays(run: Run) -> None:
    notes = [run.exports / "eager" / "notes.txt", run.exports / "eager_embedded" / "notes.txt"]
    for path in notes:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    before = run.read_manifest().formats["eager"].files
    assert export(run, again=True) == ["eager", "torchscript"]
    assert [path.read_text() for path in notes] == ["mine", "mine"]
    assert run.read_manifest().formats["eager"].files == before


def test_a_format_that_failed_is_tried_again(run: Run) -> None:
    manifest = as_dict(run.read_manifest())
    manifest["formats"]["eager"]["status"] = "failed"
    run.manifest.write_text(json.dumps(manifest))
    assert export(run) == ["eager"]
    run.manifest.write_text("{")
    assert export(run) == ["eager", "torchscript"]


def test_other_weights_and_other_options_make_other_files(run: Run) -> None:
    assert export(run, max_accuracy_drop=0.5) == ["eager", "torchscript"]
    save(run, 1)
    assert export(run) == ["eager", "torchscript"]
    assert run.read_manifest().checkpoint.epoch == 1


_OF_THE_FILE = ("format", "device", "precision", "size_bytes", "files", "sha256", "status")


def measurement(run: Run, options: BenchmarkOptions) -> dict[str, Any]:
    from dataclasses import asdict

    from src.benchmark.environment.description import describe
    from src.benchmark.plan import planned

    rows = [
        {**table_row(each.name), **{name: getattr(each.figures, name) for name in _OF_THE_FILE}}
        for each in planned(run.read_manifest())
    ]
    return {
        **table_results(*rows),
        "measured_at": "2026-01-01",
        "checkpoint": as_dict(run.read_manifest().checkpoint),
        "options": asdict(options),
        "environment": as_dict(describe(options.effective_threads)),
    }


def test_a_measurement_of_the_same_files_is_found(run: Run) -> None:
    options = BenchmarkOptions(threads=1)

    def scored() -> str:
        return "a" * 64

    assert measured.find(run, options, scored) is None
    results = measurement(run, options)
    results["run"] = run.name
    run.benchmark.write_text(json.dumps(results))
    assert measured.find(run, options, scored) == run.read_benchmark()
    assert measured.find(run, BenchmarkOptions(threads=1, strict=True), scored)
    assert measured.find(run, BenchmarkOptions(threads=1, rounds=3), scored) is None
    for change in (
        {"environment": {**results["environment"], "cpu": "another"}},
        {"rows": [{**results["rows"][0], "status": "failed"}, *results["rows"][1:]]},
        {"rows": results["rows"][1:]},
        {"checkpoint": {**results["checkpoint"], "sha256": "another"}},
        {"environment": None},
        {"dataset": {**results["dataset"], "sha256": "another"}},
        of_version_1(results),  # which does not say what was scored
    ):
        run.benchmark.write_text(json.dumps({**results, **change}))
        assert measured.find(run, options, scored) is None, change
    run.benchmark.write_text(json.dumps(results))
    shutil.rmtree(run.exports / "torchscript")
    export(run, formats=["eager"])
    assert measured.find(run, options, scored) is None
    export(run, again=True)
    run.benchmark.write_text(json.dumps(measurement(run, options)))
    assert measured.find(run, options, scored) is not None
    turned(run.exports / "eager" / "model.safetensors")
    assert measured.find(run, options, scored) is None


def write_measurement(run: Run) -> None:
    results = measurement(run, BenchmarkOptions(threads=1))
    advice = {**table_results()["recommendation"]["cpu"], "format": "eager"}
    results["rows"] = [row for row in results["rows"] if row["device"] == "cpu"]
    results |= {"recommended": {"cpu": "eager"}, "recommendation": {"cpu": advice}}
    run.benchmark.write_text(json.dumps(results))


def hashes_now(run: Run) -> dict[str, str | None]:
    return fingerprint.of(files_now(run, run.read_manifest(), "eager"))


def measure_as_it_is(run: Run) -> None:
    results = as_dict(run.read_benchmark())
    row = next(row for row in results["rows"] if row["format"] == "eager")
    row["sha256"] = hashes_now(run)
    run.benchmark.write_text(json.dumps(results))


def exchanged(path: Path) -> None:
    path.write_bytes(bytes(reversed(path.read_bytes())))  # of the same size


def lengthened(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"0")


def shortened(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def turned(path: Path) -> None:
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # one bit, by a failing disk


@pytest.mark.parametrize("change", [exchanged, lengthened, shortened, turned, Path.unlink])
def test_what_was_changed_after_its_export_is_neither_used_nor_recommended(
    run: Run, change: Callable[[Path], object]
) -> None:
    write_measurement(run)
    manifest = run.read_manifest()
    require_known(run, manifest, "eager")
    assert recommended(run, "cpu") == "eager"
    assert bundled_figures(run, embedded=False)[0] is not None
    change(run.exports / "eager" / "model.safetensors")
    with pytest.raises(UsageError, match=r"format: expected the files of eager as they were"):
        require_known(run, manifest, "eager")
    with pytest.raises(UsageError, match=r"measure again with python -m src\.benchmark"):
        recommended(run, "cpu")
    assert bundled_figures(run, embedded=False) == (None, None)


def test_what_was_changed_and_measured_since_is_used(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_measurement(run)
    exchanged(run.exports / "eager" / "model.safetensors")
    measure_as_it_is(run)
    require_known(run, run.read_manifest(), "eager")
    assert recommended(run, "cpu") == "eager"
    assert bundled_figures(run, embedded=False)[0] is not None
    # What its preprocessing was put into is what was exported, which was not measured.
    assert bundled_figures(run, embedded=True) == (None, None)
    # A bundle has no figures of other packages than those that it names.
    environment = SimpleNamespace(has_run=lambda identity: identity == "planted-1")
    monkeypatch.setattr(type(formats.get("eager")), "environment", environment)
    assert capsys.readouterr().err == ""
    assert bundled_figures(run, embedded=False) == (None, None)
    assert "warning: eager was measured with other packages" in capsys.readouterr().err
    results = as_dict(run.read_benchmark())
    next(row for row in results["rows"] if row["format"] == "eager")["environment"] = "planted-1"
    run.benchmark.write_text(json.dumps(results))
    assert bundled_figures(run, embedded=False)[0] is not None


def test_what_was_exported_anew_is_not_taken_for_what_was_measured(run: Run) -> None:
    write_measurement(run)
    save(run, 1)
    export(run)
    require_known(run, run.read_manifest(), "eager")
    with pytest.raises(UsageError, match="was measured with other files"):
        recommended(run, "cpu")
    assert bundled_figures(run, embedded=False) == (None, None)


def test_a_card_has_no_figures_of_another_file(run: Run) -> None:
    write_measurement(run)
    cards.write(run)
    card = run.exports / "eager" / "README.md"
    assert "Nothing was measured" not in card.read_text()
    lengthened(run.exports / "eager" / "model.safetensors")
    cards.write(run)
    assert "Nothing was measured of this very file yet" in card.read_text()
    assert str(hashes_now(run)["model.safetensors"]) in card.read_text()
    measure_as_it_is(run)
    cards.write(run)
    assert "Nothing was measured" not in card.read_text()


def test_a_stage_alone_has_the_options_of_its_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {
        "export": {
            "enabled": True,
            "preflight": False,
            "formats": ["eager"],
            "onnx_int8": {"target": "arm", "search_seconds": 0.0},
        },
        "benchmark": {"enabled": True, "max_accuracy_drop": 0.25, "rounds": 7},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.setattr(sys, "argv", ["src.export", str(tmp_path), "calibration_images=5"])
    _, chosen = parse("export", None, ExportOptions)
    assert (chosen.formats, chosen.calibration_images) == (["eager"], 5)
    assert (chosen.onnx_int8.target, chosen.max_accuracy_drop) == ("arm", 0.25)
    monkeypatch.setattr(sys, "argv", ["src.benchmark", str(tmp_path), "benchmark=quick"])
    _, other = parse("benchmark", None, BenchmarkOptions)
    assert other.max_accuracy_drop == 0.25
    assert other.rounds == 3


@pytest.mark.parametrize("text", ["[1, 2]", "export: {formats: 3}", "export: [", "export: 5"])
def test_a_configuration_that_is_damaged_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    (tmp_path / "config.yaml").write_text(text)
    monkeypatch.setattr(sys, "argv", ["src.export", str(tmp_path)])
    with pytest.raises(UsageError):
        parse("export", None, ExportOptions)


def test_the_network_is_looked_at_once_for_each_checkpoint(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(run, 1)
    looks = []
    real = stage.examine
    monkeypatch.setattr(stage, "examine", lambda *args: looks.append(args) or real(*args))

    def export_with_look(**options: Any) -> Manifest:
        return stage.export_run(
            run,
            Checkpoint.read(run.best_checkpoint),
            DATA,
            ExportOptions(formats=["eager"], **options),
            lambda *_: None,
        )

    first = export_with_look()
    assert first.health is not None
    assert first.health.images == 5
    assert run.read_manifest().health == first.health
    assert export_with_look().health == first.health
    assert len(looks) == 1
    export_with_look(again=True)
    assert len(looks) == 2


def test_data_with_other_classes_are_refused(run: Run) -> None:
    before = run.manifest.read_bytes()
    birds = DrawnImages(Preprocessing(32), 4, [str(label) for label in range(9)] + ["bird"])
    with pytest.raises(UsageError, match="found bird in addition and no 9"):
        stage.export_run(
            run,
            Checkpoint.read(run.best_checkpoint),
            birds,
            ExportOptions(formats=["eager"]),
            lambda *_: None,
        )
    assert run.manifest.read_bytes() == before


HEAD = {
    "schema_version": 1,
    "run": "small/version_0",
    "model": "small",
    "parameters": 10,
    "macs": 20,
    "input_shape": [3, 32, 32],
    "num_classes": 2,
    "class_names": ["cat", "dog"],
    "preprocessing": {
        "image_size": 32,
        "resize": "crop",
        "mean": [0.5, 0.4, 0.3],
        "std": [0.2, 0.2, 0.2],
        "interpolation": "bicubic",
        "crop_share": 0.9,
        "color": "RGB",
        "scale": 1 / 255,
        "layout": "NCHW",
    },
    "origin": {"dataset": "pets", "images": 99, "licence": None, "pretrained": True},
    "checkpoint": {"path": "checkpoints/best.ckpt", "sha256": "a" * 64, "epoch": 3},
    "calibration": {"split": "train", "images": 1, "images_sha256": ["b" * 64]},
    "judging": {"split": "train", "images": 0},
    "health": None,
    "formats": {},
}


@pytest.mark.parametrize(
    ("name", "origin"),
    [
        ("eager", "54ba2efe1ce371c4190bf96ccaf77feb3cd0d2df491154072e5daa816e3fa5b0"),
        ("onnx_int8", "b9179186046ae050c939f94638ea4d7a5c7d85cc55c3d5fb73bbf7195951d3f5"),
    ],
)
def test_the_origin_of_files_has_the_hash_that_earlier_exports_wrote(
    name: str, origin: str
) -> None:
    manifest = convert(HEAD, Manifest)
    assert up_to_date.made_from(manifest, None, ExportOptions(), name) == origin


def test_another_lock_makes_other_files_of_its_format_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "ROOT", tmp_path)
    names = ("mnn", "litert", "litert_int8", "eager")

    def origins() -> dict[str, str]:
        manifest = convert(HEAD, Manifest)
        return {name: up_to_date.made_from(manifest, None, ExportOptions(), name) for name in names}

    for name in ("mnn", "litert"):
        (tmp_path / f"{name}.lock").write_text(name)
    before = origins()
    assert origins() == before
    (tmp_path / "litert.lock").write_text("another")
    changed = origins()
    assert {name for name in names if changed[name] != before[name]} == {"litert", "litert_int8"}
    (tmp_path / "mnn.lock").unlink()  # the export tells it
    assert origins()["mnn"] != before["mnn"]


@pytest.mark.parametrize(
    ("details", "is_told"),
    [
        ({"target": "vnni"}, True),
        ({"target": "vnni", "asked_for": "auto"}, True),
        ({"target": "vnni", "asked_for": "vnni"}, False),
        ({"target": "avx2"}, False),
        ({"target": ["vnni"]}, False),
        ({"target": "vnni", "of_twin": True}, False),
        ({}, False),
    ],
)
def test_a_file_of_another_kind_of_processor_stays_and_is_told(
    run: Run, monkeypatch: pytest.MonkeyPatch, details: dict[str, Any], is_told: bool
) -> None:
    monkeypatch.setattr(up_to_date, "this_processor", lambda: "avx2")
    content = as_dict(run.read_manifest())
    content["formats"]["eager"]["details"] = details
    run.manifest.write_text(json.dumps(content))
    lines: list[str] = []

    def report(text: str, *_: object) -> None:
        lines.append(text)

    options = ExportOptions(formats=["eager", "torchscript"])
    stage.export_run(run, Checkpoint.read(run.best_checkpoint), DATA, options, report)
    told = [line for line in lines if line.startswith("eager was made for vnni, and this ")]
    assert len(told) == is_told
    assert all(line.endswith("again=true makes it for this one") for line in told)


@pytest.mark.parametrize(
    ("precision", "asked", "is_told"), [("int8", 5, True), ("int8", 4, False), ("fp32", 5, False)]
)
def test_fewer_calibration_images_than_were_asked_for_are_told(
    run: Run, monkeypatch: pytest.MonkeyPatch, precision: str, asked: int, is_told: bool
) -> None:
    monkeypatch.setattr(type(formats.get("eager")), "precision", precision)
    options = ExportOptions(formats=["eager"], calibration_images=asked)
    lines: list[str] = []

    def report(text: str, *_: object) -> None:
        lines.append(text)

    stage.export_run(run, Checkpoint.read(run.best_checkpoint), DATA, options, report)
    told = [line for line in lines if line.startswith("calibrating on 4 images, for the training ")]
    assert len(told) == is_told
