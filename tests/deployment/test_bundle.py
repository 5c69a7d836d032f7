"""Bundles: a zip file that classifies photos on a machine without torch."""

from __future__ import annotations

import ast
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from src import formats
from src.bundle import decoder as decoders
from src.bundle import stage
from src.bundle.options import BundleOptions
from src.bundle.stage import CONTENTS
from src.cli.commands.bundle import main
from src.data.pipeline import image_file, image_kind
from src.data.pipeline.image_file import read_image
from src.data.preprocessing import Preprocessing
from src.errors import UsageError
from src.run import preprocessing_steps
from src.run.folder import Run
from src.run.layout import as_dict
from src.run.reading import convert
from src.run.row import Row
from src.shipped import predict_images
from src.shipped.jpeg_decoders import MissingDecoderError
from tests.deployment.conftest import Evaluation
from tests.report import planted
from tests.support import damaged_images, photos
from tests.support.bundle_program import predict_module

Evaluated = Callable[[str], Evaluation]
FILES = sorted(
    [
        *("LICENSE-predict.txt", "README.md", "SHA256SUMS", "class_names.json", "expected.json"),
        *("model.json", "model.onnx", "requirements.lock", "requirements.txt"),
        "runtime_onnxruntime.py",
        *(path.name for path in CONTENTS.glob("*.py") if not path.name.startswith("runtime_")),
        *(["sbom.cdx.json"] if importlib.util.find_spec("cyclonedx") else []),
        "test_image.png",
    ]
)
# predict.py as a user runs it, and a look at what it imported.
RUNNER = """
import pathlib, runpy, sys
sys.argv = sys.argv[1:]
sys.path[0] = str(pathlib.Path(sys.argv[0]).parent)  # as Python does for a program
runpy.run_path(sys.argv[0], run_name="__main__")
assert not {FORBIDDEN} & set(sys.modules)
"""
FORBIDDEN = {"torch", "torchvision", "lightning", "src"}


def bundled(run: Run, output: Path, *argv: str) -> Path:
    """Return the folder of an unpacked bundle, which has an exam if ``argv`` says so."""
    if not any(word.startswith("exam=") for word in argv):
        argv = (*argv, "exam=0")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["bundle", str(run.folder), "-o", str(output), *argv])
        main()
    with zipfile.ZipFile(output) as archive:
        archive.extractall(output.parent)
    return output.with_suffix("")


@pytest.fixture(scope="module")
def bundle(run: Run, evaluation: Evaluated, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundled(run, tmp_path_factory.mktemp("plain") / "model.zip", "--format", "onnx_fp32")


def classify(
    bundle: Path, *argv: str | Path, python: str = sys.executable, torch: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run ``predict.py``, which may import ``torch`` or not."""
    forbidden = FORBIDDEN - ({"torch"} if torch else set())
    runner = RUNNER.replace("{FORBIDDEN}", repr(forbidden))
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [python, "-c", runner, bundle / "predict.py", *argv],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


def require_answers_of(
    evaluation: Evaluation, ended: subprocess.CompletedProcess[str], within: float
) -> None:
    assert ended.returncode == 0, ended.stderr
    answers = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
    assert len(answers) == len(evaluation.paths)
    for answer, name, expected in zip(
        answers, evaluation.classes, evaluation.probabilities, strict=True
    ):
        assert answer["top"][0]["class"] == name, answer["image"]
        probabilities = sorted(entry["probability"] for entry in answer["top"])
        assert np.abs(np.array(probabilities) - np.sort(expected)).max() < within


def test_a_bundle_predicts_as_the_evaluation_without_torch(
    bundle: Path, evaluation: Evaluated
) -> None:
    expected = evaluation("onnx_fp32")
    suffixes = {path.suffix for path in expected.paths}
    assert suffixes == {".jpg", ".png"}
    ended = classify(bundle, "--check", "--json", *expected.paths)
    require_answers_of(expected, ended, 1e-6)


def test_a_bundle_with_embedded_preprocessing_predicts_as_the_evaluation(
    run: Run, evaluation: Evaluated, tmp_path: Path
) -> None:
    words = ("format=onnx_fp32", "embedded=true")
    folder = bundled(run, tmp_path / "model.zip", *words)
    expected = evaluation("onnx_fp32")
    require_answers_of(expected, classify(folder, "--check", "--json", *expected.paths), 1e-3)


@pytest.mark.parametrize("name", ["onnx_fp32", "onnx_int8"])
def test_the_expected_answer_of_a_bundle_with_embedded_preprocessing_is_its_own(
    run: Run, started_in: None, tmp_path: Path, name: str
) -> None:
    # It is resized by more than a factor of 5, in the file by other arithmetic than Pillow's.
    Image.fromarray(photos.pixels(151, 177)).save(tmp_path / "large.png")
    words = (f"format={name}", "embedded=true", f"test_image={tmp_path / 'large.png'}")
    folder = bundled(run, tmp_path / "model.zip", *words)
    checked = classify(folder, "--check")
    assert checked.returncode == 0, checked.stderr
    assert "probabilities within 0 of the expected" in checked.stdout


def test_a_bundle_is_reproducible_byte_for_byte(run: Run, bundle: Path) -> None:
    first = bundle.with_suffix(".zip")
    (bundle.parent / "again").mkdir()
    bundled(run, bundle.parent / "again" / "model.zip", "format=onnx_fp32")
    assert (bundle.parent / "again" / "model.zip").read_bytes() == first.read_bytes()
    with zipfile.ZipFile(first) as archive:
        assert archive.namelist() == [f"model/{name}" for name in FILES]


def test_the_card_of_a_bundle_has_the_measured_figures(run: Run, bundle: Path) -> None:
    card = (bundle / "README.md").read_text(encoding="utf-8")
    results = run.read_benchmark()
    row = next(row for row in results.rows if row.format == "onnx_fp32")
    assert row.accuracy is not None
    assert f"{row.accuracy.top1:.2%} of the {results.dataset.images} images" in card
    assert ", ".join(photos.CLASSES) in card
    assert results.checkpoint.sha256 in card
    assert json.loads((bundle / "class_names.json").read_text()) == list(photos.CLASSES)
    assert "No licence was given for the model" in card


def test_the_card_of_an_embedded_bundle_has_the_measured_figures(
    run: Run, evaluation: Evaluated, tmp_path: Path
) -> None:
    folder = bundled(run, tmp_path / "model.zip", "format=onnx_fp32", "embedded=true")
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "This file without its preprocessing inside has the right class" in card


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("onnx_fp32", ["format=onnx_fp32"]),
        ("onnx_fp32", ["format=onnx_fp32", "embedded=true"]),
        ("onnx_fp32_embedded", ["format=onnx_fp32", "embedded=true"]),
    ],
)
def test_a_file_that_was_changed_after_its_export_is_not_bundled(
    run: Run, tmp_path: Path, folder: str, words: list[str]
) -> None:
    copy = Run(tmp_path / "version_7")
    shutil.copytree(run.folder, copy.folder)
    file = copy.exports / folder / "model.onnx"
    file.write_bytes((copy.exports / "onnx_int8" / "model.onnx").read_bytes())
    photos_of_run = f"data.root={run.folder.parents[2] / 'photos'}"
    with pytest.raises(UsageError, match=r"exported.*found model\.onnx is another file"):
        bundled(copy, tmp_path / "model.zip", *words, photos_of_run)
    assert not (tmp_path / "model.zip").exists()


@pytest.mark.parametrize("part", ["file", "record"])
def test_a_file_that_is_exported_again_meanwhile_is_not_bundled(
    run: Run, tmp_path: Path, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Run(tmp_path / "version_7")
    shutil.copytree(run.folder, copy.folder)

    def replaced(*args: Any) -> bytes:
        """The picture of the test image, which is written between the model and its answers."""
        if part == "file":
            (copy.exports / "onnx_fp32" / "model.onnx").write_bytes(b"of other weights")
        else:
            record = json.loads(copy.manifest.read_text())
            record["formats"]["onnx_fp32"]["export_seconds"] = 9.25
            copy.manifest.write_text(json.dumps(record))
        return b"a picture"

    photos_of_run = f"data.root={run.folder.parents[2] / 'photos'}"
    monkeypatch.setattr(stage, "_png", replaced)
    monkeypatch.setattr(stage, "_probabilities", lambda *_: [0.1] * 10)
    with pytest.raises(UsageError, match=r"model\.onnx|was exported again"):
        bundled(copy, tmp_path / "model.zip", "format=onnx_fp32", photos_of_run)
    assert not (tmp_path / "model.zip").exists()


def test_a_model_with_other_predictions_fails_the_bundles_check(
    bundle: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(bundle, tmp_path / "model")
    expected = json.loads((folder / "expected.json").read_text())
    expected["probabilities"] = [value + 0.002 for value in expected["probabilities"]]
    (folder / "expected.json").write_text(json.dumps(expected))
    ended = classify(folder, "--check")
    assert ended.returncode == 1
    assert "error: expected a difference of 0.001 at most" in ended.stderr


def test_a_bundle_names_a_file_that_is_not_an_image(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("hello")
    ended = classify(bundle, tmp_path / "text.jpg")
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"error: {tmp_path / 'text.jpg'}: cannot identify image file")


def test_a_file_that_runs_only_with_this_project_is_not_bundled(run: Run, tmp_path: Path) -> None:
    manifest = run.manifest.read_text()
    run.manifest.write_text(manifest.replace('"onnx_int8"', '"eager"'))
    try:
        with pytest.raises(UsageError, match=r"format: .*the run has onnx_fp32; found eager"):
            bundled(run, tmp_path / "model.zip", "format=eager")
    finally:
        run.manifest.write_text(manifest)
    with pytest.raises(UsageError, match=r"output: expected a .zip file"):
        bundled(run, tmp_path / "model.tar")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [(1, 1_000_000), (700, 11), (2, 90), (3, 4000)])
def test_a_bundle_crops_long_images_as_the_evaluation_does(size: tuple[int, int]) -> None:
    rule = Preprocessing(24, "crop")
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    assert np.array_equal(
        predict_images.preprocess(picture, as_dict(rule.facts())), rule(picture).numpy()
    )


def test_a_bundle_reads_every_kind_of_image_as_training_does(tmp_path: Path) -> None:
    photos.write(tmp_path, 8)
    for path in sorted(tmp_path.rglob("*.*")):
        assert np.array_equal(predict_images.read_image(path), read_image(path)), path


@pytest.mark.parametrize("content", damaged_images.READABLE, ids=lambda content: content.__name__)
def test_a_bundle_reads_damaged_images_as_training_does(
    content: Callable[[], bytes], tmp_path: Path
) -> None:
    (tmp_path / "x.jpg").write_bytes(content())
    assert np.array_equal(
        predict_images.read_image(tmp_path / "x.jpg"), read_image(tmp_path / "x.jpg")
    )


@pytest.mark.parametrize("content", damaged_images.UNREADABLE, ids=lambda content: content.__name__)
def test_any_error_of_a_decoder_is_an_unreadable_image_to_a_bundle(
    content: Callable[[], bytes],
) -> None:
    with pytest.raises(predict_images.UnreadableImageError) as caught:
        predict_images.read_image(io.BytesIO(content()))
    assert "\n" not in str(caught.value)


def test_the_image_limits_of_a_bundle_are_those_of_training() -> None:
    assert predict_images.MOST_PIXELS == image_file.MOST_PIXELS
    assert predict_images.LONGEST_SIDE == image_file.LONGEST_SIDE
    assert (predict_images.LONGEST_RATIO, predict_images.ORIENTATION) == (
        preprocessing_steps.LONGEST_RATIO,
        preprocessing_steps.ORIENTATION,
    )
    assert predict_images.formats() == image_kind.formats()


def test_a_bundle_predicts_the_other_images_after_an_unreadable_one(
    bundle: Path, evaluation: Evaluated, tmp_path: Path
) -> None:
    (tmp_path / "bad.jpg").write_bytes(damaged_images.a_png_of_half_its_bytes())
    first, second = evaluation("onnx_fp32").paths[:2]
    ended = classify(bundle, first, tmp_path / "bad.jpg", second)
    assert [line.partition(": ")[0] for line in ended.stdout.splitlines()] == [
        str(first),
        str(second),
    ]
    assert ended.stderr == f"error: {tmp_path}/bad.jpg: image file is truncated\n"
    assert ended.returncode == 1


def test_a_bundle_ships_a_decoder_that_was_measured_to_keep_the_budget(
    run: Run, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(*pipelines: dict[str, Any]) -> None:
        scored = convert(planted.row("onnx_fp32", pipeline=list(pipelines)), Row)
        monkeypatch.setattr(stage, "_measured", lambda *_, **__: (scored, None))

    argv = ("--format", "onnx_fp32", "decoder=pillow_draft")
    for pipelines, verdict in (
        ([], "not known"),
        ([planted.pipeline()], "not known"),
        ([planted.pipeline(), planted.drafted(answers={"verdict": "fail"})], "fail"),
        (
            [planted.pipeline(), planted.drafted(against_baseline={"verdict": "fail"})],
            "pass, and fail with the losses of onnx_fp32 itself",
        ),
    ):
        measured(*pipelines)
        with pytest.raises(UsageError, match=f"decoder: expected .*whose verdict is {verdict}"):
            bundled(run, tmp_path / "refused.zip", *argv)
    measured(planted.pipeline(), planted.drafted())
    monkeypatch.setattr(stage, "card", lambda *_, **__: "a card")
    shipped = bundled(run, tmp_path / "drafted.zip", *argv)
    assert json.loads((shipped / "decoder.json").read_text()) == {"decoder": "pillow_draft"}
    assert not (bundle / "decoder.json").exists()

    large = tmp_path / "large.jpg"
    Image.fromarray(photos.pixels(600, 800)).save(large)
    program = predict_module()
    drafted, plain = (program.Model(shipped, decoder=decoder) for decoder in (None, "pillow"))
    rule = plain._preprocessing
    at_least = predict_images.least_side("pillow_draft", rule)
    smaller = predict_images.preprocess(predict_images.read_image(large, at_least=at_least), rule)
    assert np.array_equal(drafted.prepare(large), smaller)
    assert not np.array_equal(plain.prepare(large), smaller)
    classified = classify(shipped, large)
    assert classified.returncode == 0, classified.stderr
    with pytest.raises(UsageError, match="decoder: expected pillow with embedded=true"):
        bundled(run, tmp_path / "model.zip", *argv, "embedded=true")


def test_a_bundle_ships_the_fastest_decoder_that_keeps_the_budget(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("simplejpeg")

    def timed(decoder: str, gain: float, **changes: Any) -> dict[str, Any]:
        interval = {"value": gain, "low": gain - 0.2, "high": gain + 0.2, "processes": 5}
        return planted.drafted(over_reference=interval, **changes) | {"decoder": decoder}

    pipelines = [
        planted.pipeline(),
        timed("pillow_draft", 2.0),
        timed("simplejpeg", 2.5),
        timed("opencv", 3.0, answers={"verdict": "inconclusive"}),
        timed("torchvision", 1.1),  # its interval holds 1
    ]
    scored = convert(planted.row("onnx_fp32", pipeline=pipelines), Row)
    monkeypatch.setattr(stage, "_measured", lambda *_, **__: (scored, None))
    shipped = bundled(run, tmp_path / "fast.zip", "--format", "onnx_fp32")
    assert json.loads((shipped / "decoder.json").read_text()) == {"decoder": "simplejpeg"}
    version = metadata.version("simplejpeg")
    wanted = (shipped / "requirements.txt").read_text().splitlines()
    assert [line for line in wanted if line.startswith("simplejpeg>=")]
    assert f"simplejpeg=={version}\n" in (shipped / "requirements.lock").read_text()
    if (shipped / "sbom.cdx.json").is_file():
        bill = json.loads((shipped / "sbom.cdx.json").read_text())
        (part,) = [part for part in bill["components"] if part["name"] == "simplejpeg"]
        assert part["purl"] == f"pkg:pypi/simplejpeg@{version}"
        assert part["licenses"] == [{"license": {"id": "MIT"}}]
    assert "decoded by `simplejpeg`" in (shipped / "README.md").read_text()

    large = tmp_path / "large.jpg"
    Image.fromarray(photos.pixels(600, 800)).save(large)
    program = predict_module()
    model, plain = (program.Model(shipped, decoder=decoder) for decoder in (None, "pillow"))
    at_least = predict_images.least_side("simplejpeg", model._preprocessing)
    image = predict_images.read_image(large, at_least=at_least, decoder="simplejpeg")
    assert np.array_equal(
        model.prepare(large), predict_images.preprocess(image, model._preprocessing)
    )
    assert not np.array_equal(model.prepare(large), plain.prepare(large))
    assert classify(shipped, "--check", large).returncode == 0
    named = bundled(run, tmp_path / "plain.zip", "--format", "onnx_fp32", "decoder=pillow")
    assert not (named / "decoder.json").exists()
    assert "simplejpeg" not in (named / "requirements.lock").read_text()


@pytest.mark.parametrize(
    ("answers", "in_all", "remedy"),
    [
        ("pass", "fail", "name another decoder or another format, or leave it at pillow"),
        ("pass", "inconclusive", "pillow; about 9,000 test images would settle it"),
        ("fail", "pass", "name another decoder or another format, or leave it at pillow"),
        ("inconclusive", "fail", "pillow; about 7,000 test images would settle it"),
    ],
)
def test_a_decoder_that_did_not_pass_is_refused_with_what_helps(
    answers: str, in_all: str, remedy: str
) -> None:
    drafted = planted.drafted(
        answers={"verdict": answers, "images_needed": 7000},
        against_baseline={"verdict": in_all, "images_needed": 9000},
    )
    row = convert(planted.row("onnx_int8", pipeline=[planted.pipeline(), drafted]), Row)
    options = BundleOptions("model.zip", decoder="pillow_draft")
    with pytest.raises(UsageError) as refused:
        decoders.chosen("onnx_int8", row, options, {})
    assert str(refused.value).endswith(remedy)
    assert "benchmark.decoders" not in str(refused.value)
    unscored = convert(planted.row("onnx_int8", pipeline=[planted.pipeline()]), Row)
    with pytest.raises(UsageError, match=r"measure the run's JPEGs with benchmark\.decoders="):
        decoders.chosen("onnx_int8", unscored, options, {})


def test_a_decoder_that_is_missing_here_is_refused_by_name_and_never_chosen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> Any:
        raise MissingDecoderError(f"no {name}")

    def absent(name: str) -> Any:
        raise metadata.PackageNotFoundError(name)

    drafted = planted.drafted() | {"decoder": "simplejpeg"}
    row = convert(planted.row("onnx_fp32", pipeline=[planted.pipeline(), drafted]), Row)
    monkeypatch.setattr(decoders, "load", missing)
    assert decoders.chosen("onnx_fp32", row, BundleOptions("model.zip"), {}) == "pillow"
    with pytest.raises(UsageError, match="decoder: expected a decoder whose package is installed"):
        decoders.chosen("onnx_fp32", row, BundleOptions("model.zip", decoder="simplejpeg"), {})
    assert decoders.packages("pillow_draft") == ()
    monkeypatch.setattr(metadata, "distribution", absent)
    monkeypatch.setattr(metadata, "packages_distributions", lambda: {"cv2": ["opencv-python"]})
    assert decoders.packages("opencv") == ("opencv-python",)
    left_out = convert(
        planted.row(
            "onnx_fp32",
            pipeline=[planted.pipeline()],
            decoders_left_out={"torchvision": "it needs torch"},
        ),
        Row,
    )
    with pytest.raises(UsageError, match=r"not known \(it needs torch\)"):
        decoders.chosen(
            "onnx_fp32", left_out, BundleOptions("model.zip", decoder="torchvision"), {}
        )


def test_a_decoder_of_another_version_than_the_measured_one_is_never_chosen() -> None:
    pytest.importorskip("simplejpeg")
    version = metadata.version("simplejpeg")
    drafted = planted.drafted() | {"decoder": "simplejpeg"}
    row = convert(planted.row("onnx_fp32", pipeline=[planted.pipeline(), drafted]), Row)
    options, named = (BundleOptions("model.zip", decoder=name) for name in (None, "simplejpeg"))
    assert decoders.chosen("onnx_fp32", row, options, {"simplejpeg": version}) == "simplejpeg"
    assert decoders.chosen("onnx_fp32", row, options, {"simplejpeg": "0.1"}) == "pillow"
    with pytest.raises(UsageError, match=rf"\(simplejpeg 0\.1 instead of {version}\); .*measure"):
        decoders.chosen("onnx_fp32", row, named, {"simplejpeg": "0.1"})


def test_a_bundle_has_no_figures_of_another_version_than_it_packs(
    run: Run, started_in: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Run(tmp_path / "version_7")
    shutil.copytree(run.folder, copy.folder)
    record = json.loads(copy.benchmark.read_text())
    versions = record["environment"]["packages"]
    (runtime,) = (name for name in versions if name.startswith("onnxruntime"))
    versions[runtime] = "1.0.0"
    copy.benchmark.write_text(json.dumps(record))
    folder = bundled(copy, tmp_path / "model.zip", "format=onnx_fp32")
    assert "This file was not measured." in (folder / "README.md").read_text(encoding="utf-8")
    told = capsys.readouterr().err
    assert "warning: onnx_fp32 was measured with other packages than are packed (onnxrun" in told
    assert "1.0.0 instead of " in told


@pytest.mark.parametrize("path", sorted(CONTENTS.glob("*.py")), ids=lambda path: path.name)
def test_a_shipped_file_imports_only_its_requirements(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            ["" if node.level else node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
        )
    }
    beside = {file.stem for file in CONTENTS.glob("*.py") if not file.stem.startswith("runtime_")}
    others = {name.lower() for name in names - set(sys.stdlib_module_names) - beside - {""}}
    # A runtime is imported by the file that is named after it, and by no other.
    kind, _, runtime = path.stem.partition("_")
    own = {name for name in others if f"{runtime}_".startswith(f"{name.removeprefix('runtime_')}_")}
    # Some need a package beside it, which the bundle requires as well.
    for bundling in (formats.get(name).bundling for name in formats.names()):
        if bundling is not None and bundling.runtime == path.stem:
            own |= {package.lower() for package in bundling.packages}
    assert others - (own if kind == "runtime" else set()) <= {"numpy", "pil"}


def test_a_bundle_has_every_file_that_its_runtime_imports() -> None:
    for kind in map(formats.get, formats.names()):
        if kind.bundling is None:
            continue
        text = (CONTENTS / f"{kind.bundling.runtime}.py").read_text(encoding="utf-8")
        program = stage._program(kind.bundling)
        names = {f"{name}.py" for name in re.findall(r"^    import (\w+)$", text, re.MULTILINE)}
        assert names | {f"{kind.bundling.runtime}.py", "predict.py"} <= set(program), kind.name
        runtimes = {name for name in program if name.startswith("runtime_")}
        assert len(runtimes) == 1 + len(kind.bundling.imports)


def new_environment(bundle: Path, folder: Path, *install: str) -> str:
    """Return the Python of a new environment in ``folder`` with what ``pip`` installs."""
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("no uv to make an environment with")
    python = folder / "bin" / "python"
    subprocess.run([uv, "venv", "--python", sys.executable, folder], check=True)
    subprocess.run([uv, "pip", "install", "--python", python, *install], cwd=bundle, check=True)
    ended = subprocess.run([python, "-c", "import torch"], capture_output=True, check=False)
    assert ended.returncode == 1
    return str(python)


INSTALL = {
    "ranges": ("-r", "requirements.txt"),
    "exact versions": ("--no-deps", "-r", "requirements.lock"),
}


@pytest.mark.slow
@pytest.mark.parametrize("install", INSTALL)
def test_a_bundle_runs_in_a_new_environment_with_its_requirements(
    bundle: Path, evaluation: Evaluated, tmp_path: Path, install: str
) -> None:
    python = new_environment(bundle, tmp_path / "environment", *INSTALL[install])
    expected = evaluation("onnx_fp32")
    ended = classify(bundle, "--check", "--json", *expected.paths, python=python)
    require_answers_of(expected, ended, 1e-6)
