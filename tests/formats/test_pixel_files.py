"""Files of ``export.input=uint8``: they take pixels, and are measured with nothing else."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
import torch
from _pytest.mark import ParameterSet
from numpy.typing import NDArray
from PIL import Image

from src import formats
from src.backends.base import ExportSource
from src.backends.onnx.runtime import OnnxRuntime
from src.benchmark.row_processes import RowProcesses
from src.benchmark.statistics import fidelity
from src.data.preprocessing import Preprocessing
from src.errors import UsageError
from src.export import up_to_date
from src.export.one_format import export_one
from src.export.options import ExportOptions
from src.export.source import make_source
from src.models.network import NetworkSpec
from src.run.file_input import NORMALISED, PIXELS, BatchMaker, FileInput
from src.run.manifest import Export
from src.worker import protocol
from src.worker.errors import WorkerError
from src.worker.guarded_process import Limits
from src.worker.process import WorkerProcess
from tests.formats.test_contract import BUILDERS, CLASSES, trained_network
from tests.support.small_network import small_network

PREPROCESSING = Preprocessing(32)  # ImageNet's colours: three centres, none of them whole
NAMES = [
    name
    for name in formats.names()
    if formats.get(name).takes_pixels and not formats.get(name).environment
]
SMALL = "small"  # a network of no library
ON_CPU = [name for name in NAMES if "cpu" in formats.get(name).devices]
LIMITS = Limits(threads=1, answer_seconds=100, resident_bytes=10**11)
QUICK = {"onnx_fp32", "onnx_int8", "openvino_fp32"}
ROUNDING = 1e-4  # of a logit in fp32, as a share of the largest


def smooth_pixels(count: int, size: int) -> torch.Tensor:
    """Images with edges at the border: (n, 3, H, W), uint8."""
    coarse = torch.rand(count, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.interpolate(coarse, (size, size), mode="bilinear")
    return (smooth * 255).round().to(torch.uint8)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], ExportSource]:
    """The source of an architecture for either input, made at its first use."""

    @functools.cache
    def network(builder: str) -> torch.nn.Module:
        torch.manual_seed(0)
        if builder == SMALL:
            return small_network(len(CLASSES), images())
        return trained_network(NetworkSpec(builder, len(CLASSES)), images())

    @functools.cache
    def source(builder: str, kind: str) -> ExportSource:
        options = ExportOptions(formats=["onnx_fp32"], input=kind)
        spec, folder = NetworkSpec(builder, len(CLASSES)), tmp_path_factory.mktemp("scratch")
        return make_source(
            network(builder), spec, CLASSES, images(), PREPROCESSING.facts(), folder, None, options
        )

    return source


def images() -> torch.Tensor:
    return PREPROCESSING.normalised(smooth_pixels(24, 32))


def quick(*names: str) -> list[ParameterSet]:
    """Return formats for the default tests, and the others for the slow ones."""
    marks = {name: [] if name in QUICK else [pytest.mark.slow] for name in names}
    return [pytest.param(name, marks=marks[name]) for name in names]


@contextlib.contextmanager
def worker(name: str, folder: Path, takes: FileInput) -> Iterator[WorkerProcess]:
    maker = BatchMaker(takes, PREPROCESSING.facts())
    with contextlib.closing(WorkerProcess(name, folder, "cpu", LIMITS, maker)) as process:
        yield process


@pytest.fixture(scope="module")
def exported(
    sources: Callable[[str, str], ExportSource], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str, str], tuple[Path, Export]]:
    @functools.cache
    def export(builder: str, name: str, kind: str) -> tuple[Path, Export]:
        folder = tmp_path_factory.mktemp(builder) / name
        entry = export_one(name, sources(builder, kind), folder)
        assert entry.status == "ok", entry.reason
        return folder, entry

    return export


def relative(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


@pytest.mark.parametrize(
    "builder", [SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in BUILDERS)]
)
@pytest.mark.parametrize("name", quick(*NAMES))
def test_a_file_of_pixels_gives_the_logits_of_the_float_file(
    name: str,
    builder: str,
    sources: Callable[[str, str], ExportSource],
    exported: Callable[[str, str, str], tuple[Path, Export]],
) -> None:
    with torch.inference_mode():
        trained = sources(builder, "float").network(images()).numpy()
    logits = {}
    for kind, takes in (("float", NORMALISED), ("uint8", PIXELS)):
        folder, entry = exported(builder, name, kind)
        assert entry.takes == takes
        batch = BatchMaker(takes, PREPROCESSING.facts())(images().numpy())
        assert batch.shape == takes.shape(24, 32)
        if name in ON_CPU:
            runtime = formats.get(name).load(folder, "cpu", 1)
        else:
            runtime = OnnxRuntime(folder / "model.onnx", "cpu", 1)
        assert runtime.settings["input"] == str(takes)
        logits[kind] = np.asarray(runtime(batch))
    if formats.get(name).precision == "fp32":
        assert relative(logits["uint8"], logits["float"]) < ROUNDING
    # The input of a file in fewer bits is not rounded as before; it is no worse.
    limit = 1.5 * relative(logits["float"], trained) + ROUNDING
    assert relative(logits["uint8"], trained) < limit


@pytest.mark.parametrize("name", quick(*ON_CPU))
def test_a_worker_feeds_pixels_and_the_reference_outputs_hold(
    name: str,
    sources: Callable[[str, str], ExportSource],
    exported: Callable[[str, str, str], tuple[Path, Export]],
) -> None:
    folder, entry = exported(SMALL, name, "uint8")
    with torch.inference_mode():
        reference = sources(SMALL, "uint8").network(images()).numpy()
    with worker(name, folder, entry.takes) as process:
        assert process.ask(protocol.Load(classes=len(CLASSES))).effective["input"] == "uint8 NHWC"
        answer = process.answer(images().numpy())
        of_pixels = process.answer(smooth_pixels(24, 32).numpy().transpose(0, 2, 3, 1))
    assert fidelity.mismatch(answer, reference, formats.get(name).tolerance) is None
    assert np.array_equal(answer, of_pixels)
    cosine = (answer * reference).sum() / np.linalg.norm(answer) / np.linalg.norm(reference)
    assert cosine > 0.95


@pytest.mark.parametrize("name", ["onnx_fp32", "openvino_fp32"])
@pytest.mark.parametrize(("kind", "takes"), [("uint8", NORMALISED), ("float", PIXELS)])
def test_a_wrong_record_of_the_input_fails_the_row(
    name: str, kind: str, takes: FileInput, exported: Callable[[str, str, str], tuple[Path, Export]]
) -> None:
    folder, _ = exported(SMALL, name, kind)
    with worker(name, folder, takes) as process:
        with pytest.raises(WorkerError, match=f"the manifest has the input {takes}, but the file"):
            process.ask(protocol.Load(classes=len(CLASSES)))
        # Even without that check no other type reaches the runtime: OpenVINO would convert it.
        with pytest.raises(WorkerError, match=r"the file takes .*, and was given"):
            process.predict(images().numpy())


PLANTED: dict[str, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    "blue first": lambda pixels: pixels[..., ::-1],
    "upside down": lambda pixels: pixels[:, ::-1],
    "normalised values cut to whole ones": lambda pixels: (pixels // 100).astype(np.uint8),
    "negatives": lambda pixels: 255 - pixels,
}


@pytest.mark.parametrize("name", quick(*(name for name in ON_CPU if formats.get(name).tolerance)))
def test_a_file_that_is_fed_other_pixels_fails_by_the_reference_outputs(
    name: str,
    sources: Callable[[str, str], ExportSource],
    exported: Callable[[str, str, str], tuple[Path, Export]],
) -> None:
    folder, entry = exported(SMALL, name, "uint8")
    few = images()[:8]
    with torch.inference_mode():
        reference = few.numpy(), sources(SMALL, "uint8").network(few).numpy()
    with worker(name, folder, entry.takes) as process:
        processes = RowProcesses(
            lambda: process, len(CLASSES), reference, formats.get(name).tolerance
        )
        processes.begin()
        processes.load()
        processes.check()
        right = process._batch_maker
        assert right is not None
        for fault in PLANTED.values():
            process._batch_maker = lambda batch, fault=fault: fault(right(batch))  # type: ignore[assignment,misc]
            with pytest.raises(WorkerError, match=r"logits differ"):
                processes.check()


def test_the_normalisation_of_another_run_is_found_by_the_values() -> None:
    other = Preprocessing(32, mean=(0.5,) * 3, std=(0.5,) * 3)
    maker = BatchMaker(PIXELS, other.facts())
    with pytest.raises(ValueError, match="levels off"):
        maker(images().numpy())


@pytest.mark.parametrize("name", quick(*ON_CPU))
def test_the_usage_program_of_a_file_of_pixels_predicts_as_the_file(
    name: str,
    exported: Callable[[str, str, str], tuple[Path, Export]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, entry = exported(SMALL, name, "uint8")
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    picture = Image.fromarray(noise)
    picture.save(tmp_path / "picture.png")
    monkeypatch.chdir(tmp_path)
    assert entry.usage is not None
    assert "mean" not in entry.usage
    names: dict[str, object] = {"print": lambda _: None}
    exec(entry.usage.replace("{folder}", str(folder)), names)  # noqa: S102  # our own text
    pixels = np.asarray(PREPROCESSING.spatial()(picture))[None]
    expected = formats.get(name).load(folder, "cpu", 1)(pixels)
    assert np.allclose(np.asarray(names["logits"]), expected, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["onnx_fp32", "onnx_int8"])
def test_a_file_of_pixels_holds_its_preprocessing_too(
    name: str, exported: Callable[[str, str, str], tuple[Path, Export]], tmp_path: Path
) -> None:
    import onnxruntime as ort

    folder, _ = exported(SMALL, name, "uint8")
    formats.get(name).embed(folder, tmp_path)
    providers = ["CPUExecutionProvider"]
    session = ort.InferenceSession(tmp_path / "model.onnx", providers=providers)
    image = smooth_pixels(1, 32)[0].numpy().transpose(1, 2, 0)
    [probabilities] = session.run(None, {"image": image})
    [logits] = np.asarray(formats.get(name).load(folder, "cpu", 1)(image[None]))
    expected = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    assert np.abs(probabilities - expected).max() < 1e-3


def test_an_int8_file_takes_pixels_without_a_pass_in_float(
    exported: Callable[[str, str, str], tuple[Path, Export]],
) -> None:
    folder, _ = exported(SMALL, "onnx_int8", "uint8")
    model = onnx.load(folder / "model.onnx")
    metadata = {item.key: item.value for item in model.metadata_props}
    assert json.loads(metadata["input"]) == msgspec.to_builtins(PIXELS)
    kinds = [node.op_type for node in model.graph.node]
    assert "Cast" not in kinds
    assert "Sub" not in kinds
    [first] = [node for node in model.graph.node if "pixels/planes" in node.input]
    assert first.op_type == "DequantizeLinear"


def test_the_input_decides_whether_a_file_is_exported_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = {
        kind: ExportOptions(formats=["onnx_fp32", "eager"], input=kind)
        for kind in ("float", "uint8")
    }

    def made_from(name: str, kind: str) -> str:
        from unittest.mock import patch

        with patch.object(up_to_date, "_decisive", return_value={}):
            return up_to_date.made_from(None, None, options[kind], name)  # type: ignore[arg-type]

    assert made_from("onnx_fp32", "float") != made_from("onnx_fp32", "uint8")
    assert made_from("eager", "float") == made_from("eager", "uint8")


def test_the_option_is_refused_where_no_format_could_follow_it() -> None:
    with pytest.raises(UsageError, match=r"export.input: .*found eager, torchscript"):
        ExportOptions(formats=["eager", "torchscript"], input="uint8")
    ExportOptions(formats=["eager", "openvino_fp32"], input="uint8")
