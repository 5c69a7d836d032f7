"""Networks by name through every default format, and the table of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec
import pytest

from src.forecast.records import Candidate, FileCost, Timing
from src.run.layout import as_dict
from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "scripts"))

import check_models

# A small network of each family.
SAMPLE = (
    "torchvision/googlenet",
    "torchvision/mnasnet0_5",
    "torchvision/mobilenet_v3_small",
    "torchvision/regnet_y_400mf",
    "torchvision/shufflenet_v2_x0_5",
    "torchvision/squeezenet1_1",
    "torchvision/swin_t",
    "timm/convnext_atto",
    "timm/efficientnet_lite0",
    "timm/ghostnet_050",
    "timm/lcnet_050",
    "timm/mixer_s32_224",
    "timm/vit_tiny_patch16_224",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLE)
def test_a_network_of_each_family_works_in_every_default_format(name: str) -> None:
    candidate = check_models.one(name, side=64)
    failed = {file.format: file.reason for file in candidate.files if file.status != "ok"}
    assert failed == {}
    assert len(candidate.files) == 5


def test_every_name_of_the_list_is_a_network() -> None:
    from src.models import timm_networks, torchvision_networks

    assert set(check_models.TORCHVISION) <= set(torchvision_networks.names())
    pytest.importorskip("timm")
    assert set(check_models.TIMM) <= set(timm_networks.names())
    assert len(check_models.installed(check_models.DEFAULT.networks)) >= 60


def test_the_table_names_the_reason_of_each_failure(tmp_path: Path) -> None:
    timing = Timing(batch_size=1, p50_s=0.0123, low_s=0.012, high_s=0.013, unstable=[])
    works = FileCost(
        format="onnx_fp32", device="cpu", status="ok", size_bytes=5_000_000, timings=[timing]
    )
    disturbed = msgspec.structs.replace(timing, unstable=["busy", "spread"])
    beside = msgspec.structs.replace(works, format="eager", timings=[disturbed])
    broken = FileCost(
        format="onnx_int8", device="cpu", status="failed", reason="no\nkernel", timings=[]
    )
    candidates = [
        Candidate(
            model="timm/a",
            image_size=224,
            key="2 threads of A",
            status="ok",
            parameters=1_500_000,
            macs=40_000_000,
            files=[works, broken, beside],
        ),
        Candidate(
            model="timm/b",
            image_size=224,
            key="2 threads of A",
            status="failed",
            reason="too small",
            files=[],
        ),
    ]
    for candidate in candidates:
        path = check_models.DEFAULT.file(tmp_path, candidate.model)
        path.write_text(json.dumps(as_dict(candidate)))
    kept = [check_models.DEFAULT.read(tmp_path, name) for name in ("timm/a", "timm/b")]
    text = "\n".join(check_models.table(kept))
    assert "0 of 2 networks work" in text
    assert "random weights, 2 threads of A." in text
    assert "| timm/a | 1.50 | 0.040 | 5.0 | - | 12.30 | - | 12.30 ~busy |" in text
    assert "- timm/a, `onnx_int8` failed: no kernel" in text
    assert "- timm/b failed: too small" in text


def test_figures_of_another_machine_or_version_are_not_taken_for_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    default = check_models.DEFAULT

    def keep(key: str) -> None:
        record = Candidate(model="timm/a", image_size=224, key=key, status="ok", files=[])
        default.file(tmp_path, "timm/a").write_text(json.dumps(as_dict(record)))

    assert not default.is_known(tmp_path, "timm/a")
    keep(default.circumstances())
    assert default.is_known(tmp_path, "timm/a")
    keep("64 threads of another")
    assert not default.is_known(tmp_path, "timm/a")
    keep(default.circumstances())
    versions = {**check_models.package_versions(), "torch": "1.0"}
    monkeypatch.setattr(check_models, "package_versions", lambda: versions)
    assert not default.is_known(tmp_path, "timm/a")


def test_formats_with_environments_of_their_own_have_figures_and_a_table_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    default, own = check_models.DEFAULT, check_models.OWN
    assert {"mnn", "ncnn", "litert", "executorch", "onnx_openvino"} <= {*own.formats}
    assert {*own.formats} & {"eager", "onnx_fp32", "openvino_int8"} == {own.baseline}
    assert len(own.networks) == 10
    assert {*own.networks} <= {*default.networks}  # so they are in the other table as well
    assert own.marks[0] == "<!-- made by scripts/check_models.py --own: begin -->"
    assert own.file(tmp_path, "timm/a") != default.file(tmp_path, "timm/a")
    key = own.circumstances()
    record = Candidate(model="timm/a", image_size=224, key=key, status="ok", files=[])
    own.file(tmp_path, "timm/a").write_text(json.dumps(as_dict(record)))
    assert own.is_known(tmp_path, "timm/a")
    assert not default.is_known(tmp_path, "timm/a")
    [first, *_] = check_models.table([own.read(tmp_path, "timm/a")], own.phrase)
    assert first.startswith("1 of 1 networks work in every one of these formats. Batch 1")
    # Another lock is another environment, and so are its figures.
    monkeypatch.setattr(check_models, "environment_of", lambda name: f"{name}-another")
    assert not own.is_known(tmp_path, "timm/a")


@pytest.mark.slow
def test_a_network_by_name_works_in_the_formats_with_environments_of_their_own() -> None:
    own = check_models.OWN
    candidate = check_models.one("torchvision/shufflenet_v2_x0_5", own, side=64)
    files = {file.format: file for file in candidate.files}
    assert set(files) == {*own.formats}
    failed = {name: file.reason for name, file in files.items() if file.status == "failed"}
    assert failed == {}
