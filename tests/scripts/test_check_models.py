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
    assert len(check_models.every_name()) >= 60


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
        path = check_models.file_of(tmp_path, candidate.model)
        path.write_text(json.dumps(as_dict(candidate)))
    text = "\n".join(
        check_models.table([check_models.read(tmp_path, n) for n in ("timm/a", "timm/b")])
    )
    assert "0 of 2 networks work" in text
    assert "random weights, 2 threads of A." in text
    assert "| timm/a | 1.50 | 0.040 | 5.0 | - | 12.30 | - | 12.30 ~busy |" in text
    assert "- timm/a, `onnx_int8` failed: no kernel" in text
    assert "- timm/b failed: too small" in text


def test_figures_of_another_machine_or_version_are_not_taken_for_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keep(key: str) -> None:
        record = Candidate(model="timm/a", image_size=224, key=key, status="ok", files=[])
        check_models.file_of(tmp_path, "timm/a").write_text(json.dumps(as_dict(record)))

    assert not check_models.is_known(tmp_path, "timm/a")
    keep(check_models.circumstances())
    assert check_models.is_known(tmp_path, "timm/a")
    keep("64 threads of another")
    assert not check_models.is_known(tmp_path, "timm/a")
    keep(check_models.circumstances())
    versions = {**check_models.package_versions(), "torch": "1.0"}
    monkeypatch.setattr(check_models, "package_versions", lambda: versions)
    assert not check_models.is_known(tmp_path, "timm/a")


def test_formats_with_environments_of_their_own_have_figures_and_a_table_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {"mnn", "ncnn", "litert", "executorch", "onnx_openvino"} <= {*check_models.own_formats()}
    assert not {"eager", "onnx_fp32", "openvino_int8"} & {*check_models.own_formats()}
    options = check_models.export_options(own=True)
    assert options.formats == ["onnx_fp32", *check_models.own_formats()]
    assert options.judging_images == 0
    pytest.importorskip("timm")
    few = check_models.every_name(own=True)
    assert len(few) == 10
    assert set(few) <= set(check_models.every_name())  # so they are in the other table as well
    usual = check_models.file_of(tmp_path, "timm/a")
    assert check_models.file_of(tmp_path, "timm/a", own=True) != usual
    key = check_models.circumstances(own=True)
    record = Candidate(model="timm/a", image_size=224, key=key, status="ok", files=[])
    check_models.file_of(tmp_path, "timm/a", own=True).write_text(json.dumps(as_dict(record)))
    assert check_models.is_known(tmp_path, "timm/a", own=True)
    assert not check_models.is_known(tmp_path, "timm/a")
    lines = check_models.table([check_models.read(tmp_path, "timm/a", own=True)], own=True)
    assert lines[0].startswith("1 of 1 networks work in every one of these formats. Batch 1")
    # Another lock is another environment, and so are its figures.
    monkeypatch.setattr(check_models, "environment_of", lambda name: f"{name}-another")
    assert not check_models.is_known(tmp_path, "timm/a", own=True)


@pytest.mark.slow
def test_a_network_by_name_works_in_the_formats_with_environments_of_their_own() -> None:
    candidate = check_models.one("torchvision/shufflenet_v2_x0_5", side=64, own=True)
    files = {file.format: file for file in candidate.files}
    assert set(files) == {"onnx_fp32", *check_models.own_formats()}
    failed = {name: file.reason for name, file in files.items() if file.status == "failed"}
    assert failed == {}
