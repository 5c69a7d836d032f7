"""Planted formats that crash, hang, misbehave or are not available, with data to measure them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from src.benchmark.options import BenchmarkOptions
from src.run import fingerprint
from src.run.folder import Run
from src.run.layout import as_dict
from src.system import atomic_files

# A module that a worker can import. Its network is a matrix; the folder's name selects the fault.
PLANTED = """
import os, threading, time
import numpy as np
from src.backends.base import Profile, Unavailable
from src.backends.self_timed import OwnTurn, SelfTimed
from src.formats.base import Format

class Planted(Format):
    requires = runs_with = ("numpy",)
    devices = ("cpu", "browser")
    precision = "fp32"
    tolerance = 1e-3

    def export(self, source, folder):
        raise NotImplementedError

    def load(self, folder, device, threads):
        return Page(opened(folder), threads) if device == "browser" else opened(folder)

    def load_embedded(self, folder, threads):
        if folder.name.endswith("unloadable"):
            raise ValueError("no such\\nfile")
        return Pictures(folder.name)

class Pictures:  # class 0 for every image
    settings = {"runtime": "numpy", "device": "cpu"}
    def __init__(self, name):
        self.name = name
    def __call__(self, image):
        assert image.dtype == np.uint8 and image.shape[2] == 3
        top = float("nan") if self.name.endswith("nan") else 0.8
        return np.array([top, 0.1, 0.1], np.float32)

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
        if self.name.endswith("-on-files") and np.abs(images).max() <= 1:  # of pixels
            if self.name == "hanging-on-files":
                time.sleep(3600)
            os.abort()
        if self.name == "hungry":
            np.ones(10_000_000 * len(images), dtype=np.uint8)
        there = os.environ.get("PLANTED_INSTRUCTION_SET")
        if there and self.name == f"saturating-on-{there}":
            logits = np.roll(logits, 1, axis=1)
        if there and self.name == f"crashing-on-{there}":
            os.abort()
        if os.environ.get("PLANTED_VERSION"):
            if self.name == "other-answers" and len(images) > 8:  # more than the reference
                logits = np.roll(logits, 1, axis=1)
            if self.name == "other-speed":
                time.sleep(0.01)
            if self.name == "other-crash":
                os.abort()
        if self.name == "spinning" and self.calls == 1:  # as a thread pool, without an end
            threading.Thread(target=lambda: [None for _ in iter(int, 1)], daemon=True).start()
        if self.name == "talking":
            print("a runtime's own words", flush=True)
        return bad(self.name, images, logits)
    def synchronize(self):
        pass
    def device_seconds(self, images):
        return 1e3 if self.name == "unsynchronised" else None
    def profile(self, images):
        return Profile(time={"fp32": 1.0})

class Page(SelfTimed):  # answers as the planted runtime, and counts milliseconds as seconds
    def __init__(self, runtime, threads):
        if runtime.name == "no-browser":
            raise Unavailable("no browser; install Chromium")
        self.runtime, self.held = runtime, None
        self.settings = {"runtime": "web", "device": "browser", "threads": 1, "browser": "B 1"}
        assert threads == 1
    def __call__(self, images):
        return self.runtime(images)
    def synchronize(self):
        pass
    def device_seconds(self, images):
        return None
    def profile(self, images, trace=None):
        return Profile()
    def hold(self, images):
        self.held = images
    def once(self):
        return 7.0, self.runtime(self.held)
    def warm_up(self, tolerance, max_seconds):
        return True
    def time(self, samples, max_seconds):
        return OwnTurn([7.0, 7.0], 14.0, 14.0), self.runtime(self.held)
    def cpu_seconds(self):
        return 0.0
    def nice(self):
        return 3
    def peak_bytes(self):
        return None if self.runtime.name == "no-memory" else 123

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
        self.class_names = ["a", "b", "c"]
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


class StrangeData(Data):
    """The same data with one unusual image in the test split."""

    def batches(self, split: str, batch_size: int = 64) -> Iterator[Any]:
        for images, labels in super().batches(split, batch_size):
            changed = images.copy()
            if split == "test":
                changed[7, 0, 0, 0] = 100
            yield changed, labels


def taken(folder: Path, path: str) -> list[dict[str, Any]]:
    """Return the entry of an exported file in a manifest."""
    return [asdict(file) for file in fingerprint.taken(folder, [path])]


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
    pipeline=False,  # see test_row_pipeline.py
)


def silent(*_: object) -> None:
    pass


def only(run: Run, *names: str) -> None:
    """Replace the exports of a run with planted exports of these names."""
    manifest = as_dict(run.read_manifest())
    entry = manifest["formats"]["eager"]
    manifest["formats"] = dict.fromkeys(names, entry)
    for name in names:
        (run.exports / name).mkdir(exist_ok=True)
        # One entry for all: the same file.
        (run.exports / name / "weights").write_text("eager")
    atomic_files.write_json(run.manifest, manifest)


FEW = replace(OPTIONS, batch_sizes=[1], rounds=2, samples=2)
