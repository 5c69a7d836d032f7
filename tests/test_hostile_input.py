"""Files and names from strangers: each is refused in one line, and no code of theirs is run."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from rich.console import Console

from src.bundle.options import BundleOptions
from src.bundle.stage import bundle
from src.cli import app
from src.data.datasets.csv_file import CSVFile
from src.data.restore import data_of
from src.errors import UsageError
from src.export import reference_outputs
from src.export.source import Checkpoint
from src.predict import images
from src.report.writers.console import report_table
from src.report.writers.tensorboard import write
from src.run import class_names
from src.run.folder import Run
from src.system import console
from tests.report.pages import markdown_page, report
from tests.report.planted import results, row
from tests.report.writers.test_cards import manifest
from tests.support import canary
from tests.support.checkpoints import checkpoint_bytes, checkpoint_content


@pytest.fixture(autouse=True)
def _no_call() -> Iterator[None]:
    canary.calls.clear()
    yield
    assert not canary.calls


BAD_NAMES = {
    "control": "cat\x1b[2Jdog",
    "end of line": "cat\ndog",
    "turning": "cat\u202egod",
    "separator": "../../cat",
    "other separator": "..\\cat",
    "parent": "..",
    "long": "c" * 10_000,
    "half a character": "\ud800",
    "empty": "  ",
    "no text": 3,
}


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_harmful_class_name_is_refused(tmp_path: Path, name: str) -> None:
    bad = BAD_NAMES[name]
    assert class_names.problem(bad)
    content = checkpoint_content()
    content["lightship"]["class_names"] = ["dog", bad]
    (tmp_path / "x.ckpt").write_bytes(checkpoint_bytes(content))
    with pytest.raises(UsageError, match=r"x.ckpt: expected a whole checkpoint.*class"):
        Checkpoint.read(tmp_path / "x.ckpt")
    run = Run(tmp_path)
    run.exports.mkdir()
    run.manifest.write_text(json.dumps(manifest(class_names=["dog", bad])))
    with pytest.raises(UsageError, match=r"manifest.json: expected .*class"):
        run.read_manifest()


@pytest.mark.parametrize("name", ["cat", "ネコ", "क्\u200dष", "x" * 255, "chain saw", "<b>&'\"$"])
def test_a_class_may_have_a_name_in_any_script(name: str) -> None:
    assert class_names.problem(name) is None


def test_a_label_of_10_000_characters_in_a_csv_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("path,label\na.png,cat\nb.png," + "x" * 10_000 + "\n")
    with pytest.raises(UsageError, match=r"data.label_column: expected class names of up to 255"):
        _ = CSVFile(str(file)).class_names


MARKUP = ["<script>alert(1)</script>", "[/red]x[bold]", "a|b", "${x}$", "{0.__class__}"]


def test_markup_in_a_name_is_text_everywhere(tmp_path: Path) -> None:
    measured = results(row("eager"), row("other"))
    measured["class_names"] = [*MARKUP, *map(str, range(5))]
    measured["run"] = measured["environment"]["cpu"] = MARKUP[0] + MARKUP[1]
    for each in measured["rows"]:
        each["accuracy"]["worst_class"]["name"] = MARKUP[0]
    assert MARKUP[0] not in markdown_page(measured).replace(measured["run"], "")
    screen = Console(file=io.StringIO(), markup=False, width=200)
    screen.print(report_table(report(measured)))
    assert MARKUP[1] in screen.file.getvalue()  # type: ignore[attr-defined]
    write(report(measured), tmp_path, {"model": {"name": MARKUP[0]}}, {})
    events = b"".join(path.read_bytes() for path in tmp_path.glob("events*"))
    assert b"&lt;script>" in events  # in the tables, which are shown as Markdown


def test_console_markup_in_messages_is_printed_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    with console.StageDisplay(screen := console.open_console()) as report:
        report("exporting", "[/red]", 1, 2)
    screen.print("RuntimeError: [enforce fail at x.cpp:1] [/red]", soft_wrap=True)
    assert "[enforce fail at x.cpp:1] [/red]" in capsys.readouterr().out


OBJECTS = (
    "!!python/object/apply:tests.support.canary.record_call [x]",
    "!!python/object:tests.support.canary.Canary {}",
    "!!python/name:tests.support.canary.record_call",
)


@pytest.mark.parametrize("asked", OBJECTS)
def test_yaml_that_asks_for_python_objects_is_refused(
    tmp_path: Path, elsewhere: Path, asked: str
) -> None:
    (tmp_path / "config.yaml").write_text(f"data: {{class_path: {asked}}}\n")
    with pytest.raises(UsageError, match=r"config.yaml: expected plain values in YAML"):
        data_of(Run(tmp_path))
    (tmp_path / "mine.yaml").write_text(f"seed_everything: {asked}\n")
    with pytest.raises(UsageError):
        app.main(["--config", str(tmp_path / "mine.yaml")])


def test_yaml_whose_aliases_multiply_is_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 20)
    ]
    (tmp_path / "config.yaml").write_text("\n".join(lines))
    with pytest.raises(UsageError, match="more than 100000 values"):
        Run(tmp_path).read_config()


@pytest.mark.parametrize(
    "options",
    [
        {"image_size": {"class_path": "tests.support.canary.Canary"}},
        {"mean": [{"class_path": "tests.support.canary.Canary", "init_args": {}}]},
        {"augment": {"x": {"class_path": "tests.support.canary.Canary"}}},
    ],
)
def test_a_nested_class_path_in_a_runs_configuration_is_not_imported(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    data = {"class_path": "src.data.datasets.digits.Digits", "init_args": options}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"data": data}))
    with pytest.raises(
        UsageError, match=r"starts with src.data.; found tests.support.canary.Canary"
    ):
        data_of(Run(tmp_path))


@pytest.mark.parametrize("place", ["state_dict", "lightship", "epoch"])
def test_a_checkpoint_with_code_is_refused(tmp_path: Path, place: str) -> None:
    content = {**checkpoint_content(), place: canary.Canary.__new__(canary.Canary)}
    (tmp_path / "x.ckpt").write_bytes(checkpoint_bytes(content))
    with pytest.raises(UsageError, match="expected a whole checkpoint"):
        Checkpoint.read(tmp_path / "x.ckpt")


def entry(**changes: Any) -> dict[str, Any]:
    return {**manifest()["formats"]["onnx"], **changes}


HOSTILE_MANIFESTS = {
    "a format elsewhere": {"formats": {"../../onnx": entry()}},
    "an absolute format": {"formats": {"/opt/onnx": entry()}},
    "a file elsewhere": {"formats": {"onnx": entry(files=[{"path": "../x", "bytes": 1}])}},
    "an absolute file": {"formats": {"onnx": entry(files=[{"path": "/etc/x", "bytes": 1}])}},
    "an embedded folder elsewhere": {
        "formats": {
            "onnx": entry(embedded={"folder": "../..", "files": [], "status": "ok", "reason": None})
        }
    },
    "a checkpoint elsewhere": {
        "checkpoint": {"path": "../../../etc/passwd", "sha256": "", "epoch": 1}
    },
    "an image of any size": {"input_shape": [3, 10**12, 10**12]},
    "a text for a number": {"parameters": "many"},
    "other names than classes": {"num_classes": 10**6},
}


@pytest.mark.parametrize("name", HOSTILE_MANIFESTS)
def test_a_hostile_manifest_is_refused(tmp_path: Path, name: str) -> None:
    run = Run(tmp_path)
    run.exports.mkdir()
    run.manifest.write_text(json.dumps(manifest(**HOSTILE_MANIFESTS[name])))
    with pytest.raises(UsageError, match=r"manifest.json: expected"):
        run.read_manifest()


@pytest.mark.parametrize("link", ["exports", "exports/onnx", "exports/onnx/model"])
def test_a_link_within_the_exports_is_refused(tmp_path: Path, link: str) -> None:
    run = Run(tmp_path / "run")
    (run.exports / "onnx").mkdir(parents=True)
    (run.exports / "onnx" / "model").write_text("weights")
    run.manifest.write_text(json.dumps(manifest()))
    assert run.read_manifest()
    place = run.folder / link
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="RUN: expected files and folders of the run's own"):
        run.read_manifest()
    run.config.touch()
    with pytest.raises(UsageError, match="a link to"):
        bundle(run, BundleOptions(output=str(tmp_path / "x.zip"), format="onnx"))
    assert not (tmp_path / "x.zip").exists()


@pytest.mark.parametrize("name", ["exports", "measurements", "profile", "flipped"])
def test_a_run_with_a_folder_elsewhere_is_not_opened(tmp_path: Path, name: str) -> None:
    (tmp_path / "config.yaml").touch()
    (tmp_path / name).symlink_to("/opt")
    with pytest.raises(UsageError, match="a link to /opt"):
        Run.open(tmp_path)


def test_reference_outputs_that_unpack_to_gigabytes_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "probe.npz"
    monkeypatch.setattr(reference_outputs, "_MOST_BYTES", 2**20)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("images.npy", bytes(2**21))
        package.writestr("logits.npy", b"")
    with pytest.raises(UsageError, match=r"probe.npz: expected the images.*bytes in it"):
        reference_outputs.read(path)


def test_reference_outputs_with_objects_are_refused(tmp_path: Path) -> None:
    bird = np.array([canary.Canary.__new__(canary.Canary)], dtype=object)
    np.savez(tmp_path / "probe.npz", images=bird, logits=bird, allow_pickle=True)
    with pytest.raises(UsageError, match="expected the images and logits"):
        reference_outputs.read(tmp_path / "probe.npz")


def test_a_link_out_of_a_folder_of_images_to_predict_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "secret.png")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "x.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(UsageError, match=r"IMAGE: expected images within .*which leads to"):
        images.find([str(tmp_path / "photos")])
