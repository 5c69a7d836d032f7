"""Formats that compile: a missing compiler, another processor, package contents, leftovers."""

from __future__ import annotations

import json
import platform
import tempfile
import zipfile
from pathlib import Path

import msgspec
import pytest
import torch
from torch import nn
from torch._inductor import config, cpp_builder

from src import formats
from src.backends.base import ExportSource, Unavailable
from src.export.source import make_source
from src.export.stage import export_one
from src.formats import eager
from src.formats.torch_compile import TorchCompile
from src.formats.torch_export import TorchExport
from src.models.network import NetworkSpec
from src.system import machine
from tests.formats.test_contract import CLASSES, PREPROCESSING

IMAGES = torch.randn(9, 3, 32, 32, generator=torch.Generator().manual_seed(0))


class Small(nn.Module):
    """A network that compiles in seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 3, stride=2)
        self.linear = nn.Linear(8, len(CLASSES))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.linear(self.convolution(images).relu().mean((2, 3)))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> ExportSource:
    spec = NetworkSpec("resnet34", len(CLASSES))
    scratch = tmp_path_factory.mktemp("scratch")
    network = Small().eval()
    return make_source(network, spec, CLASSES, IMAGES, PREPROCESSING, scratch)


@pytest.fixture(scope="module")
def exported(
    source: ExportSource, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[str]]:
    """The folder of a package, and the files that its export left in the temporary folder."""
    parent = tmp_path_factory.mktemp("exports")
    temporary = tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(temporary))
        patch.setattr(tempfile, "tempdir", None)
        entry = export_one("torch_export", source, parent / "torch_export")
    assert entry.status == "ok", entry.reason
    return parent / "torch_export", [path.name for path in temporary.iterdir()]


def metadata_of(folder: Path) -> tuple[str, dict[str, object]]:
    with zipfile.ZipFile(folder / "model.pt2") as package:
        [name] = [name for name in package.namelist() if name.endswith("lightship.json")]
        return name, json.loads(package.read(name))


def with_metadata(folder: Path, elsewhere: Path, **changes: object) -> Path:
    """Return a copy of a package with other metadata."""
    name, metadata = metadata_of(folder)
    elsewhere.mkdir()
    with (
        zipfile.ZipFile(folder / "model.pt2") as package,
        zipfile.ZipFile(elsewhere / "model.pt2", "w") as changed,
    ):
        for other in package.namelist():
            content = json.dumps(metadata | changes) if other == name else package.read(other)
            changed.writestr(other, content)
    return elsewhere


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("batch", [1, 2, 9])
def test_one_package_takes_any_batch_with_any_threads(
    batch: int, threads: int, exported: tuple[Path, list[str]], source: ExportSource
) -> None:
    runtime = TorchExport().load(exported[0], "cpu", threads)
    assert runtime.settings["threads"] == threads
    expected = source.network(IMAGES[:batch]).detach()
    torch.testing.assert_close(torch.from_numpy(runtime(IMAGES[:batch].numpy())), expected)


def test_a_package_opens_in_torchs_own_loader(
    exported: tuple[Path, list[str]], source: ExportSource
) -> None:
    package = torch._inductor.aoti_load_package(str(exported[0] / "model.pt2"))
    torch.testing.assert_close(package(IMAGES), source.network(IMAGES).detach())


def test_a_package_says_what_it_was_compiled_for(exported: tuple[Path, list[str]]) -> None:
    _, metadata = metadata_of(exported[0])
    assert metadata == {
        "class_names": CLASSES,
        "preprocessing": msgspec.to_builtins(PREPROCESSING),
        "machine": platform.machine(),
        "instruction_sets": list(machine.code_instruction_sets(by_gcc=cpp_builder.is_gcc())),
    }


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"instruction_sets": ["AVX2", "AVX-1024"]}, "AVX-1024, which this has not"),
        ({"instruction_sets": ["AVX2", "avx512_vbmi3"]}, "avx512_vbmi3, which this has not"),
        ({"machine": "pdp11"}, "compiled for pdp11"),
    ],
)
def test_a_package_for_another_processor_is_not_loaded(
    changes: dict[str, object],
    reason: str,
    exported: tuple[Path, list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "code_instruction_sets", lambda: ("AVX2",))
    other = with_metadata(exported[0], tmp_path / "other", **changes)
    with pytest.raises(Unavailable, match=reason):
        TorchExport().load(other, "cpu", 1)


def test_exporting_leaves_nothing_outside(exported: tuple[Path, list[str]]) -> None:
    folder, left = exported
    assert [path.name for path in folder.iterdir()] == ["model.pt2"]
    assert left == []


def test_loading_leaves_nothing_outside(
    exported: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    runtime = TorchExport().load(exported[0], "cpu", 1)
    assert list(tmp_path.iterdir()) == []
    assert runtime(IMAGES.numpy()).shape == (len(IMAGES), len(CLASSES))


@pytest.mark.parametrize("name", [n for n in formats.names() if n.startswith("torch_")])
def test_without_a_compiler_a_row_is_skipped_and_says_so(
    name: str, source: ExportSource, tmp_path: Path
) -> None:
    with config.patch("cpp.cxx", ("no-such-compiler",)):
        entry = export_one(name, source, tmp_path / name)
        if entry.status == "ok":  # it is compiled when it is loaded
            with pytest.raises(Unavailable, match=r"no C\+\+ compiler: install g\+\+"):
                formats.get(name).load(tmp_path / name, "cpu", 1)
        else:
            assert entry.status == "skipped"
            assert entry.reason.startswith("no C++ compiler: install g++")
            assert not (tmp_path / name).exists()


@pytest.mark.slow
def test_compilation_happens_at_the_load_only(
    source: ExportSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "torch_compile"
    assert export_one("torch_compile", source, folder).status == "ok"
    monkeypatch.setattr(eager, "open_network", lambda _: source.network)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    runtime = TorchCompile().load(folder, "cpu", 1)
    left = [path.name for path in temporary.iterdir()]
    with torch.compiler.set_stance("fail_on_recompile"):
        for batch in (1, 2, 9):
            logits = torch.from_numpy(runtime(IMAGES[:batch].numpy()))
            torch.testing.assert_close(logits, source.network(IMAGES[:batch]).detach())
    assert left == []
    assert runtime.settings["compiler"] == "inductor"
    torch.compiler.reset()
