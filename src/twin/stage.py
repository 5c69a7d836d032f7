"""Make the int8 twin of a run: choose its parts, distil it, train it under fake quantization."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from lightning.pytorch import seed_everything
from torch import Tensor, nn

from src.data.dataset_module import DatasetModule
from src.data.restore import data_of
from src.errors import LightshipError
from src.export.source import Checkpoint
from src.run.folder import Run
from src.run.twin import ReplacedParts, TriedPlan, Twin
from src.system import atomic_files
from src.system.console import Report
from src.twin import probe, survey, training
from src.twin.fake_quantization import FakeQuantization
from src.twin.graph_network import UnknownOperatorError
from src.twin.options import TwinOptions
from src.twin.replacements import Replacement
from src.twin.survey import Plan, Survey, Surveyed

if TYPE_CHECKING:
    from src.run.facts import PreprocessingFacts

_IMAGES = 256  # training images to survey, to re-estimate statistics and to calibrate on
_LEARNABLE = 0.8  # agreement after the probe
_QUANTIZED_SHARE = 0.5  # epochs under fake quantization, of those of the distillation


@dataclass
class _Making:
    """A run's network, data and options, which all steps read."""

    run: Run
    checkpoint: Checkpoint
    data: DatasetModule
    network: nn.Module  # the teacher
    options: TwinOptions
    report: Report
    images: Tensor  # training images, (n, 3, H, W)
    preprocessing: PreprocessingFacts
    started: float

    @property
    def survey(self) -> Survey:
        checkpoint = self.checkpoint
        return Survey(
            self.network,
            checkpoint.spec,
            checkpoint.class_names,
            self.preprocessing,
            self.images,
            self.report,
        )

    def quantized(self, network: nn.Module) -> AbstractContextManager[FakeQuantization]:
        return FakeQuantization.of(network, self.checkpoint, self.images, self.preprocessing)


def make_twin(run: Run, options: TwinOptions, command: str, report: Report) -> Twin:
    """Make the twin, or go on where an earlier command was stopped.

    Args:
        run: with a checkpoint.
        options: of the twin.
        command: the command line, for the record.
        report: told what comes next.

    Returns:
        The record, as it was written to ``twin/twin.json``.

    Raises:
        UsageError: the run cannot be read.
        LightshipError: the training diverged.
    """
    checkpoint = Checkpoint.read(run.require(run.exported_checkpoint, "train it again"))
    key = _key(checkpoint, options)
    earlier = run.read_twin()
    if earlier is not None and earlier.key == key and not options.again and _is_done(run, earlier):
        return earlier
    data = data_of(run)
    data.prepare_data()
    data.setup("fit")
    seed_everything(options.seed, workers=True, verbose=False)
    making = _Making(
        run,
        checkpoint,
        data,
        checkpoint.network(),
        options,
        report,
        data.calibration_images(_IMAGES),
        data.preprocessing.facts(),
        time.monotonic(),
    )
    if earlier is None or earlier.key != key or options.again or earlier.chosen is None:
        record = _surveyed(making, key, command)
        run.write_twin(record)
    else:
        record = earlier
    if record.plan is not None:
        record = _trained(making, record)
        run.write_twin(record)
    return record


def _is_done(run: Run, record: Twin) -> bool:
    """Return True if there is nothing left to do."""
    if record.reason is not None:
        return True
    graph = run.twin_graph
    return graph.is_file() and atomic_files.sha256(graph) == record.graph_sha256


def _key(checkpoint: Checkpoint, options: TwinOptions) -> str:
    """Return the hash of everything that decides the result, but for the machine."""
    values = {**dataclasses.asdict(options), "again": False, "checkpoint": checkpoint.sha256}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _surveyed(making: _Making, key: str, command: str) -> Twin:
    """Choose the parts to replace."""
    report, options = making.report, making.options
    looking = making.survey
    report("timing the network in int8")
    tried = looking.run()
    probed: dict[Plan, float] = {}

    def is_learnable(each: Surveyed) -> bool:
        if options.probe_steps:
            report(f"a short distillation: {each.name}")
            probed[each.plan] = probe.agreement_after(
                making.network,
                looking.student(each.plan),
                making.data,
                making.images,
                options.probe_steps,
                options.lr,
            )
        return probed.get(each.plan, 1.0) >= _LEARNABLE

    chosen = survey.ranked(tried, is_learnable)
    reason = None
    if not chosen.plan:
        reason = _needs_none(making)
    return Twin(
        schema_version=1,
        command=command,
        made_at=_now(),
        key=key,
        checkpoint_sha256=making.checkpoint.sha256,
        tried=[_as_record(each, probed.get(each.plan)) for each in tried],
        chosen=None if reason else tried.index(chosen),
        reason=reason,
        seconds=time.monotonic() - making.started,
        ranges={},
    )


def _needs_none(making: _Making) -> str | None:
    """Return why a network of which nothing is replaced needs no twin; None if it needs one."""
    making.report("comparing the calibrated int8 file")
    with making.quantized(making.network) as quantization:
        changed = 1 - quantization.agreement(making.network, making.data)
    if changed > making.options.max_accuracy_drop:
        return None
    return (
        "no replacement makes the int8 file faster by a twentieth, and the calibrated int8 file "
        f"changes {changed:.1%} of the validation answers, which the budget allows"
    )


def _trained(making: _Making, record: Twin) -> Twin:
    """Distil the chosen plan and train it under fake quantization."""
    plan = record.plan
    assert plan is not None  # noqa: S101  # for mypy
    options, network, data = making.options, making.network, making.data
    student = making.survey.student(_plan_of(plan.replaced))
    epochs = options.epochs or math.ceil(_epochs_of(making.run) / 2)
    quantized_epochs = options.quantized_epochs or math.ceil(_QUANTIZED_SHARE * epochs)
    budget = training.Budget.of(options.max_minutes)
    teacher = training.validated(network, network, data)
    distilled = record.distilled
    if plan.replaced:
        student = training.fit(
            making.run,
            "distillation",
            record.key,
            network,
            student,
            data,
            epochs,
            options.lr,
            budget.share(epochs / (epochs + quantized_epochs)),
            making.report,
            resumes=not options.again,
        )
        distilled = training.validated(network, student, data)
    with making.quantized(student) as quantization:
        try:
            trainable = quantization.network()
        except UnknownOperatorError as error:
            raise LightshipError(
                f"the twin cannot be trained under fake quantization: {error}"
            ) from error
        trained = training.fit(
            making.run,
            "quantization",
            record.key,
            network,
            trainable,
            data,
            quantized_epochs,
            options.quantized_lr,
            budget.rest(),
            making.report,
            resumes=not options.again,
        )
        twin = training.validated(network, trained, data)
        making.run.twin.mkdir(exist_ok=True)
        quantization.write(trained, making.run.twin_graph)
        ranges = quantization.ranges()
    return msgspec.structs.replace(
        record,
        made_at=_now(),
        seconds=record.seconds + time.monotonic() - making.started,
        teacher=teacher,
        distilled=distilled,
        twin=twin,
        graph_sha256=atomic_files.sha256(making.run.twin_graph),
        ranges=ranges,
    )


def _epochs_of(run: Run) -> int:
    """Return the epochs that a run was configured to train."""
    trainer: Any = run.read_config().get("trainer") or {}
    epochs = trainer.get("max_epochs") if isinstance(trainer, dict) else None
    return epochs if isinstance(epochs, int) and epochs > 0 else 2


def _as_record(each: Surveyed, probed: float | None) -> TriedPlan:
    return TriedPlan(
        name=each.name,
        replaced=[
            ReplacedParts(kind=part.kind, by=part.by, paths=list(part.paths)) for part in each.plan
        ],
        speedup=each.speedup,
        agreement=each.agreement,
        probe_agreement=probed,
    )


def _plan_of(replaced: Iterable[ReplacedParts]) -> Plan:
    return tuple(Replacement(part.kind, part.by, tuple(part.paths)) for part in replaced)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
