"""Make the int8 twin of a run: choose its parts, distil it, train it under fake quantization."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lightning.pytorch import seed_everything

from src.errors import UsageError
from src.export.source import Checkpoint
from src.run.folder import Run
from src.run.twin import Phase, Twin
from src.run.twin_files import TwinFiles
from src.system.console import Report
from src.twin import checkpoints, parts, result
from src.twin.account import Account
from src.twin.making import Making
from src.twin.options import TwinOptions

_PHASES: tuple[Phase, ...] = ("distillation", "quantization")


def make_twin(run: Run, options: TwinOptions, command: str, report: Report) -> Twin:
    """Make the twin, or go on where an earlier command was stopped.

    An earlier twin stays until the new one is finished.

    Args:
        run: with a checkpoint.
        options: of the twin.
        command: the command line, for the record.
        report: told what comes next.

    Returns:
        The record, as it was written to ``twin/twin.json``, or to ``twin/without_gain.json`` where
        an earlier twin stays.

    Raises:
        UsageError: the run cannot be read, or another process makes its twin.
        LightshipError: the training diverged.
    """
    checkpoint = Checkpoint.read(run.require(run.exported_checkpoint, "train it again"))
    files = TwinFiles(run)
    with files.held():
        return _made(Making(run, checkpoint, options, report), files, command)


def _made(making: Making, files: TwinFiles, command: str) -> Twin:
    """Make the twin while no other process does."""
    options = making.options
    records = earlier(files, again=options.again)
    finished, begun, failed = records.finished, records.begun, records.failed
    number = records.next_making
    another = begun if begun is not None and begun.key != making.key else None
    if options.again or another is not None:
        begun = None
    if begun is None and finished is not None and not options.again:
        is_same = finished.key == making.key
        if is_same and (
            _is_settled(making, files, finished) or _is_without_gain(finished, another)
        ):
            return finished
        if is_same and finished.reason is not None and finished.twin is not None:
            making.report("that twin gained nothing when it was timed: its files are timed again")
            begun = finished
        if failed is not None and failed.key == making.key and is_kept(files, finished, making):
            return failed
    if begun is None and another is not None and not options.again:
        making.report("a twin was begun with other options or weights: this one takes its place")
    seed_everything(making.seed, workers=True, verbose=False)
    account = Account(begun or _surveyed(making, number, command), files.write_unfinished)
    account.note()
    for path in records.lost:  # else the next command could not go on
        path.unlink(missing_ok=True)
    files.write_survey(None)  # all of it is in the record now
    if account.record.plan is not None:
        result.train(making.continuing(account.record), account)
    record = account.record
    if record.reason is not None and finished is not None and is_kept(files, finished, making):
        files.set_aside(record, [making.folder(phase, finished) for phase in _PHASES])
    else:
        files.finish(record, [making.folder(phase, record) for phase in _PHASES])
    return record


def _is_settled(making: Making, files: TwinFiles, finished: Twin) -> bool:
    """Return True if there is nothing to do for a finished record with the same options.

    A trained twin without a gain may have been timed on a busy machine, and parts that bring no
    speed on one kind of processor may bring some on another.
    """
    if finished.reason is None:
        return files.is_whole(finished)
    trained = [phase for phase in _PHASES if phase in finished.spent_s]
    if finished.twin is not None:
        folders = [
            checkpoints.folder_of(making.run, making.folder(phase, finished)) for phase in trained
        ]
        begun = checkpoints.begun_in(making.run, making.folder("distillation", finished))
        is_lost = finished.reconstructed is not None and checkpoints.read_weights(begun) is None
        return is_lost or any(checkpoints.best_in(folder) is None for folder in folders)
    return finished.processor in {None, making.choice.processor}


def _is_without_gain(finished: Twin, another: Twin | None) -> bool:
    """Return True for a twin without a gain while another one is begun, which would be lost."""
    return finished.reason is not None and another is not None


def is_kept(files: TwinFiles, finished: Twin, making: Making) -> bool:
    """Return True if a finished twin is whole and of the weights that a twin is made of now.

    Another attempt that gains nothing, with other options or by the times of a busier machine, says
    nothing against it.
    """
    is_same = finished.checkpoint_sha256 == making.checkpoint.sha256
    return is_same and finished.is_complete and files.is_whole(finished)


@dataclass(frozen=True)
class Earlier:
    """The records that earlier commands left.

    Args:
        finished: of a twin.
        begun: of one that is not finished.
        failed: of a later one without a gain.
        lost: files of records that cannot be read, but for that of a twin that was begun.
        is_whole: all records can be read.
    """

    finished: Twin | None
    begun: Twin | None
    failed: Twin | None
    lost: list[Path]
    is_whole: bool

    @property
    def next_making(self) -> int:
        """A number that no earlier twin has, so that none of its trainings goes on."""
        known = [each for each in (self.finished, self.begun, self.failed) if each is not None]
        number = max((each.making for each in known), default=-1) + 1
        # The number of a lost record may be any that counting gave: the time is beyond those.
        return number if self.is_whole else max(number, int(datetime.now(UTC).timestamp()))


def earlier(files: TwinFiles, *, again: bool) -> Earlier:
    """Return the records that earlier commands left.

    Raises:
        UsageError: one cannot be read, and ``again`` is not set.
    """
    records: list[Twin | None] = []
    lost: list[Path] = []
    paths = (files.run.twin_record, files.unfinished_record, files.without_gain)
    reads = (files.read, files.read_unfinished, files.read_without_gain)
    for path, read in zip(paths, reads, strict=True):
        try:
            records.append(read())
        except UsageError as error:
            if not again:
                raise UsageError(
                    "twin",
                    expected="an account that can be read",
                    found=str(error),
                    remedy="again=true makes the twin anew",
                ) from error
            records.append(None)
            lost.append(path)
    others = [path for path in lost if path != files.unfinished_record]
    finished, begun, failed = records
    return Earlier(finished, begun, failed, others, is_whole=not lost)


def _surveyed(making: Making, number: int, command: str) -> Twin:
    """Choose the parts to replace."""
    started = time.monotonic()
    found = parts.chosen(making)
    return Twin(
        schema_version=1,
        command=command,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        key=making.key,
        making=number,
        processor=making.choice.processor,
        checkpoint_sha256=making.checkpoint.sha256,
        tried=found.tried,
        blocks=found.blocks,
        chosen=found.chosen,
        reason=found.reason,
        calibrated=found.calibrated,
        training=TwinFiles(making.run).read_training(),
        seconds=making.kept_survey.earlier_seconds + time.monotonic() - started,
        ranges={},
    )
