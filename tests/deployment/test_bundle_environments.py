"""Bundles of formats with an environment of their own: the answers of the run, and no Lightship.

The environments are made at the first use, which takes a network.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from src import formats
from src.backends.base import Unavailable
from src.backends.own_environment import OwnEnvironment
from src.compare.collection import exams_among
from src.errors import UsageError
from src.run.folder import Run
from tests.deployment.conftest import command, evaluate
from tests.deployment.test_bundle import INSTALL, bundled, classify, new_environment
from tests.deployment.test_bundle_formats import WITHIN, require_answers_of

NAMES = [
    name
    for name in formats.names()
    if formats.get(name).environment and formats.get(name).can_be_bundled
]
EXAM = 12  # images


def environment_of(name: str) -> OwnEnvironment:
    environment = formats.get(name).environment
    assert environment
    return environment


@pytest.fixture(scope="module")
def measured(run: Run, started_in: None) -> Run:
    """The run with these formats, exported and measured."""
    for name in NAMES:
        try:
            environment_of(name).python()
        except Unavailable as error:
            pytest.skip(str(error))
    copy = Run(run.folder.with_name("version_2"))
    shutil.copytree(run.folder, copy.folder)
    names = ",".join((*NAMES, "onnx_fp32"))
    for stage, *options in (
        ("src.export", f"formats=[{names}]", "calibration_images=16"),
        ("src.benchmark",),  # with the options of the training
    ):
        ended = command(Path.cwd(), stage, str(copy.folder), *options)
        assert ended.returncode == 0, ended.stderr
    return copy


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_bundle_answers_and_passes_its_exam_in_the_environment_of_its_runtime(
    measured: Run, name: str, tmp_path: Path
) -> None:
    bundle = bundled(measured, tmp_path / "model.zip", f"format={name}", f"exam={EXAM}")
    bundling = formats.get(name).bundling
    assert bundling
    programs = {path.stem for path in bundle.glob("runtime_*.py")}
    assert programs == {bundling.runtime, *bundling.imports}
    python = str(environment_of(name).python())
    expected = evaluate(measured, name)
    ended = classify(bundle, "--check", "--json", *expected.paths, python=python)
    require_answers_of(expected, ended, WITHIN)
    output = tmp_path / "measurement.json"
    taken = subprocess.run(
        [python, bundle / "predict.py", "--exam", "--seconds", "1", "--output", output],
        capture_output=True,
        text=True,
        check=False,
    )
    assert taken.returncode == 0, taken.stderr
    [exam] = exams_among([str(output)])
    assert exam.record.holds
    assert exam.record.answers.flips == []
    assert exam.record.answers.beyond_rounding == 0
    # Both machines are this one: the same versions of the same packages.
    versions = exam.record.environment.packages
    assert exam.record.home.packages.items() <= versions.items()
    package = bundling.packages[0]
    assert versions[package]
    assert exam.record.row.setting("runtime") == f"{package} {versions[package]}"


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_bundle_runs_with_its_requirements_alone(
    measured: Run, name: str, tmp_path: Path
) -> None:
    bundle = bundled(measured, tmp_path / "model.zip", f"format={name}")
    python = new_environment(bundle, tmp_path / "environment", *INSTALL["exact versions"])
    ended = classify(bundle, "--check", python=python)
    assert ended.returncode == 0, ended.stderr
    listed = subprocess.check_output(
        [
            python,
            "-c",
            "import importlib.metadata as m; print(*[d.name for d in m.distributions()])",
        ],
        text=True,
    )
    assert not {"msgspec", "torch", "onnx"} & set(listed.split())
    # The licence and the version of every package are in the bill.
    bill = bundle / "sbom.cdx.json"
    if bill.is_file():
        parts = json.loads(bill.read_text())["components"]
        libraries = {part["name"]: part for part in parts if part["type"] == "library"}
        lock = (bundle / "requirements.lock").read_text().splitlines()
        locked = dict(line.split("==") for line in lock if line[0] != "#")
        assert {key: part["version"] for key, part in libraries.items()} == locked
        assert all(part["licenses"] for part in libraries.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_another_file_is_found_by_the_exam(measured: Run, name: str, tmp_path: Path) -> None:
    bundle = bundled(measured, tmp_path / "model.zip", f"format={name}", f"exam={EXAM}")
    about = json.loads((bundle / "model.json").read_text())
    weights = bundle / about["model"]
    if weights.suffix == ".param":
        weights = weights.with_suffix(".bin")
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1  # of a weight
    weights.write_bytes(content)
    taken = subprocess.run(
        [environment_of(name).python(), bundle / "predict.py", "--exam", "--seconds", "1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert taken.returncode == 1
    assert f"{weights.name} is another file than was packed" in taken.stdout + taken.stderr


@pytest.mark.parametrize("name", NAMES)
def test_without_its_environment_a_format_is_not_bundled(
    run: Run, started_in: None, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(_: OwnEnvironment) -> Path:
        raise Unavailable("environments/x cannot be installed: no network; try again")

    monkeypatch.setattr(OwnEnvironment, "python", unavailable)
    manifest = run.manifest.read_text()
    folder = run.exports / name
    bundling = formats.get(name).bundling
    assert bundling
    shutil.copytree(run.exports / "onnx_int8", folder)
    try:
        for file in bundling.files:
            if not (folder / file).is_file():
                (folder / file).write_bytes(b"")
        run.manifest.write_text(manifest.replace('"onnx_int8"', f'"{name}"'))
        with pytest.raises(UsageError, match=r"format: .*no network; try again"):
            bundled(run, tmp_path / "model.zip", f"format={name}")
    finally:
        run.manifest.write_text(manifest)
        shutil.rmtree(folder)
    assert not list(tmp_path.iterdir())
