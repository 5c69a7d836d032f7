"""The benchmark stage with planted formats: failures, records and the reference outputs."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from src.benchmark.options import BenchmarkOptions
from src.benchmark.suite import measure, require_success
from src.errors import LightshipError, UsageError
from src.export.stage import PROBE
from src.report.sections.footnotes import footnotes
from src.run.folder import Run
from src.run.layout import as_dict
from src.run.reading import convert
from src.run.row import Row
from src.system import atomic_files
from tests.benchmark.planted_formats import (
    FEW,
    NAMES,
    OPTIONS,
    Data,
    only,
    silent,
    taken,
)
from tests.conftest import ROOT
from tests.report.planted import FAILED
from tests.report.planted import row as table_row


def require_no_worker() -> None:
    """Fail if a worker process of a measurement is left."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    if children.exists():
        pids = children.read_text().split()
        alive = [Path(f"/proc/{pid}/cmdline").read_text() for pid in pids]
        assert not [command for command in alive if "src.worker.server" in command]


def test_a_failure_affects_only_its_own_row(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    results = measure(run, Data(), OPTIONS, silent)

    rows = {row.format: row for row in results.rows}
    assert list(rows) == NAMES
    status = {name: row.status for name, row in rows.items()}
    assert status == {
        "eager": "ok",
        "talking": "ok",
        "shifted": "failed",
        "crashing": "failed",
        "hanging": "failed",
        "eating": "failed",
        "elsewhere": "skipped",
        "elsewhere-silently": "failed",
        "unloadable": "failed",
        "broken": "failed",
        "unsynchronised": "failed",
    }
    assert "does not wait for the device" in str(rows["unsynchronised"].reason)
    assert "logits differ by" in str(rows["shifted"].reason)
    assert "SIGABRT" in str(rows["crashing"].reason)
    assert "within 15 s" in str(rows["hanging"].reason)
    assert "over benchmark.max_memory_bytes=1000000000; killed" in str(rows["eating"].reason)
    assert rows["elsewhere-silently"].reason == "asked for device cpu, runs with gpu"
    assert rows["elsewhere-silently"].setting("device") == "gpu"
    assert rows["elsewhere"].reason == "not on this machine"
    assert rows["unloadable"].reason == "ValueError: no such file"
    assert rows["broken"].reason == "it could not be exported"
    for name, row in rows.items():
        timed = [(cell.batch_size, cell.samples, cell.rounds) for cell in row.latency]
        assert timed == ([(1, 15, 3), (3, 15, 3)] if status[name] == "ok" else [])
    accuracy = rows["talking"].accuracy
    assert accuracy
    assert accuracy.paired
    assert accuracy.top1 == 1.0
    assert accuracy.paired.delta_top1 == 0.0
    assert rows["talking"].size_bytes == len("talking")
    speedup = rows["talking"].latency[0].speedup
    assert speedup
    assert speedup.low > 0
    scored = results.dataset
    assert (scored.name, scored.split, scored.images) == ("planted", "test", 50)
    assert scored.also_in_calibration == 0
    # On disk as returned, and nothing of it on standard output.
    assert run.read_benchmark() == results
    assert rows["talking"].idle_between_turns is True
    assert rows["talking"].profile
    assert rows["talking"].profile.time == {"fp32": 1.0}
    assert "own words" not in capfd.readouterr().out
    require_no_worker()


def test_a_run_that_was_calibrated_on_the_scored_images_is_refused(run: Run) -> None:
    manifest = as_dict(run.read_manifest())
    manifest["formats"] = {"eager": manifest["formats"]["eager"]}
    manifest["calibration"]["images_sha256"] = [
        atomic_files.sha256_of(image) for image in Data().images[:20]
    ]
    run.manifest.write_text(json.dumps(manifest))
    with pytest.raises(UsageError, match="found 20 of 20 that are"):
        measure(run, Data(), OPTIONS, silent)
    assert not run.benchmark.exists()


def test_a_second_measurement_keeps_the_first_in_its_own_file(run: Run) -> None:
    few = BenchmarkOptions(
        batch_sizes=[1], threads=1, processes=1, rounds=2, samples=2, warmup_seconds=0.01,
        pipeline=False,
    )  # fmt: skip
    for name in NAMES:
        if name != "eager":
            entries = as_dict(run.read_manifest())
            entries["formats"].pop(name)
            run.manifest.write_text(json.dumps(entries))
    first = measure(run, Data(), few, silent)
    second = measure(run, Data(), few, silent)
    kept = [json.loads(file.read_text()) for file in sorted(run.measurements.iterdir())]
    assert sorted(measurement["measured_seconds"] for measurement in kept) == sorted(
        measurement.measured_seconds for measurement in (first, second)
    )
    assert run.read_benchmark().measured_seconds == second.measured_seconds


def test_failed_rows_fail_the_command_only_when_asked_to(run: Run) -> None:
    failed = [convert(table_row("eager", **FAILED, verdict=None), Row)]
    require_success(failed, BenchmarkOptions())
    with pytest.raises(LightshipError, match=r"1 rows failed \(eager on cpu\)"):
        require_success(failed, BenchmarkOptions(strict=True))
    skipped = [convert(table_row("eager", **FAILED | {"status": "skipped"}), Row)]
    require_success(skipped, BenchmarkOptions(strict=True))


def test_a_baseline_that_was_not_exported_is_refused(run: Run) -> None:
    with pytest.raises(UsageError, match=r"benchmark.baseline: .*found onnx_fp32"):
        measure(run, Data(), BenchmarkOptions(baseline="onnx_fp32"), silent)


def test_the_worker_of_an_onnx_file_never_imports_torch() -> None:
    import subprocess

    program = (
        "import sys, src.worker.server, src.formats.onnx_fp32, src.formats.onnx_int8;"
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def test_the_worker_of_a_network_of_torchvision_never_imports_lightning(well_behaved: Run) -> None:
    import subprocess

    program = (
        "import sys, pathlib, src.worker.server as server;"
        "server.Worker('eager', pathlib.Path(sys.argv[1]), 'cpu', 1).load();"
        "found = {'lightning', 'torchmetrics', 'matplotlib', 'scipy'} & set(sys.modules);"
        "assert not found, found"
    )
    command = [sys.executable, "-c", program, str(well_behaved.exports / "eager")]
    subprocess.run(command, cwd=ROOT, check=True)


def test_the_verdict_same_comes_from_equal_logits_and_not_from_a_test_of_accuracy(run: Run) -> None:
    only(run, "eager", "talking", "noisy")
    rows = {row.format: row for row in measure(run, Data(), FEW, silent).rows}
    assert {name: row.verdict for name, row in rows.items()} == {
        "eager": "same",
        "talking": "same",
        "noisy": "inconclusive",  # within the format's tolerance, beyond rounding
    }
    talking, noisy = (rows[name].accuracy for name in ("talking", "noisy"))
    assert talking
    assert talking.paired
    assert talking.paired.images_needed is None
    assert noisy
    assert noisy.paired
    assert (noisy.paired.beyond_rounding or 0) > 0
    written = run.read_benchmark()
    (word,) = [note for note in footnotes(written) if "more than rounding" in note]
    assert word.startswith("noisy on cpu: more than rounding is between its logits and those of")
    assert written.recommended["cpu"] in {"eager", "talking"}


def test_reference_outputs_that_were_changed_are_refused(well_behaved: Run) -> None:
    manifest = as_dict(well_behaved.read_manifest())
    manifest["probe_files"] = taken(well_behaved.exports, PROBE)
    atomic_files.write_json(well_behaved.manifest, manifest)
    data = Data()
    np.savez(well_behaved.exports / PROBE, images=data.images[8:16], logits=data.logits[8:16])
    with pytest.raises(UsageError, match=r"probe\.npz: expected the images .* found another file"):
        measure(well_behaved, data, FEW, silent)
