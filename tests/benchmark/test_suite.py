"""The measuring stage over planted formats: those that crash, hang, lie or do not run here."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from src import formats
from src.benchmark import up_to_date
from src.benchmark.options import BenchmarkOptions
from src.benchmark.suite import measure, measure_unless_done, require_success
from src.errors import LightshipError, UsageError
from src.export.stage import PROBE
from src.report.sections.footnotes import footnotes
from src.run import fingerprint
from src.run.folder import Run
from src.run.layout import as_dict
from src.run.reading import convert
from src.run.row import Row
from src.system import atomic_files
from src.worker import process
from tests.report.pages import markdown_page
from tests.report.planted import FAILED
from tests.report.planted import row as table_row

# A format whose network is a matrix, as a module that a worker can import. How it misbehaves
# is its folder's name.
PLANTED = """
import os, time
import numpy as np
from src.backends.base import Profile, Unavailable
from src.formats.base import Format

class Planted(Format):
    requires = runs_with = ("numpy",)
    devices = ("cpu",)
    precision = "fp32"
    tolerance = 1e-3

    def export(self, source, folder):
        raise NotImplementedError

    def load(self, folder, device, threads):
        return opened(folder)

def opened(folder):
    with open(folder / "started", "a+") as started:  # a line for each process
        print(os.getpid(), file=started)
        started.seek(0)
        later = len(started.readlines()) > 1
    name = folder.name
    if name.endswith("-later"):
        name = name.removesuffix("-later") if later else "talking"
    if name == "elsewhere":
        raise Unavailable("not on this machine")
    if name == "unloadable":
        raise ValueError("no such\\nfile")
    return Runtime(name)

class Runtime:
    def __init__(self, name):
        device = "gpu" if name == "elsewhere-silently" else "cpu"
        self.settings = {"runtime": "numpy", "device": device}
        self.name, self.calls = name, 0
        self.weights = np.arange(3 * 4 * 4 * 3, dtype=np.float32).reshape(-1, 3) % 7
    def __call__(self, images):
        self.calls += 1
        logits = images.reshape(len(images), -1) @ self.weights
        if self.name == "shifted":
            logits = np.roll(logits, 1, axis=1)
        if self.name == "noisy":
            logits = logits * np.float32(1 + 2.0**-12)
        if self.name == "crashing" and self.calls > 3:
            os.abort()
        if self.name == "hanging" and self.calls > 3:
            time.sleep(3600)
        if self.name == "eating" and self.calls > 3:
            hoard = []
            while True:
                hoard.append(np.ones(1_000_000))
                time.sleep(0.001)
        if self.name == "hungry":
            np.ones(10_000_000 * len(images), dtype=np.uint8)
        if self.name == "talking":
            print("a runtime's own words", flush=True)
        return bad(self.name, images, logits)
    def synchronize(self):
        pass
    def device_seconds(self, images):
        return 1e3 if self.name == "unsynchronised" else None
    def profile(self, images):
        return Profile(time={"fp32": 1.0})

def bad(name, images, logits):
    kind, _, when = name.partition("-of-")
    strange = images[:, 0, 0, 0] > 50  # one image, of the test split
    if when == "the-strange" and not strange.any() or when == "three" and len(images) != 3:
        return logits
    where = strange if when == "the-strange" else slice(0, 1)
    if kind in ("nan", "inf"):
        logits[where] = float(kind)
    if kind == "classes":
        return logits.argmax(axis=1)
    if kind == "wide":
        return np.concatenate([logits, logits], axis=1)
    if kind == "few":
        return logits[1:]
    if kind == "objects":
        return logits.astype(object)
    return logits
"""
HUNGRY_BYTES = 10_000_000  # an image
NAMES = [
    *("eager", "talking", "shifted", "crashing", "hanging", "eating"),
    *("elsewhere", "elsewhere-silently", "unloadable", "broken", "unsynchronised"),
]


class Data:
    """Random images, labelled by the planted network itself."""

    dataset_name = "planted"

    def __init__(self) -> None:
        self.images = np.random.default_rng(0).normal(size=(50, 3, 4, 4)).astype(np.float32)
        weights = np.arange(3 * 4 * 4 * 3, dtype=np.float32).reshape(-1, 3) % 7
        self.logits = self.images.reshape(50, -1) @ weights

    def count(self, split: str) -> int:
        return 50

    def batches(self, split: str, batch_size: int = 64) -> Iterator[Any]:
        labels = self.logits.argmax(axis=1)
        for start in range(0, 50, batch_size):
            part = slice(start, start + batch_size)
            yield self.images[part], labels[part]

    def sha256(self, split: str) -> str:
        return atomic_files.sha256_of(self.images)


def taken(folder: Path, path: str) -> list[dict[str, Any]]:
    """A file of an export as a manifest lists it."""
    return [asdict(file) for file in fingerprint.taken(folder, [path])]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run folder with planted exports, and workers that find the planted formats."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "planted.py").write_text(PLANTED)
    (site / "sitecustomize.py").write_text(
        "import importlib\n"
        "from src import formats\n"
        "formats.get = lambda name: importlib.import_module('planted').Planted()\n"
    )
    path = os.pathsep.join([str(site), str(process._ROOT)])
    monkeypatch.setenv("PYTHONPATH", path)
    planted = ModuleType("planted")
    exec(PLANTED, planted.__dict__)  # noqa: S102  # our own text
    monkeypatch.setattr(formats, "get", lambda _: planted.Planted())

    run = Run(tmp_path / "planted" / "version_0")
    entries = {}
    for name in NAMES:
        (run.exports / name).mkdir(parents=True)
        failed = name == "broken"
        (run.exports / name / "weights").write_text(name)
        entries[name] = {
            "precision": "fp32",
            "status": "failed" if failed else "ok",
            "reason": "it could not be exported" if failed else None,
            "files": [] if failed else taken(run.exports / name, "weights"),
        }
    manifest = {
        "schema_version": 1,
        "run": run.name,
        "model": "planted",
        "parameters": 1,
        "macs": 1,
        "input_shape": [3, 4, 4],
        "num_classes": 3,
        "class_names": ["a", "b", "c"],
        "checkpoint": {"path": "none", "sha256": "0", "epoch": 0},
        "preprocessing": {
            "image_size": 4,
            "resize": "squash",
            "mean": [0.5] * 3,
            "std": [0.5] * 3,
        },
        "calibration": {"split": "train", "images": 0, "images_sha256": []},
        "formats": entries,
    }
    run.manifest.write_text(json.dumps(manifest))
    data = Data()
    np.savez(run.exports / PROBE, images=data.images[:8], logits=data.logits[:8])
    return run


OPTIONS = BenchmarkOptions(
    batch_sizes=[1, 3],
    threads=1,
    processes=1,
    rounds=3,
    samples=5,
    warmup_seconds=0.01,
    timeout_seconds=15,
    max_memory_bytes=1_000_000_000,
    memory=False,  # see test_memory.py
)


def silent(*_: object) -> None:
    pass


def test_what_fails_stays_in_its_row(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
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


class StrangeData(Data):
    """The same, with one image in the test split that is unlike all others."""

    def batches(self, split: str, batch_size: int = 64) -> Iterator[Any]:
        for images, labels in super().batches(split, batch_size):
            changed = images.copy()
            if split == "test":
                changed[7, 0, 0, 0] = 100
            yield changed, labels


def only(run: Run, *names: str) -> None:
    """Let a run have planted exports of these names."""
    manifest = as_dict(run.read_manifest())
    entry = manifest["formats"]["eager"]
    manifest["formats"] = dict.fromkeys(names, entry)
    for name in names:
        (run.exports / name).mkdir(exist_ok=True)
        # One entry for all: the same file.
        (run.exports / name / "weights").write_text("eager")
    atomic_files.write_json(run.manifest, manifest)


NOT_FINITE = "logits of 1 images are not finite"
# Whether a test image or a timed batch brings it, and what is said.
ANSWERS = {
    "nan-of-the-strange": NOT_FINITE,
    "inf-of-the-strange": NOT_FINITE,
    "classes-of-the-strange": "an answer of int64 instead of floating-point logits",
    "objects-of-the-strange": "an answer of object instead of floating-point logits",
    "wide-of-the-strange": "logits of shape [64, 6] instead of [64, 3]",
    "few-of-the-strange": "logits of shape [63, 3] instead of [64, 3]",
    "nan-of-three": NOT_FINITE,
    "inf-of-three": NOT_FINITE,
    "classes-of-three": "an answer of int64 instead of floating-point logits",
    "wide-of-three": "logits of shape [3, 6] instead of [3, 3]",
    "few-of-three": "logits of shape [2, 3] instead of [3, 3]",
}


def test_an_answer_that_is_none_fails_its_row_in_scoring_and_in_timing_alike(run: Run) -> None:
    only(run, "eager", *ANSWERS)
    measure(run, StrangeData(), OPTIONS, silent)
    rows = {row.format: row for row in run.read_benchmark().rows}
    assert {name: row.reason for name, row in rows.items()} == {"eager": None, **ANSWERS}
    assert rows["eager"].accuracy
    assert rows["eager"].accuracy.images == 50


def test_a_baseline_that_fails_at_a_test_image_leaves_the_other_rows_their_figures(
    run: Run,
) -> None:
    only(run, "nan-of-the-strange", "talking")
    options = replace(OPTIONS, baseline="nan-of-the-strange")
    measure(run, StrangeData(), options, silent)
    found = run.read_benchmark()
    failed, talking = found.rows
    assert failed.reason == NOT_FINITE
    assert talking.status == "ok"
    assert talking.accuracy
    assert talking.accuracy.images == 50
    assert talking.accuracy.paired is None
    assert found.recommended == {"cpu": None}
    assert "nan-of-the-strange" in markdown_page(found)


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


def test_a_second_measurement_leaves_the_first_in_its_place(run: Run) -> None:
    few = BenchmarkOptions(
        batch_sizes=[1], threads=1, processes=1, rounds=2, samples=2, warmup_seconds=0.01
    )
    for name in NAMES:
        if name != "eager":
            entries = as_dict(run.read_manifest())
            entries["formats"].pop(name)
            run.manifest.write_text(json.dumps(entries))
    first = measure(run, Data(), few, silent)
    second = measure(run, Data(), few, silent)
    kept = [json.loads(file.read_text()) for file in sorted(run.measurements.iterdir())]
    assert sorted(each["measured_seconds"] for each in kept) == sorted(
        each.measured_seconds for each in (first, second)
    )
    assert run.read_benchmark().measured_seconds == second.measured_seconds


def test_no_process_is_left_behind(run: Run) -> None:
    measure(run, Data(), OPTIONS, silent)
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    if not children.exists():
        pytest.skip("no /proc to ask")
    alive = [Path(f"/proc/{child}/cmdline").read_text() for child in children.read_text().split()]
    assert not [command for command in alive if "src.worker.server" in command]


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
    subprocess.run([sys.executable, "-c", program], cwd=process._ROOT, check=True)


@pytest.fixture
def well_behaved(run: Run) -> Run:
    """The run with the two formats that nothing is wrong with."""
    manifest = as_dict(run.read_manifest())
    manifest["formats"] = {name: manifest["formats"][name] for name in ("eager", "talking")}
    atomic_files.write_json(run.manifest, manifest)
    return run


FEW = replace(OPTIONS, batch_sizes=[1], rounds=2, samples=2)


@pytest.mark.parametrize("text", ["another", "longer than before", "short"])
def test_a_file_that_was_changed_is_measured_again_as_what_it_is_now(
    well_behaved: Run, text: str
) -> None:
    first = measure(well_behaved, Data(), FEW, silent)
    assert up_to_date.find(well_behaved, FEW, lambda: Data().sha256("test")) is not None
    file = well_behaved.exports / "talking" / "weights"
    file.write_text(text)
    assert up_to_date.find(well_behaved, FEW, lambda: Data().sha256("test")) is None
    results = measure_unless_done(well_behaved, Data(), FEW, silent)
    before, row = (each.rows[1] for each in (first, results))
    assert (before.as_exported, row.as_exported) == (True, False)
    assert row.sha256 == {"weights": atomic_files.sha256(file)} != before.sha256
    assert row.size_bytes == len(text)
    assert "talking: its files were changed" in " ".join(footnotes(results))
    assert (
        up_to_date.find(well_behaved, FEW, lambda: Data().sha256("test")) == results
    )  # which is of what is there now


class OtherData(Data):
    """Other test images under the same name, as many."""

    def sha256(self, split: str) -> str:
        return "another"


class GoneData(Data):
    """The test images cannot be read any more."""

    def sha256(self, split: str) -> str:
        raise UsageError("data.root", expected="a folder", found="nothing", remedy="mount it")


def test_what_was_scored_on_other_images_is_measured_again(well_behaved: Run) -> None:
    first = measure(well_behaved, Data(), FEW, silent)
    told: list[str] = []

    def report(text: str, *_: object) -> None:
        told.append(text)

    found = measure_unless_done(well_behaved, Data(), FEW, report)
    assert found == well_behaved.read_benchmark()
    assert [text for text in told if "measured already" in text]
    told.clear()
    # A disk that is not there is no reason to lose what was measured; it is said.
    assert measure_unless_done(well_behaved, GoneData(), FEW, report).rows == first.rows
    assert "images are taken to be those that were scored: data.root" in told[0]
    again = measure_unless_done(well_behaved, OtherData(), FEW, silent)
    assert (first.dataset.sha256, again.dataset.sha256) == (
        Data().sha256("test"),
        "another",
    )
    assert again.measured_seconds != first.measured_seconds


def test_every_test_image_is_read_only_where_all_else_is_the_same(well_behaved: Run) -> None:
    measure(well_behaved, Data(), FEW, silent)

    def unread() -> str:
        raise AssertionError("the images are read")

    assert up_to_date.find(well_behaved, replace(FEW, samples=7), unread) is None
    with pytest.raises(AssertionError, match="are read"):
        up_to_date.find(well_behaved, FEW, unread)


def test_the_same_network_is_shown_by_its_answers_and_not_by_a_test(run: Run) -> None:
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
    found = run.read_benchmark()
    (word,) = [note for note in footnotes(found) if "more than rounding" in note]
    assert word.startswith("noisy on cpu: more than rounding is between its logits and those of")
    assert found.recommended["cpu"] in {"eager", "talking"}


def test_a_file_that_is_gone_or_empty_is_a_failed_row(well_behaved: Run) -> None:
    (well_behaved.exports / "talking" / "weights").unlink()
    (well_behaved.exports / "eager" / "weights").write_text("")
    rows = measure(well_behaved, Data(), FEW, silent).rows
    assert [row.status for row in rows] == ["failed", "failed"]
    assert [row.reason for row in rows] == [
        "the export is empty",
        "weights of the export is missing",
    ]
    well_behaved.read_benchmark()


def test_a_file_that_is_changed_while_it_is_measured_is_a_failed_row(well_behaved: Run) -> None:
    class Changing(Data):
        def batches(self, split: str, batch_size: int = 64) -> Iterator[Any]:
            (well_behaved.exports / "talking" / "weights").write_text(split)
            return super().batches(split, batch_size)

    rows = measure(well_behaved, Changing(), FEW, silent).rows
    assert [row.status for row in rows] == ["ok", "failed"]
    assert "changed while they were measured" in (rows[1].reason or "")


def test_the_networks_own_answers_are_those_that_the_export_wrote(well_behaved: Run) -> None:
    manifest = as_dict(well_behaved.read_manifest())
    manifest["probe_files"] = taken(well_behaved.exports, PROBE)
    atomic_files.write_json(well_behaved.manifest, manifest)
    data = Data()
    np.savez(well_behaved.exports / PROBE, images=data.images[8:16], logits=data.logits[8:16])
    with pytest.raises(UsageError, match=r"probe\.npz: expected the images .* found another file"):
        measure(well_behaved, data, FEW, silent)
