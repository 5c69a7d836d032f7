"""The bill of materials: the model with its hash, the program, the packages with their licences."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from src.bundle import sbom
from src.bundle.packages import Package, Software
from src.errors import UsageError
from src.run.manifest import Manifest
from src.run.reading import convert
from tests.report.writers.test_cards import manifest

CONTENTS = {
    "model.xml": b"graph",
    "model.bin": b"weights",
    "predict.py": b"pass",
    "README.md": b"!",
}
NUMPY = Package("numpy", "2.4.6", "BSD-3-Clause AND MIT", (), ())
PILLOW = Package("pillow", "13.0", "MIT-CMU", (), ())
ENGINE = Package("engine", "1.2", "A Licence Of Its Own", ("numpy", "part"), ("gone",))
PART = Package("part", "3", None, (), ())
SOFTWARE = Software((ENGINE, NUMPY, PILLOW), (ENGINE, NUMPY, PART, PILLOW))


def written(
    licence: str | None = None,
    software: Software = SOFTWARE,
    images: tuple[str, ...] = (),
    **changes: bytes,
) -> bytes:
    pytest.importorskip("cyclonedx")
    exported = convert(manifest(), Manifest)
    model = ("model.xml", "model.bin")
    return sbom.bill(
        exported, "openvino_fp32", software, CONTENTS | changes, model, licence, images
    )


def test_it_lists_the_model_the_program_and_the_packages() -> None:
    bill: dict[str, Any] = json.loads(written("LICENSE-model.txt"))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    model = bill["metadata"]["component"]
    assert (model["type"], model["name"]) == ("machine-learning-model", manifest()["model"])
    hashes = {
        part["name"]: part["hashes"] for part in (*model["components"], {**model, "name": "itself"})
    }
    for name, file in (("model.xml",) * 2, ("model.bin",) * 2, ("itself", "model.xml")):
        content = hashlib.sha256(CONTENTS[file]).hexdigest()
        assert hashes[name] == [{"alg": "SHA-256", "content": content}]
    assert model["licenses"] == [{"license": {"name": "see LICENSE-model.txt"}}]
    parts = {part["name"]: part for part in bill["components"]}
    assert set(parts) == {"predict.py", "engine", "numpy", "part", "pillow"}
    assert parts["predict.py"]["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    assert parts["numpy"]["purl"] == "pkg:pypi/numpy@2.4.6"
    assert parts["numpy"]["licenses"] == [{"expression": "BSD-3-Clause AND MIT"}]
    assert parts["pillow"]["licenses"] == [{"license": {"id": "MIT-CMU"}}]
    assert parts["engine"]["licenses"] == [{"license": {"name": "A Licence Of Its Own"}}]
    assert "licenses" not in parts["part"]
    needs = {part["ref"]: part.get("dependsOn", []) for part in bill["dependencies"]}
    assert needs["model"] == ["program"]
    assert needs["pkg:pypi/engine@1.2"] == ["pkg:pypi/numpy@2.4.6", "pkg:pypi/part@3"]


@pytest.mark.parametrize(
    ("build", "purl"),
    [
        (None, "pkg:pypi/torch@2.15.0"),
        (
            "cpu",
            "pkg:pypi/torch@2.15.0%2Bcpu?repository_url=https://download.pytorch.org/whl/cpu",
        ),
        ("our.cluster", "pkg:pypi/torch@2.15.0"),  # whose wheels nobody else can get
    ],
)
def test_it_names_the_builds_that_the_lock_names(build: str | None, purl: str) -> None:
    torch = Package("torch", "2.15.0", None, ("numpy",), (), build)
    software = Software((NUMPY, torch), (NUMPY, torch))
    bill: dict[str, Any] = json.loads(written(software=software))
    libraries = [part for part in bill["components"] if part["type"] == "library"]
    lock = [line for line in software.lock().splitlines() if not line.startswith("#")]
    assert sorted(f"{part['name']}=={part['version']}" for part in libraries) == lock
    (part,) = (part for part in libraries if part["name"] == "torch")
    assert unquote(part["purl"]) == unquote(purl)
    assert part["purl"].startswith(purl.partition("?")[0])


def test_it_lists_the_images_of_the_data_with_their_licence() -> None:
    images = {"test_image.png": b"one", "exam/000.jpg": b"two"}
    bill: dict[str, Any] = json.loads(written(images=tuple(images), **images))
    (data,) = (part for part in bill["components"] if part["type"] == "data")
    assert data["name"] == "test images of pets"
    assert data["licenses"] == [{"license": {"name": "CC0"}}]
    assert {part["name"]: part["hashes"][0]["content"] for part in data["components"]} == {
        name: hashlib.sha256(content).hexdigest() for name, content in images.items()
    }
    without: dict[str, Any] = json.loads(written())
    assert not [part for part in without["components"] if part["type"] == "data"]


def test_it_is_the_same_for_the_same_contents_and_another_for_others() -> None:
    first, again, other = written(), written(), written(**{"README.md": b"?"})
    assert first == again
    assert "timestamp" not in json.loads(first)["metadata"]
    serials = [json.loads(text)["serialNumber"] for text in (first, other)]
    assert serials[0] != serials[1]
    assert all(serial.startswith("urn:uuid:") for serial in serials)


VALIDATE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read())
sys.exit(problem and str(problem))
"""


@pytest.mark.slow
def test_it_has_the_shape_of_the_schema(tmp_path: Path) -> None:
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("no uv to make an environment with")
    python = tmp_path / "environment" / "bin" / "python"
    subprocess.run([uv, "venv", tmp_path / "environment"], check=True)
    library = "cyclonedx-python-lib[json-validation]"
    subprocess.run([uv, "pip", "install", "--python", python, library], check=True)
    for content, is_valid in (
        (written(), True),
        (written(images=("test_image.png",), **{"test_image.png": b"an image"}), True),
        (written().replace(b"SHA-256", b"SHA"), False),
    ):
        ended = subprocess.run([python, "-c", VALIDATE], input=content, check=False)
        assert (ended.returncode == 0) == is_valid


def test_it_is_written_where_its_library_is_installed_and_else_refused_if_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sbom, "missing_packages", lambda _: [])
    assert [sbom.is_wanted(option) for option in (None, True, False)] == [True, True, False]
    monkeypatch.setattr(sbom, "missing_packages", list)
    assert [sbom.is_wanted(option) for option in (None, False)] == [False, False]
    with pytest.raises(UsageError, match=r"sbom: .*; pip install cyclonedx-python-lib"):
        sbom.is_wanted(True)
