"""Evaluate int8 files of a runtime that is in an environment of its own, in that environment.

python -m src.quantization.other_environment RUNTIME REFERENCE FILE IMAGES LABELS THREADS
python -m src.quantization.other_environment RUNTIME --faster OTHER FILE IMAGES THREADS

RUNTIME is the module of a runtime, which has a function ``open_file(path, threads)``. The first
form prints the evaluations of REFERENCE, the fp32 file, and of FILE. The second one prints how many
times as fast as OTHER a FILE is. The rules are those of every other search: the code is the same.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from src.backends.base import Runtime
from src.backends.own_environment import OwnEnvironment
from src.quantization.evaluation import Evaluation, Evaluator, speedup_in_turn
from src.run.file_input import Batch
from src.system import machine


class _Answer(msgspec.Struct, frozen=True):
    reference: Evaluation
    file: Evaluation


class RemoteEvaluator:
    """Evaluates files on the selection images by processes in another environment.

    Args:
        environment: of the runtime.
        runtime: the module that opens a file there.
        reference: the fp32 file.
        images: selection images, (n, 3, H, W).
        labels: (n,).
        scratch: a folder for temporary files.
    """

    def __init__(
        self,
        environment: OwnEnvironment,
        runtime: str,
        reference: Path,
        images: Batch,
        labels: NDArray[np.int64],
        scratch: Path,
    ) -> None:
        self._environment, self._runtime, self._reference = environment, runtime, reference
        self._images, self._labels = scratch / "selection.npy", scratch / "labels.npy"
        np.save(self._images, images)
        np.save(self._labels, labels)
        self.reference = self._answer(reference).reference

    def __call__(self, file: Path) -> Evaluation:
        return self._answer(file).file

    def speedup(self, file: Path, other: Path) -> float:
        """Return how many times as fast as ``other`` a file is for one image."""
        return float(self._run("--faster", str(other), str(file), str(self._images)))

    def _answer(self, file: Path) -> _Answer:
        files = (self._reference, file, self._images, self._labels)
        return msgspec.json.decode(self._run(*map(str, files)), type=_Answer)

    def _run(self, *argv: str) -> str:
        printed = self._environment.run(__name__, self._runtime, *argv, str(machine.usable_cores()))
        return printed.strip().rpartition("\n")[2]  # a runtime may print as well


def main() -> None:
    module, *files, threads = sys.argv[1:]

    def opened(path: str) -> Runtime:
        runtime: Runtime = importlib.import_module(module).open_file(Path(path), int(threads))
        return runtime

    if files[0] == "--faster":
        _, other, file, images = files
        image = np.load(images, allow_pickle=False)[:1]
        answer = str(speedup_in_turn(opened(file), opened(other), image))
    else:
        reference, file, images, labels = files
        evaluator = Evaluator(
            opened(reference),
            np.load(images, allow_pickle=False),
            np.load(labels, allow_pickle=False),
        )
        answer = msgspec.json.encode(
            _Answer(reference=evaluator.reference, file=evaluator(opened(file)))
        ).decode()
    sys.stdout.write(f"\n{answer}\n")


if __name__ == "__main__":
    main()
