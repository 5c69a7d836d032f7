"""The answers of one row with the kernels for older instruction sets, in processes of their own."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from src import formats
from src.backends.base import Unavailable
from src.benchmark.statistics.scorecard import Scorecard
from src.benchmark.statistics.verdict import with_same
from src.data.stratified import stratified
from src.run.accuracy import Accuracy
from src.run.file_input import BatchMaker
from src.run.instruction_sets import InstructionSetAnswers
from src.run.record import Status
from src.run.rounds import RawInstructionSet
from src.shipped.accuracy import LEAST_SAME
from src.system import emulation
from src.system.cpuid_mask import CannotHideError, InstructionSet
from src.worker import protocol
from src.worker.answer import Logits
from src.worker.errors import TimedOutError, WorkerError
from src.worker.guarded_process import Limits
from src.worker.process import WorkerProcess

# A file of machine code has the instructions of the processor that it was compiled on. It ignores
# a hidden instruction set, and an older processor cannot run it.
_COMPILED = "its code is compiled for this processor; compile it on the other one"

EMULATED_SECONDS = 60.0  # of one row; it answers as many images of the split as it can meanwhile
EMULATED_BATCH = 1  # floating-point instructions are emulated in software: seconds an image


def can_be_tried(name: str, instruction_set: InstructionSet) -> bool:
    """Return True if a format can answer with the kernels for an instruction set here."""
    if formats.get(name).compiles:
        return False
    try:
        emulation.restricting(instruction_set)
    except CannotHideError:
        return False
    return True


class _Answers:
    """The answers with one instruction set so far."""

    def __init__(self, class_names: Sequence[str]) -> None:
        self.status: Status = "ok"
        self.reason: str | None = None
        self.scorecard = Scorecard(class_names)
        self.changed = 0  # images with another top-1 than the row's own
        self.emulated: str | None = None  # emulator and processor
        self.seconds = 0.0  # that emulation has taken

    def raw(self) -> RawInstructionSet:
        scorecard = self.scorecard.raw() if self.status == "ok" else None
        return RawInstructionSet(
            status=self.status,
            reason=self.reason,
            scorecard=scorecard,
            changed=self.changed,
            emulated=self.emulated,
        )

    def restore(self, raw: RawInstructionSet) -> None:
        self.status, self.reason, self.changed = raw.status, raw.reason, raw.changed
        self.emulated = raw.emulated
        if raw.scorecard is not None:
            self.scorecard.restore(raw.scorecard)

    def figures(
        self, name: InstructionSet, max_drop: float, *, is_fp32: bool
    ) -> InstructionSetAnswers:
        if self.status != "ok":
            return InstructionSetAnswers(
                instruction_set=name,
                status=self.status,
                reason=self.reason,
                emulated=self.emulated,
            )
        score = self.scorecard.result(max_drop)
        is_enough = self.emulated is None or score.accuracy.images >= LEAST_SAME
        score = with_same(score, may_be_same=is_fp32 and is_enough)
        return InstructionSetAnswers(
            instruction_set=name,
            status="ok",
            accuracy=score.accuracy if self.emulated is None else _without_flips(score.accuracy),
            verdict=score.verdict,
            changed=self.changed,
            emulated=self.emulated,
        )


def _without_flips(accuracy: Accuracy) -> Accuracy:
    """Return an accuracy without the images that flip: a sample does not know their positions."""
    if accuracy.paired is None:
        return accuracy
    paired = msgspec.structs.replace(accuracy.paired, flips=[])
    return msgspec.structs.replace(accuracy, paired=paired)


def _answered_in_time(
    worker: WorkerProcess,
    images: NDArray[np.float32],
    order: NDArray[np.int64],
    answers: _Answers,
    seconds: float,
) -> Logits:
    """Return the logits of the first images in an order, (n, K), until their time is up.

    Args:
        worker: an emulated process.
        images: (N, 3, H, W).
        order: of their positions, (N,).
        answers: those so far, with the time that they took.
        seconds: limit of that time.

    Raises:
        WorkerError: a call fails.
    """
    parts: list[Logits] = []
    for start in range(0, len(images), EMULATED_BATCH):
        if answers.seconds >= seconds:
            break
        started = time.monotonic()
        parts.append(worker.predict(images[order[start : start + EMULATED_BATCH]]))
        answers.seconds += time.monotonic() - started
    return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)


class RowInstructionSets:
    """Answers of one row, by instruction set. A failure ends only that instruction set.

    Args:
        class_names: K, in label order.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self._class_names = class_names
        self._workers: dict[InstructionSet, WorkerProcess] = {}
        self._measured: dict[InstructionSet, _Answers] = {}
        self._batches = 0  # a seed of each: the first image of all must not be of one class

    def start(
        self,
        name: str,
        folder: Path,
        limits: Limits,
        batch_maker: BatchMaker | None,
        instruction_sets: Sequence[InstructionSet],
        python: Path | None,
    ) -> None:
        """Load the file in a process for each instruction set.

        Args:
            name: the format.
            folder: the exported file.
            limits: of each process.
            batch_maker: see :class:`WorkerProcess`.
            instruction_sets: the newest one that each process may use.
            python: interpreter of the row's processes; None for that of the format.
        """
        limits = dataclasses.replace(limits, high_priority=False)
        for instruction_set in instruction_sets:
            self._measured[instruction_set] = _Answers(self._class_names)
            with self._ending(instruction_set):
                if formats.get(name).compiles:
                    raise Unavailable(_COMPILED)
                file = (name, folder, "cpu", limits, batch_maker)
                worker = WorkerProcess(*file, instruction_set, python)
                self._workers[instruction_set] = worker
                self._measured[instruction_set].emulated = worker.emulator
                worker.ask(protocol.Load(classes=len(self._class_names)))

    def add(
        self,
        images: NDArray[np.float32],
        logits: Logits,
        baseline: Logits | None,
        targets: NDArray[np.int64],
        share: float,
    ) -> None:
        """Classify a batch of n images with each instruction set.

        Emulation is too slow for all of them. Up to each batch it takes its share of the time, and
        of a batch it takes all classes in proportion. So its images are spread over the split,
        which may be sorted by class.

        Args:
            images: (n, 3, H, W).
            logits: the row's own for them, (n, K).
            baseline: the baseline's for them, (n, K); None for the baseline itself, which is
                compared with its own.
            targets: the labels, (n,).
            share: of the split that has been scored, this batch included.
        """
        self._batches += 1
        reference = logits if baseline is None else baseline
        for instruction_set, worker in list(self._workers.items()):
            answers = self._measured[instruction_set]
            with self._ending(instruction_set):
                if answers.emulated is None:
                    order, there = np.arange(len(images)), worker.answer(images)
                else:
                    order = stratified(targets, seed=self._batches)
                    seconds = share * EMULATED_SECONDS
                    there = _answered_in_time(worker, images, order, answers, seconds)
                chosen = order[: len(there)]
                if len(chosen):
                    answers.scorecard.add(there, targets[chosen], reference[chosen])
                    changed = there.argmax(axis=1) != logits[chosen].argmax(axis=1)
                    answers.changed += int(changed.sum())
            if answers.seconds >= EMULATED_SECONDS:
                self._end(instruction_set)  # it would hold its memory until all are scored

    def raw(self) -> dict[InstructionSet, RawInstructionSet]:
        """Return the raw answers."""
        return {name: answers.raw() for name, answers in self._measured.items()}

    def restore(self, raw: dict[InstructionSet, RawInstructionSet]) -> None:
        """Restore what :meth:`raw` returned."""
        for name, answers in raw.items():
            self._measured[name] = _Answers(self._class_names)
            self._measured[name].restore(answers)

    def figures(self, max_drop: float, *, is_fp32: bool) -> list[InstructionSetAnswers]:
        """Return the figures of each instruction set.

        Args:
            max_drop: top-1 accuracy that may be lost, as a share of 1.
            is_fp32: the row is an fp32 file, which may be the same network.
        """
        return [
            answers.figures(name, max_drop, is_fp32=is_fp32)
            for name, answers in self._measured.items()
        ]

    def close(self) -> None:
        """End all processes."""
        for worker in self._workers.values():
            worker.close()
        self._workers = {}

    @contextlib.contextmanager
    def _ending(self, instruction_set: InstructionSet) -> Iterator[None]:
        """End an instruction set with the reason if the block fails."""
        try:
            yield
        except (Unavailable, WorkerError) as error:
            answers = self._measured[instruction_set]
            # The time of an emulation says nothing about the processor.
            is_slow = answers.emulated is not None and isinstance(error, TimedOutError)
            is_skipped = isinstance(error, Unavailable) or is_slow
            answers.status = "skipped" if is_skipped else "failed"
            answers.reason, answers.changed = str(error), 0
            self._end(instruction_set)

    def _end(self, instruction_set: InstructionSet) -> None:
        worker = self._workers.pop(instruction_set, None)
        if worker is not None:
            worker.close()
