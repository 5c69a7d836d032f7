"""Bundles of every runtime, run as a user of them does: the answers of the evaluation."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from src import formats
from src.errors import UsageError
from src.run.folder import Run
from src.system.packages import missing_packages
from tests.deployment.conftest import Evaluation, command, evaluate
from tests.deployment.test_bundle import (
    INSTALL,
    bundled,
    classify,
    new_environment,
    require_answers_of,
)

Evaluated = Callable[[str], Evaluation]
WITHOUT_TORCH = ["onnx_int8_dynamic", "openvino_fp32"]
# A bundle answers one image at a time, the evaluation 64 at once: other kernels, other last bits.
WITHIN = 1e-5


def require_bundle(run: Run, name: str, tmp_path: Path, *words: str) -> Path:
    """Pack a format, and compare the bundle's answers with the evaluation's."""
    if missing := missing_packages(formats.get(name).runs_with):
        pytest.skip(f"not installed: {missing}")
    bundle = bundled(run, tmp_path / "model.zip", f"format={name}", *words)
    expected = evaluate(run, name)
    ended = classify(bundle, "--check", "--json", *expected.paths, torch="torch" in name)
    require_answers_of(expected, ended, WITHIN)
    return bundle


@pytest.mark.slow
@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_a_bundle_of_another_runtime_predicts_as_the_evaluation_without_torch(
    complete_run: Run, name: str, tmp_path: Path
) -> None:
    bundle = require_bundle(complete_run, name, tmp_path)
    programs = {path.name for path in bundle.glob("*.py") if path.name.startswith("runtime_")}
    assert programs == {f"runtime_{formats.get(name).runs_with[0]}.py"}
    assert "torch" not in (bundle / "requirements.lock").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("install", INSTALL)
def test_a_bundle_of_openvino_runs_in_a_new_environment(
    complete_run: Run, tmp_path: Path, install: str
) -> None:
    pytest.importorskip("openvino")
    bundle = bundled(complete_run, tmp_path / "model.zip", "format=openvino_fp32")
    python = new_environment(bundle, tmp_path / "environment", *INSTALL[install])
    expected = evaluate(complete_run, "openvino_fp32")
    ended = classify(bundle, "--check", "--json", *expected.paths, python=python)
    require_answers_of(expected, ended, WITHIN)


@pytest.mark.slow
def test_a_bundle_of_torchscript_predicts_as_the_evaluation(
    complete_run: Run, tmp_path: Path
) -> None:
    bundle = require_bundle(complete_run, "torchscript", tmp_path)
    card = (bundle / "README.md").read_text(encoding="utf-8")
    assert "**Load it only if you trust who made it.** A TorchScript file is a program" in card
    content = bytearray((bundle / "model.pt").read_bytes())
    content[-1] ^= 1
    (bundle / "model.pt").write_bytes(content)
    ended = classify(bundle, "--check", torch=True)
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: model.pt is not the file that was packed")
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_a_bundle_of_compiled_code_predicts_as_the_evaluation(
    complete_run: Run, tmp_path: Path
) -> None:
    copy = Run(tmp_path / "version_2")
    shutil.copytree(complete_run.folder, copy.folder)
    options = ("formats=[torch_export]", "embed_preprocessing=false")
    ended = command(Path.cwd(), "src.export", str(copy.folder), *options)
    assert ended.returncode == 0, ended.stderr
    bundle = require_bundle(copy, "torch_export", tmp_path)
    assert "torch==" in (bundle / "requirements.txt").read_text()
    assert "machine code" in (bundle / "README.md").read_text(encoding="utf-8")


def test_a_bundle_of_the_recommended_format_has_licence_bill_and_a_signature_that_verifies(
    run: Run, evaluation: Evaluated, tmp_path: Path
) -> None:
    pytest.importorskip("cryptography")
    (tmp_path / "terms.txt").write_text("For the sea only.")
    for make in (
        "openssl ecparam -name prime256v1 -genkey -noout -out key.pem",
        "openssl pkey -in key.pem -pubout -out key.pub",
    ):
        subprocess.run(make.split(), cwd=tmp_path, check=True, capture_output=True)
    words = (f"licence={tmp_path / 'terms.txt'}", f"sign={tmp_path / 'key.pem'}")
    folder = bundled(run, tmp_path / "model.zip", *words)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert f"as `model.onnx` ({run.read_benchmark().recommended['cpu']})" in card
    assert "The model: `LICENSE-model.txt`." in card
    assert (folder / "LICENSE-model.txt").read_text() == "For the sea only."
    # The commands of the README.
    [openssl] = [line.strip() for line in card.splitlines() if "openssl dgst" in line]
    sums = "sha256sum -c SHA256SUMS"
    assert f"    {sums}\n" in card
    for line in (openssl, sums):
        ended = subprocess.run(line.split(), cwd=folder, capture_output=True, check=False)
        assert ended.returncode == 0, (line, ended.stdout, ended.stderr)
    listed = {line.split()[1] for line in (folder / "SHA256SUMS").read_text().splitlines()}
    signatures = {"SHA256SUMS", "SHA256SUMS.sig", "model.sig"}
    assert {path.name for path in folder.iterdir()} - listed == signatures
    if importlib.util.find_spec("cyclonedx"):
        bill = json.loads((folder / "sbom.cdx.json").read_text())
        assert bill["metadata"]["component"]["type"] == "machine-learning-model"
        locked = (folder / "requirements.lock").read_text().split()
        libraries = [part for part in bill["components"] if part["type"] == "library"]
        assert [f"{part['name']}=={part['version']}" for part in libraries] == locked
    # Using it leaves the folder as it was signed.
    assert json.loads((folder / "model.json").read_text())["threads"] == 1
    assert classify(folder, "--check", "--threads", "measured").returncode == 0
    assert {path.name for path in folder.iterdir()} == listed | signatures
    (tmp_path / "again").mkdir()
    bundled(run, tmp_path / "again" / "model.zip", *words)
    archives = [path.read_bytes() for path in tmp_path.rglob("model.zip")]
    assert len(archives) == 2
    assert archives[0] == archives[1]
    with zipfile.ZipFile(tmp_path / "model.zip") as archive:
        assert len(archive.namelist()) == len(listed) + 3


def test_preprocessing_inside_is_refused_for_a_format_that_cannot_have_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(formats.get("onnx_fp32")), "embeds", False)
    with pytest.raises(UsageError, match=r"embedded: expected a format that can hold"):
        bundled(run, tmp_path / "model.zip", "format=onnx_fp32", "embedded=true")
