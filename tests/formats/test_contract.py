"""Every format with every architecture: export, load in a new process, compare with the network.

Formats and architectures are discovered, so new ones are tested too. Formats that call a compiler
are tested with a tiny network in ``test_compiled.py``, those with an environment of their own in
``test_own_environments.py``. Formats that write the files of another
format, or run on a GPU only, are tested with one small architecture here, and so are those whose
files differ little by architecture. The others are tested with a few blocks of each architecture.
The slow tests have every format with every whole architecture.
"""

from __future__ import annotations

import contextlib
import functools
import html
import importlib
import itertools
import json
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
import torch
from _pytest.mark import ParameterSet
from numpy.typing import NDArray
from PIL import Image
from torchvision.models.convnext import CNBlock, CNBlockConfig, ConvNeXt
from torchvision.models.efficientnet import EfficientNet, MBConv, MBConvConfig
from torchvision.models.resnet import BasicBlock, ResNet

from src import formats, models
from src.backends.base import ExportSource
from src.benchmark.statistics import fidelity
from src.data.preprocessing import Preprocessing
from src.export.source import make_source
from src.export.stage import export_one
from src.models.network import NetworkSpec
from src.system import machine
from src.worker import protocol
from src.worker.guarded_process import Limits
from src.worker.process import WorkerProcess
from tests.conftest import ROOT

CLASSES = ["zero", "one", "two", "a | <b>", "four"]
PREPROCESSING = Preprocessing(32, "squash", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)).facts()
BUILDERS = sorted({getattr(models, name).builder for name in models.__all__})
QUICKEST = "squeezenet1_1"  # 3 MB; ResNet-34 has 85 MB
LARGEST_GRAPH = "densenet121"  # the slowest to export, of the operators of the others
# With all architectures here, because their files are rewritten or quantized most.
WITH_ALL = {"onnx_fp32", "onnx_int8"}
# The size of a file by its precision, as a share of the weights in fp32: 1/2 and 1/4, and what
# the graph, the scales and the weights that stay in fp32 take. Not of bf16: OpenVINO stores it as
# fp16, and in fp32 what is too small for that, as ConvNeXt's last weights times a new layer scale.
NARROW = {"fp16": 0.55, "int8": 0.30}
# The blocks of each stage: kernel and widths are those of the paper, repetitions are fewer.
MBCONV = (
    *((1, 3, 1, 32, 16, 1), (6, 3, 2, 16, 24, 2), (6, 5, 2, 24, 40, 1), (6, 3, 2, 40, 80, 1)),
    *((6, 5, 1, 80, 112, 1), (6, 5, 2, 112, 192, 1), (6, 3, 1, 192, 320, 1)),
)
CNBLOCK = ((96, 192, 1), (192, 384, 1), (384, 768, 2), (768, None, 1))
# An export takes time by its number of layers. Every kind of layer is in the first blocks.
OF_FEW_BLOCKS: dict[str, Callable[[], torch.nn.Module]] = {
    "convnext_tiny": lambda: ConvNeXt(
        [CNBlockConfig(*stage) for stage in CNBLOCK], num_classes=len(CLASSES)
    ),
    "efficientnet_b0": lambda: EfficientNet(
        [MBConvConfig(*stage) for stage in MBCONV], 0.2, num_classes=len(CLASSES)
    ),
    "resnet34": lambda: ResNet(BasicBlock, [2, 1, 1, 1], num_classes=len(CLASSES)),
}


@dataclass(frozen=True)
class Architecture:
    """An architecture, whole or with a few blocks of each stage."""

    builder: str
    is_whole: bool = True

    def __str__(self) -> str:
        return self.builder if self.is_whole else f"{self.builder} of few blocks"

    def build(self) -> torch.nn.Module:
        """Build the network with random weights."""
        whole = NetworkSpec(self.builder, len(CLASSES))
        return whole.build() if self.is_whole else OF_FEW_BLOCKS[self.builder]()


def cases() -> Iterator[ParameterSet]:
    """Return the pairs of architecture and format."""
    for builder, name in itertools.product([QUICKEST, *BUILDERS], formats.names()):
        kind = formats.get(name)
        if kind.of_twin:  # another network: tests/twin/test_twin_formats.py
            continue
        if kind.environment:
            continue  # see test_own_environments.py
        # Written by another format's export, which is put through it with all architectures.
        twin = type(kind).export.__module__ != type(kind).__module__
        on_gpu = "cpu" not in kind.devices
        once = twin or on_gpu or name not in WITH_ALL
        has_parts = builder in OF_FEW_BLOCKS
        is_slow = (
            (kind.compiles and not on_gpu)
            or ((once or has_parts) and builder != QUICKEST)
            or builder == LARGEST_GRAPH
        )
        marks = [pytest.mark.slow] if is_slow else []
        yield pytest.param((Architecture(builder), name), marks=marks, id=f"{builder}-{name}")
        if has_parts and not once:
            part = Architecture(builder, is_whole=False)
            yield pytest.param((part, name), id=f"{part}-{name}")


def trained_network(spec: NetworkSpec, images: torch.Tensor) -> torch.nn.Module:
    """Return a network with random weights, and BatchNorm statistics that fit them."""
    return with_statistics(spec.build(), images)


def with_statistics(network: torch.nn.Module, images: torch.Tensor) -> torch.nn.Module:
    """Return a network after its BatchNorm statistics were fitted to its weights."""
    network.train()
    with torch.no_grad():
        for _ in range(20):
            network(images)
    return network.eval()


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Architecture], ExportSource]:
    """The source of each architecture, made at its first use."""

    @functools.cache
    def source(architecture: Architecture) -> ExportSource:
        torch.manual_seed(0)
        images = torch.randn(24, 3, 32, 32)
        spec = NetworkSpec(architecture.builder, len(CLASSES))
        network = with_statistics(architecture.build(), images)
        scratch = tmp_path_factory.mktemp("scratch")
        return make_source(network, spec, CLASSES, images, PREPROCESSING, scratch)

    return source


@pytest.fixture(
    scope="module",
    params=cases(),
)
def exported(
    request: pytest.FixtureRequest,
    sources: Callable[[Architecture], ExportSource],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, Path, ExportSource]:
    architecture, name = request.param
    source = sources(architecture)
    folder = tmp_path_factory.mktemp(architecture.builder) / name
    before = {key: value.clone() for key, value in source.network.state_dict().items()}
    entry = export_one(name, source, folder)
    gpu_only = "cpu" not in formats.get(name).devices
    if gpu_only and not torch.cuda.is_available() and entry.status == "skipped":
        assert entry.reason == "no CUDA device that torch can use"
        pytest.skip(f"{name} is exported on a GPU only")
    assert entry.status == "ok", entry.reason
    assert not source.network.training
    after = source.network.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert all(not module._forward_hooks for module in source.network.modules())
    assert sum(file.bytes for file in entry.files) == sum(
        path.stat().st_size for path in folder.rglob("*")
    )
    return name, folder, source


def skip_where_it_cannot_run(name: str) -> None:
    """Skip a format that is for another device, or for another processor than this one."""
    kind = formats.get(name)
    if "cpu" not in kind.devices:
        pytest.skip(f"{name} runs on {', '.join(kind.devices)} only")
    if kind.precision == "bf16" and not machine.has_bfloat16():
        pytest.skip(f"{name} runs on processors that multiply bfloat16")


def trained_logits(source: ExportSource, images: int) -> NDArray[np.float32]:
    with torch.inference_mode():
        return source.network(source.calibration[:images]).numpy()


def test_a_format_runs_in_a_new_process_and_agrees_with_the_network(
    exported: tuple[str, Path, ExportSource],
) -> None:
    name, folder, source = exported
    skip_where_it_cannot_run(name)
    images = source.calibration[:9].numpy()
    expected = trained_logits(source, 9)
    # A compiler may share the cores with other work.
    seconds = 900 if formats.get(name).compiles else 300
    limits = Limits(threads=1, answer_seconds=seconds, resident_bytes=10**11)
    with contextlib.closing(WorkerProcess(name, folder, "cpu", limits)) as worker:
        loaded = worker.ask(protocol.Load())
        logits = worker.predict(images)
        single = np.concatenate([worker.predict(image[None]) for image in images])
        worker.ask(protocol.Hold(), images[:1])
        finished = worker.ask(protocol.Finish())
        peak = worker.ask(protocol.PeakMemory(), images[:1]).peak_rss_bytes
    effective = loaded.effective
    assert effective["runtime"]
    assert (effective["device"], effective["threads"]) == ("cpu", 1)
    assert peak > 0
    shares = finished.profile.time
    assert sum(shares.values()) == pytest.approx(1)
    assert ("int8" in shares) is (formats.get(name).precision == "int8")
    tolerance = formats.get(name).tolerance
    assert fidelity.mismatch(logits, expected, tolerance) is None
    assert fidelity.mismatch(single, expected, tolerance) is None
    # Quantized formats change the numbers; not so much that they are another network's.
    cosine = (logits * expected).sum() / np.linalg.norm(logits) / np.linalg.norm(expected)
    assert cosine > 0.95


def test_class_names_and_preprocessing_travel_inside(
    exported: tuple[str, Path, ExportSource],
) -> None:
    name, folder, _ = exported
    texts = [json.dumps(CLASSES).encode(), b'"a | <b>"']
    for path in (path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if path.suffix == ".xml":
            content = html.unescape(content.decode()).encode()
        if any(text in content for text in texts):
            return
    pytest.fail(f"the files of {name} hold no class names")


@pytest.mark.slow  # the formats are exported for other tests, but loading them takes half a minute
def test_the_runtime_of_a_bundle_opens_the_files_of_every_format_that_is_bundled(
    exported: tuple[str, Path, ExportSource],
) -> None:
    name, folder, source = exported
    kind = formats.get(name)
    if kind.bundling is None or not kind.can_be_bundled:
        pytest.skip(f"{name} is not bundled")
    assert {path.name for path in folder.iterdir()} == set(kind.bundling.files)
    module = importlib.import_module(f"src.shipped.{kind.bundling.runtime}")
    runtime = module.Runtime(folder / kind.bundling.files[0], None)
    assert runtime.metadata["class_names"] == CLASSES
    assert runtime.metadata["preprocessing"] == msgspec.to_builtins(PREPROCESSING)
    expected = trained_logits(source, 4)
    images = source.calibration[:4].numpy()
    for logits in (runtime(images), np.concatenate([runtime(image[None]) for image in images])):
        assert fidelity.mismatch(logits, expected, kind.tolerance) is None
        cosine = (logits * expected).sum() / np.linalg.norm(logits) / np.linalg.norm(expected)
        assert cosine > 0.95


def test_onnx_files_are_one_file_that_needs_no_torch(
    exported: tuple[str, Path, ExportSource], tmp_path: Path
) -> None:
    name, folder, source = exported
    if not name.startswith("onnx"):
        pytest.skip("not an ONNX format")
    assert [path.name for path in folder.iterdir()] == ["model.onnx"]
    assert str(ROOT).encode() not in (folder / "model.onnx").read_bytes()
    np.save(tmp_path / "images.npy", source.calibration[:5].numpy())
    program = """
import json, sys
import numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
metadata = session.get_modelmeta().custom_metadata_map
logits = session.run(["logits"], {"images": numpy.load(sys.argv[2])})[0]
assert not {"torch", "src"} & set(sys.modules)
print(json.dumps([logits.tolist(), json.loads(metadata["class_names"]),
                  json.loads(metadata["preprocessing"])]))
"""
    answer = subprocess.run(
        [sys.executable, "-c", program, folder / "model.onnx", tmp_path / "images.npy"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    logits, *metadata = json.loads(answer.stdout)
    assert metadata == [CLASSES, msgspec.to_builtins(PREPROCESSING)]
    expected = trained_logits(source, 5)
    answer = np.array(logits, np.float32)
    assert fidelity.mismatch(answer, expected, formats.get(name).tolerance) is None


def blocks(source: ExportSource, kind: type[torch.nn.Module]) -> int:
    """Return the number of modules of one kind in the trained network."""
    return sum(isinstance(module, kind) for module in source.network.modules())


def test_each_operator_is_one_that_the_runtime_is_fast_at(
    exported: tuple[str, Path, ExportSource],
) -> None:
    name, folder, source = exported
    if name != "onnx_fp32":
        pytest.skip("made of the operators of onnx_fp32")
    graph = onnx.load(folder / "model.onnx").graph
    found = Counter(node.op_type for node in graph.node)
    assert found["BatchNormalization"] == found["ReduceMean"] == 0
    # One in each squeeze-excite, and the last.
    assert found["GlobalAveragePool"] == blocks(source, MBConv) + 1
    if source.builder == "efficientnet_b0":
        assert blocks(source, MBConv) in {8, 16}
    if source.builder == "convnext_tiny":
        assert blocks(source, CNBlock) in {5, 18}
        assert found["LayerNormalization"] == blocks(source, CNBlock) + 5
        assert found["Gelu"] == blocks(source, CNBlock)
        assert found["MatMul"] == found["Erf"] == 0
    read = {name for node in graph.node for name in node.input}
    assert {each.name for each in graph.initializer} <= read


def test_the_usage_program_predicts_as_the_file_without_this_project(
    exported: tuple[str, Path, ExportSource], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, folder, source = exported
    if source.builder != QUICKEST:
        pytest.skip("checked with one architecture")
    skip_where_it_cannot_run(name)
    # What it compiles is checked above; here it would be compiled once more.
    monkeypatch.setattr(torch, "compile", lambda model, **_: model)
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    image = Image.fromarray(noise)
    image.save(tmp_path / "picture.png")
    monkeypatch.chdir(tmp_path)
    usage = formats.get(name).usage(PREPROCESSING)
    assert "src" not in usage
    printed: list[object] = []
    names: dict[str, object]
    with torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit's, of its own end
        program = usage.replace("{folder}", str(folder))
        exec(program, names := {"print": printed.append})  # noqa: S102  # our own text
    evaluation = Preprocessing(32, "squash", (0.5,) * 3, (0.5,) * 3)
    images = evaluation(image)[None].numpy()
    if formats.get(name).tolerance is not None:
        logits = source.network(torch.from_numpy(images)).detach().numpy()
    else:
        logits = formats.get(name).load(folder, "cpu", 1)(images)
    assert np.allclose(np.asarray(names["logits"]), logits, atol=0.02 * np.abs(logits).max())
    assert printed == [CLASSES[int(np.asarray(names["logits"]).argmax())]]


def test_files_in_fewer_bits_are_smaller(exported: tuple[str, Path, ExportSource]) -> None:
    name, folder, source = exported
    if (share := NARROW.get(formats.get(name).precision)) is None:
        pytest.skip("not in few bits")
    weights = sum(value.numel() * 4 for value in source.network.parameters())
    assert sum(path.stat().st_size for path in folder.iterdir()) <= share * weights


@pytest.mark.slow
def test_a_file_with_embedded_preprocessing_predicts_the_same(
    exported: tuple[str, Path, ExportSource], tmp_path: Path
) -> None:
    name, folder, _ = exported
    if not formats.get(name).embeds:
        pytest.skip(f"{name} holds no preprocessing")
    import onnxruntime as ort

    formats.get(name).embed(folder, tmp_path)
    plain, embedded = (
        ort.InferenceSession(model_folder / "model.onnx", providers=["CPUExecutionProvider"])
        for model_folder in (folder, tmp_path)
    )
    # Of the network's own size, so that nothing is resized and even int8 has no other input.
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    images = Preprocessing.of(PREPROCESSING)(Image.fromarray(image))[None].numpy()
    logits = plain.run(None, {"images": images})[0][0]
    expected = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    probabilities = embedded.run(None, {"image": image})[0]
    assert np.abs(probabilities - expected).max() < 1e-3
