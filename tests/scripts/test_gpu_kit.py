"""The GPU kit as far as a CPU can try it: its plan, its wheels, its tables, and a dry run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "scripts"))

from gpu import __main__ as kit
from gpu import page, plan, wheels
from gpu.inventory import inventory

RESULTS: dict[str, Any] = json.loads((ROOT / "docs" / "gpu.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("onnx", [False, True])
@pytest.mark.parametrize(("dry_run", "quick"), [(False, False), (True, False), (False, True)])
def test_the_limits_of_all_parts_add_up_to_eight_minutes(
    dry_run: bool, quick: bool, onnx: bool, tmp_path: Path
) -> None:
    chosen = plan.setting(dry_run=dry_run, quick=quick, onnx=onnx)
    parts = plan.parts(chosen, tmp_path)
    assert sum(part.seconds for part in parts) == pytest.approx(plan.SECONDS * chosen.share)
    assert chosen.share <= 1
    assert [part.name for part in parts] == [
        "prepare", "rows", "timing", "training", "trace", "tests",
    ]  # fmt: skip


def test_a_part_that_hangs_is_stopped_and_what_it_wrote_counts(tmp_path: Path) -> None:
    program = (
        "import sys, time; open(sys.argv[1], 'w').write('{\"half\": 1}'); "
        "print('so far', flush=True); time.sleep(600)"
    )
    part = plan.Part("slow", 3, (sys.executable, "-c", program, str(tmp_path / "slow.json")))
    outcome = kit.outcome_of(part, tmp_path)
    assert outcome["status"] == "stopped"
    assert outcome["content"] == {"half": 1}
    assert "so far" in outcome["log"]


def test_a_part_that_fails_says_why(tmp_path: Path) -> None:
    part = plan.Part("broken", 30, (sys.executable, "-c", "raise SystemExit('no driver')"))
    outcome = kit.outcome_of(part, tmp_path)
    assert (outcome["status"], outcome["content"]) == ("failed", None)
    assert "no driver" in outcome["log"]


def test_only_what_the_other_machine_lacks_is_named() -> None:
    everything = dict(line.split("==") for line in inventory())
    assert [name.partition("==")[0] for name in wheels.missing(everything, "3.12")] in (
        [],
        ["nvidia-ml-py"],
    )
    del everything["jsonargparse"], everything["rich"]
    missing = [name.partition("==")[0] for name in wheels.missing(everything, "3.12")]
    assert {"jsonargparse", "rich"} <= set(missing)
    everything["rich"] = "1.0"  # too old
    assert "rich" in [name.partition("==")[0] for name in wheels.missing(everything, "3.12")]


def test_a_bare_machine_needs_no_second_pytorch() -> None:
    missing = [name.partition("==")[0] for name in wheels.missing(wheels.read(None), "3.12")]
    assert not {"torch", "torchvision", "triton", "onnxruntime-gpu"} & set(missing)
    assert {"lightning", "numpy", "onnxruntime", "pytest", "typeshed-client"} <= set(missing)


def test_the_tables_stand_between_the_marks_of_the_page(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n")
    page.write(RESULTS, path)
    text = path.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert RESULTS["environment"]["gpu"]["name"] in text
    assert "| `eager_cuda_graph` | fp32 |" in text


def test_the_page_has_what_the_kept_results_say(tmp_path: Path) -> None:
    for name, fill in (("gpu.md", page.write), ("source-report.md", page.fill_source_report)):
        copy = tmp_path / name
        copy.write_text((ROOT / "docs" / name).read_text(encoding="utf-8"), encoding="utf-8")
        fill(RESULTS, copy)
        assert copy.read_text(encoding="utf-8") == (ROOT / "docs" / name).read_text("utf-8")


@pytest.mark.slow
def test_a_dry_run_answers_every_part_on_a_cpu(tmp_path: Path) -> None:
    ended = subprocess.run(
        [ROOT / "scripts" / "check_gpu", "--dry-run", "--patience", "5", "--out", tmp_path],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    results = json.loads((tmp_path / "gpu.json").read_text())
    assert {part["status"] for part in results["parts"].values()} == {"ok"}
    assert "| `torchscript` | fp32 |" in ended.stdout
    assert "### Training" in ended.stdout


def test_without_a_gpu_the_kit_says_so_in_one_line(tmp_path: Path) -> None:
    ended = subprocess.run(
        [ROOT / "scripts" / "check_gpu", "--out", tmp_path],
        env={**os.environ, "PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("check_gpu: torch finds no GPU here")
    assert "Traceback" not in ended.stderr


def test_a_python_without_packages_lists_none_and_is_refused_in_one_line(tmp_path: Path) -> None:
    venv.create(tmp_path / "bare")  # without pip
    environment = {**os.environ, "PYTHON": str(tmp_path / "bare" / "bin" / "python")}
    environment.pop("PYTHONPATH", None)
    kit_command = ROOT / "scripts" / "check_gpu"
    listed = subprocess.run(
        [kit_command, "--inventory"], env=environment, capture_output=True, text=True, check=True
    )
    assert listed.stdout.split() == []
    for words in ([], ["--wheels", tmp_path / "wheels"], ["--tables", Path(kit.__file__)]):
        ended = subprocess.run(
            [kit_command, *words], env=environment, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 1
        (line,) = ended.stderr.splitlines()
        assert line.startswith("check_gpu: ")
        assert "has no package" in line


@pytest.mark.parametrize("option", ["--has", "--tables"])
def test_a_missing_file_is_named(option: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [ROOT / "scripts" / "check_gpu", option, tmp_path / "none.json"],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert "expected a file, found none at" in ended.stderr.splitlines()[-1]
