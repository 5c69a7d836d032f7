"""The contract of formats with an environment of their own; it is installed at the first use."""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from src import formats
from src.backends.base import ExportSource
from src.benchmark.statistics import fidelity
from src.bundle.stage import CONTENTS
from src.data.preprocessing import Preprocessing
from src.export.one_format import export_one
from src.export.options import ExportOptions
from src.export.source import make_source
from src.models.network import NetworkSpec
from src.run.facts import ExportDetails
from src.worker import protocol
from src.worker.guarded_process import Limits
from src.worker.process import WorkerProcess
from tests.formats.test_contract import CLASSES, NARROW, PREPROCESSING, trained_network
from tests.support.bundle_program import described

pytestmark = pytest.mark.slow  # the first use takes minutes and a network

NAMES = [name for name in formats.names() if formats.get(name).environment]
BUILDER = "shufflenet_v2_x0_5"
LIMITS = Limits(threads=1, answer_seconds=300, resident_bytes=10**11)

Exported = Callable[[str], tuple[Path, ExportDetails | None]]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> ExportSource:
    torch.manual_seed(0)
    images = torch.randn(24, 3, 32, 32)
    spec = NetworkSpec(BUILDER, len(CLASSES))
    network = trained_network(spec, images)
    with torch.no_grad():
        labels = network(images[8:]).argmax(1)
    options = ExportOptions(formats=["mnn"], max_accuracy_drop=0.3)
    scratch = tmp_path_factory.mktemp("scratch")
    selection = images[8:], labels
    return make_source(
        network, spec, CLASSES, images[:8], PREPROCESSING, scratch, selection, options
    )


@pytest.fixture(scope="module")
def exported(source: ExportSource, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    @functools.cache
    def export(name: str) -> tuple[Path, ExportDetails | None]:
        folder = tmp_path_factory.mktemp("exports") / name
        entry = export_one(name, source, folder)
        if entry.status == "skipped":
            pytest.skip(entry.reason or "")
        assert entry.status == "ok", entry.reason
        return folder, entry.details

    return export


def logits_of(source: ExportSource, images: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.inference_mode():
        return source.network(torch.from_numpy(images)).numpy()


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_in_its_environment_and_agrees_with_the_network(
    name: str, exported: Exported, source: ExportSource
) -> None:
    folder, _ = exported(name)
    images = source.calibration[:8].numpy()
    expected = logits_of(source, images)
    with contextlib.closing(WorkerProcess(name, folder, "cpu", LIMITS)) as worker:
        effective = worker.ask(protocol.Load(classes=len(CLASSES))).effective
        logits = worker.predict(images)
        single = np.concatenate([worker.predict(image[None]) for image in images])
        many = worker.predict(np.concatenate([images] * 9))
        worker.ask(protocol.Hold(), images[:1])
        worker.ask(protocol.Finish())
    assert effective["runtime"]
    assert effective["device"] == "cpu"
    assert effective.get("threads", 1) == 1  # not every runtime reports it
    tolerance = formats.get(name).tolerance
    for answer in (logits, single, many[-8:]):
        assert fidelity.mismatch(answer, expected, tolerance) is None
        cosine = (answer * expected).sum() / np.linalg.norm(answer) / np.linalg.norm(expected)
        assert cosine > (0.9999 if tolerance else 0.95)


@pytest.mark.parametrize("name", NAMES)
def test_class_names_and_preprocessing_travel_with_it(name: str, exported: Exported) -> None:
    folder, _ = exported(name)
    text = json.dumps(CLASSES).encode()
    assert any(text in path.read_bytes() for path in folder.iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_its_usage_program_runs_alone_in_its_environment(
    name: str, exported: Exported, source: ExportSource, tmp_path: Path
) -> None:
    folder, _ = exported(name)
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "picture.png")
    kind = formats.get(name)
    program = kind.usage(PREPROCESSING)
    assert program
    program = program.replace("{folder}", str(folder))
    ended = subprocess.run(
        [kind.python(), "-c", program + "\nprint(numpy.asarray(logits)[0].tolist())"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    *_, class_name, printed = ended.stdout.strip().splitlines()
    images = Preprocessing.of(PREPROCESSING)(Image.fromarray(noise))[None].numpy()
    expected = logits_of(source, images)[0]
    logits = np.array(json.loads(printed))
    assert class_name == CLASSES[int(logits.argmax())]
    share = 0.002 if kind.tolerance else 0.2
    assert np.abs(logits - expected).max() < share * np.abs(expected).max()


@pytest.mark.parametrize("name", NAMES)
def test_in_fewer_bits_it_is_smaller_and_says_how_it_was_judged(
    name: str, exported: Exported
) -> None:
    folder, details = exported(name)
    if (share := NARROW.get(formats.get(name).precision)) is None:
        pytest.skip("not in few bits")
    base, _ = exported(name.removesuffix("_int8"))
    size, of_fp32 = (sum(p.stat().st_size for p in f.iterdir()) for f in (folder, base))
    assert size < (share + 0.1) * of_fp32  # a small network has much beside its weights
    assert details
    assert details.table
    assert details.within_budget is True
    assert "training images that it was not calibrated on" in " ".join(details.summary)


def test_layers_in_float_are_those_that_are_named(
    source: ExportSource, exported: Exported, tmp_path: Path
) -> None:
    """The file grows by the weights that stay in fp32."""
    from src.backends.executorch import handover

    kind = formats.get("executorch_int8")
    assert kind.environment
    exported("executorch_int8")
    program = handover.program(source)
    images = tmp_path / "images.npy"
    np.save(images, source.calibration.numpy())
    sizes = []
    for number, layers in enumerate(([], ["conv5.0"])):
        target = tmp_path / f"{number}.pte"
        kind.environment.run(
            "src.backends.executorch.convert", str(program), str(target), str(images), *layers
        )
        sizes.append(target.stat().st_size)
    weights = source.network.get_submodule("conv5.0").weight.numel()
    assert sizes[1] - sizes[0] == pytest.approx(3 * weights, rel=0.1)


def test_layers_of_litert_in_float_are_the_noisiest_ones_that_are_named(
    source: ExportSource, exported: Exported, tmp_path: Path
) -> None:
    """The order has every layer with weights once, and the file grows by those in float."""
    kind = formats.get("litert_int8")
    assert kind.environment
    folder, _ = exported("litert")
    images = tmp_path / "images.npy"
    np.save(images, source.calibration.numpy())
    module, fp32 = "src.quantization.litert.quantize", str(folder / "model.tflite")
    order = json.loads(
        kind.environment.run(module, "--order", fp32, str(images)).strip().splitlines()[-1]
    )
    layers = [
        layer
        for layer in source.network.modules()
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear)
    ]
    assert len(set(order)) == len(order) == len(layers)
    sizes = []
    for count in (0, 1, len(order)):
        target = tmp_path / f"{count}.tflite"
        kind.environment.run(module, fp32, str(target), str(images), *order[:count])
        sizes.append(target.stat().st_size)
    assert sizes[0] < sizes[1] < sizes[2]
    assert sizes[2] > 0.9 * Path(fp32).stat().st_size


RUN_SHIPPED = """
import importlib, json, pathlib, sys
import numpy
sys.path.insert(0, sys.argv[1])
module = importlib.import_module(sys.argv[2])
runtime = module.Runtime(pathlib.Path(sys.argv[3]), 1)
images = numpy.load(sys.argv[4])
answers = [runtime(images), numpy.concatenate([runtime(image[None]) for image in images])]
assert "src" not in sys.modules
print(json.dumps([[a.tolist() for a in answers], runtime.metadata]))
"""


@pytest.mark.parametrize("name", [name for name in NAMES if formats.get(name).can_be_bundled])
def test_the_runtime_of_a_bundle_answers_as_the_row(
    name: str, exported: Exported, source: ExportSource, tmp_path: Path
) -> None:
    folder, _ = exported(name)
    kind = formats.get(name)
    bundling = kind.bundling
    assert bundling
    assert {path.name for path in folder.iterdir()} == set(bundling.files)
    images = source.calibration[:6].numpy()
    np.save(tmp_path / "images.npy", images)
    shipped = [str(CONTENTS), bundling.runtime, str(folder / bundling.files[0])]
    ended = subprocess.run(
        [kind.python(), "-c", RUN_SHIPPED, *shipped, str(tmp_path / "images.npy")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    answers, metadata = json.loads(ended.stdout.strip().splitlines()[-1])
    assert metadata["class_names"] == CLASSES
    assert metadata["preprocessing"] == msgspec.to_builtins(PREPROCESSING)
    with contextlib.closing(WorkerProcess(name, folder, "cpu", LIMITS)) as worker:
        worker.ask(protocol.Load(classes=len(CLASSES)))
        of_row = worker.predict(images)
    for answer in answers:
        assert np.abs(np.array(answer) - of_row).max() < 1e-5 * np.abs(of_row).max()


@pytest.mark.parametrize("name", [name for name in NAMES if formats.get(name).can_be_bundled])
def test_a_damaged_file_ends_a_bundle_in_one_line(
    name: str, exported: Exported, tmp_path: Path
) -> None:
    folder, _ = exported(name)
    kind = formats.get(name)
    bundling = kind.bundling
    assert bundling
    for file in CONTENTS.glob("*.py"):
        if not file.name.startswith("runtime_"):
            shutil.copy(file, tmp_path)
    for runtime in (bundling.runtime, *bundling.imports):
        shutil.copy(CONTENTS / f"{runtime}.py", tmp_path)
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    model = tmp_path / bundling.files[0]
    described(model, msgspec.to_builtins(PREPROCESSING), bundling.runtime)
    model.write_bytes(b"nothing\nto open")
    ended = subprocess.run(
        [kind.python(), tmp_path / "predict.py", "x.png"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith(f"error: {model.name} cannot be opened: ")
    assert "Traceback" not in ended.stderr
