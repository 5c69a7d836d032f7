"""Choose a run's exported file for prediction, and load it in a process of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from src import formats
from src.backends.base import Unavailable
from src.data.preprocessing import Preprocessing
from src.errors import LightshipError, UsageError
from src.predict.options import PredictOptions
from src.run import fingerprint
from src.run.file_input import NORMALISED, BatchMaker, FileInput
from src.run.folder import Run
from src.run.manifest import Manifest
from src.run.record import NativeDevice
from src.system import machine
from src.worker.answer import UnusableAnswer, logits_of
from src.worker.errors import NotFiniteError, WorkerError
from src.worker.guarded_process import Limits
from src.worker.process import WorkerProcess

if TYPE_CHECKING:
    from PIL import Image


class NonFiniteLogitsError(LightshipError):
    """A file gives logits that are not finite for some images.

    Args:
        name: the format.
        images: positions of these images in the batch.
    """

    def __init__(self, name: str, images: Sequence[int]) -> None:
        super().__init__(
            f"{name}: the logits of {len(images)} images are not finite, so they say nothing; "
            "measure the run with python -m src.benchmark RUN, or name another format"
        )
        self.images = tuple(images)


class ExportedFile:
    """A format of a run, loaded in a process of its own: see :func:`open_file`.

    Args:
        name: the format.
        worker: the process that has loaded it.
        class_names: K, in label order.
        preprocessing: turns an image into the network's input.
        takes: the input of the file.
        doubt: reason why its answers may be wrong on this processor; None without one.
    """

    def __init__(
        self,
        name: str,
        worker: WorkerProcess,
        class_names: Sequence[str],
        preprocessing: Preprocessing,
        takes: FileInput = NORMALISED,
        doubt: str | None = None,
    ) -> None:
        self.name = name
        self.doubt = doubt
        self.class_names = class_names
        self.preprocessing = preprocessing
        self._takes = takes
        self._worker = worker

    def prepare(self, image: Image.Image) -> NDArray[Any]:
        """Return the file's input for one image in RGB: its pixels, or normalised values."""
        if self._takes.is_pixels:
            return np.asarray(self.preprocessing.spatial()(image))
        return self.preprocessing(image).numpy()

    def logits(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Return logits (n, K) for n prepared images, bit for bit those of the evaluation.

        Raises:
            NonFiniteLogitsError: the logits of some images are not finite.
            LightshipError: the file's process failed.
        """
        try:
            return logits_of(self._worker.answer(images), len(images), len(self.class_names))
        except (NotFiniteError, UnusableAnswer) as error:
            if error.images:
                raise NonFiniteLogitsError(self.name, error.images) from error
            raise LightshipError(f"{self.name}: {error}") from error
        except WorkerError as error:
            raise LightshipError(f"{self.name}: {error}") from error


@contextlib.contextmanager
def open_file(run: Run, options: PredictOptions) -> Iterator[ExportedFile]:
    """Load the format that ``options`` name, or the recommended one, and yield it.

    Raises:
        UsageError: the format was not exported, its files were changed, or it cannot run here.
        LightshipError: it could not be loaded.
    """
    manifest = run.read_manifest()
    name = chosen_format(run, manifest, options.format, options.device)
    limits = Limits(
        threads=options.threads or measured_threads(run),
        answer_seconds=options.timeout_seconds,
        resident_bytes=options.memory_limit,
        group="",
        high_priority=False,
    )
    batch_maker = BatchMaker(manifest.formats[name].takes, manifest.preprocessing)
    with contextlib.ExitStack() as stack:
        try:
            folder = run.own("exports", name)
            worker = WorkerProcess(name, folder, options.device, limits, batch_maker)
            stack.enter_context(contextlib.closing(worker))
            worker.load(len(manifest.class_names))
        except Unavailable as reason:
            raise UsageError(
                "format",
                expected=f"one that runs on {options.device} here",
                found=f"{name}: {reason}",
                remedy="name another format, or another device",
            ) from reason
        except WorkerError as error:
            raise LightshipError(f"{name}: {error}") from error
        preprocessing = Preprocessing.of(manifest.preprocessing)
        doubt = doubt_of(run, manifest, name, options.device)
        names, takes = manifest.class_names, batch_maker.takes
        yield ExportedFile(name, worker, names, preprocessing, takes, doubt)


def chosen_format(run: Run, manifest: Manifest, name: str | None, device: NativeDevice) -> str:
    """Return the format to run on a device: the named one, or by default the recommended one.

    Raises:
        UsageError: the format was not exported, does not run on ``device``, or its files were
            changed; or none is named and none is recommended.
    """
    name = name or recommended(run, device)
    require_exported(manifest, name)
    kind = formats.get(name)
    devices = [known for known in get_args(NativeDevice) if known in kind.devices]
    if device not in devices:
        raise UsageError(
            "device",
            expected=f"a device that {name} runs on, {' or '.join(devices)}",
            found=device,
            remedy="name that device, or another format",
        )
    require_known(run, manifest, name)
    return name


def recommended(run: Run, device: str) -> str:
    """Return the format that the run's last measurement recommends on ``device``.

    Raises:
        UsageError: the run was not measured on ``device``, or its files have changed since.
    """
    manifest = run.read_manifest()
    name, row = None, None
    if run.benchmark.is_file():
        results = run.read_benchmark()
        name = results.recommended.get(device)
        row = results.row(name, device) if name else None
    names = f"name one of {', '.join(manifest.exported)}, as in format=NAME"
    if name is None:
        raise UsageError(
            "format",
            expected=f"a format, for no measurement recommends one on {device}",
            found="nothing",
            remedy=names,
        )
    require_exported(manifest, name)
    hashes = row.sha256 if row and row.is_ok else None
    if hashes != fingerprint.of(files_now(run, manifest, name)):
        raise UsageError(
            "format",
            expected="a format, for the recommended one was measured with other files",
            found=f"nothing, and {name} with other files than the measured ones",
            remedy=f"measure again with python -m src.benchmark {run.folder}, or {names}",
        )
    return name


def require_known(run: Run, manifest: Manifest, name: str) -> None:
    """Refuse files that were changed after their export, unless they were measured since.

    Only a measurement compares the files with the trained network.

    Raises:
        UsageError: the files are neither those that were exported nor those that were measured.
    """
    present = files_now(run, manifest, name)
    change = fingerprint.change(manifest.formats[name].files, present)
    if change is None:
        return
    rows = run.read_benchmark().rows if run.benchmark.is_file() else []
    measured = [row.sha256 for row in rows if row.format == name and row.is_ok]
    if fingerprint.of(present) not in measured:
        raise UsageError(
            "format",
            expected=f"the files of {name} as they were exported or measured",
            found=change,
            remedy=f"make them again with python -m src.export {run.folder}, or check and measure "
            f"them as they are with python -m src.benchmark {run.folder}",
        )


def doubt_of(run: Run, manifest: Manifest, name: str, device: NativeDevice) -> str | None:
    """Return the reason why an int8 file may give wrong answers here; None without one.

    ONNX Runtime is told to sum in 32 bits where its sums could saturate. None too if the file was
    measured with these instruction sets: the verdict is of them.
    """
    export = manifest.formats[name]
    if device != "cpu" or export.details is None or not export.details.needs_dot_product:
        return None
    if "onnxruntime" in export.runs_with or not machine.lacks_dot_product():
        return None
    results = run.read_benchmark() if run.benchmark.is_file() else None
    row = results.row(name, device) if results else None
    is_here = results is not None and set(results.environment.isa) == {*machine.instruction_sets()}
    if is_here and row is not None and row.is_ok:
        return None
    return (
        f"{name} was quantized for processors with an int8 dot product, which this one has not: "
        "sums may saturate and answers be wrong; measure it here with python -m src.benchmark RUN, "
        "or make it for this processor with python -m src.export RUN again=true"
    )


def files_now(run: Run, manifest: Manifest, name: str) -> list[fingerprint.PresentFile]:
    """Return the files of an exported format as they are now."""
    return fingerprint.now(run.exports / name, manifest.formats[name].files)


def require_exported(manifest: Manifest, name: str) -> None:
    """Refuse a format that was not exported.

    Raises:
        UsageError: the manifest has no files of the format.
    """
    if name not in manifest.exported:
        raise UsageError(
            "format",
            expected=f"one of the exported formats {', '.join(manifest.exported)}",
            found=name,
            remedy=f"export it with python -m src.export RUN formats=[{name}]",
        )


def measured_threads(run: Run) -> int:
    """Return the number of threads of the run's measurement, at most the number of cores.

    Without a measurement it is the number of cores.
    """
    cores = machine.usable_cores()
    if not run.benchmark.is_file():
        return cores
    return min(cores, run.read_benchmark().environment.threads)
