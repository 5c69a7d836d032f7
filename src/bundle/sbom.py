"""The software bill of materials of a bundle, in CycloneDX's JSON.

https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import hashlib
import io
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from src.bundle.packages import Package, Software
from src.errors import UsageError
from src.run.manifest import Manifest
from src.system.packages import missing_packages

if TYPE_CHECKING:
    from cyclonedx.model.component import Component
    from cyclonedx.model.license import License

FILE = "sbom.cdx.json"
_PACKAGE = "cyclonedx"


def is_wanted(option: bool | None) -> bool:
    """Return True if a bill of materials is to be written.

    Args:
        option: as the user set it; None writes one if the library is installed.

    Raises:
        UsageError: it was asked for, and the library is not installed.
    """
    missing = bool(missing_packages([_PACKAGE]))
    if option and missing:
        raise UsageError(
            "sbom",
            expected="the package cyclonedx-python-lib, which writes the bill of materials",
            found="none installed",
            remedy="pip install cyclonedx-python-lib, or leave out sbom=true",
        )
    return not missing if option is None else option


def bill(
    manifest: Manifest,
    name: str,
    software: Software,
    contents: Mapping[str, bytes],
    model: Sequence[str],
    licence: str | None,
    images: Sequence[str] = (),
) -> bytes:
    """Return the bill of materials.

    It has no time, and its serial number follows from the contents, so the same bundle has the
    same bytes.

    Args:
        manifest: of the model.
        name: the format.
        software: the packages that run it.
        contents: all files of the bundle so far.
        model: names of those that hold the model, the one to open first.
        licence: name of the file with the licence of the model, if there is one.
        images: names of those that show images of the run's data.
    """
    from cyclonedx.model.bom import Bom
    from cyclonedx.output.json import JsonV1Dot6

    hashes = {file: hashlib.sha256(content).hexdigest() for file, content in contents.items()}
    about = _model(manifest, name, {file: hashes[file] for file in model}, licence)
    program = _program({file: hashes[file] for file in contents if file.endswith(".py")})
    data = [_data(manifest, {file: hashes[file] for file in images})] if images else []
    packages = {package.name: _library(package) for package in software.every}
    identity = hashlib.sha256("".join(sorted(hashes.values())).encode()).digest()
    bom = Bom(
        components=[program, *data, *packages.values()],
        serial_number=uuid.UUID(bytes=identity[:16], version=5),
    )
    bom.metadata.component = about
    bom.register_dependency(about, [program])
    bom.register_dependency(program, [packages[package.name] for package in software.direct])
    for package in software.every:
        bom.register_dependency(
            packages[package.name], [packages[other] for other in package.requires]
        )
    content: dict[str, Any] = json.loads(JsonV1Dot6(bom).output_as_string())
    del content["metadata"]["timestamp"]
    text = io.StringIO()
    json.dump(content, text, indent=1, sort_keys=True)
    return (text.getvalue() + "\n").encode()


def _model(
    manifest: Manifest, name: str, hashes: Mapping[str, str], licence: str | None
) -> Component:
    from cyclonedx.model import Property
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.license import DisjunctiveLicense

    facts = {
        "run": manifest.run,
        "format": name,
        "checkpoint_sha256": manifest.checkpoint.sha256,
        "dataset": manifest.origin.dataset if manifest.origin else None,
        "dataset_licence": manifest.origin.licence if manifest.origin else None,
    }
    return Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=manifest.model,
        version=manifest.checkpoint.sha256,
        bom_ref="model",
        hashes=_sha256(next(iter(hashes.values()))),
        licenses=[DisjunctiveLicense(name=f"see {licence}")] if licence else [],
        properties=[
            Property(name=f"lightship:{key}", value=value) for key, value in facts.items() if value
        ],
        components=_files(hashes),
    )


def _program(hashes: Mapping[str, str]) -> Component:
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.license import DisjunctiveLicense

    return Component(
        type=ComponentType.APPLICATION,
        name="predict.py",
        group="Lightship",
        bom_ref="program",
        licenses=[DisjunctiveLicense(id="Apache-2.0")],
        components=_files(hashes),
    )


def _data(manifest: Manifest, hashes: Mapping[str, str]) -> Component:
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.license import DisjunctiveLicense

    origin = manifest.origin
    dataset = origin.dataset if origin and origin.dataset else manifest.run
    return Component(
        type=ComponentType.DATA,
        name=f"test images of {dataset}",
        bom_ref="images",
        licenses=[DisjunctiveLicense(name=origin.licence)] if origin and origin.licence else [],
        components=_files(hashes),
    )


def _files(hashes: Mapping[str, str]) -> list[Component]:
    from cyclonedx.model.component import Component, ComponentType

    return [
        Component(
            type=ComponentType.FILE, name=file, bom_ref=f"file:{file}", hashes=_sha256(sha256)
        )
        for file, sha256 in hashes.items()
    ]


def _sha256(content: str) -> list[Any]:
    from cyclonedx.model import HashAlgorithm, HashType

    return [HashType(alg=HashAlgorithm.SHA_256, content=content)]


def _library(package: Package) -> Component:
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    index = {} if package.index is None else {"repository_url": package.index}
    url = PackageURL("pypi", None, package.name, package.exact, index)
    return Component(
        type=ComponentType.LIBRARY,
        name=package.name,
        version=package.exact,
        bom_ref=url.to_string(),
        purl=url,
        licenses=[_licence(package.licence)] if package.licence else [],
    )


def _licence(text: str) -> License:
    """Return a licence by its SPDX identifier or expression, or else by its name."""
    from cyclonedx import spdx
    from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression

    if spdx.is_supported_id(text):
        return DisjunctiveLicense(id=text)
    return LicenseExpression(text) if spdx.is_expression(text) else DisjunctiveLicense(name=text)
