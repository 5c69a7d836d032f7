"""One making of a twin: the network, the data and the options that all of its steps read."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from src.data.dataset_module import DatasetModule
from src.data.restore import data_of
from src.errors import UsageError
from src.export.source import Checkpoint, read_progress
from src.models.batch_norm_statistics import within_memory
from src.quantization import target
from src.quantization.target import Choice
from src.run.facts import PreprocessingFacts
from src.run.folder import Run
from src.run.twin import Phase, Processor, Twin
from src.run.twin_files import TwinFiles
from src.system.console import Report
from src.twin.fake_quantization import FakeQuantization
from src.twin.kept_survey import KeptSurvey, plan_of
from src.twin.options import TwinOptions
from src.twin.survey import Survey
from src.twin.validation import Validation

_IMAGES = 256  # training images to survey, to re-estimate statistics and to calibrate on
# Training images to refit layers to, unless they take more bytes: 332 of 224 pixels.
_REFIT_IMAGES, _REFIT_BYTES = 1024, 2e8
_LEAST_EPOCHS, _LEAST_QUANTIZED_EPOCHS = 3, 2
# Peak learning rates: a student near its teacher loses at the higher ones what it has.
_RATES: dict[Phase, float] = {"distillation": 5e-4, "quantization": 1e-4}
_NEAR_RATES: dict[Phase, float] = {"distillation": 2e-5, "quantization": 2e-5}
_TRAINING_SHARE = 3  # of so many epochs of the training, one of the distillation


@dataclass(frozen=True)
class Making:
    """A run's network and options.

    Args:
        run: with a checkpoint.
        checkpoint: of the teacher.
        options: of the twin.
        report: told what comes next.
        processor: kind of processor that the 8-bit types are for; None for this one.
    """

    run: Run
    checkpoint: Checkpoint
    options: TwinOptions
    report: Report
    processor: Processor | None = None

    @functools.cached_property
    def network(self) -> nn.Module:
        """The teacher, in eval mode on the CPU."""
        return self.checkpoint.network()

    @functools.cached_property
    def data(self) -> DatasetModule:
        """The run's data; a training needs data of its own, which know where it resumes."""
        return self.fresh_data()

    def fresh_data(self) -> DatasetModule:
        """Return the run's data, set up for fit."""
        data = data_of(self.run)
        data.prepare_data()
        if data.pinned is not None:
            data.load()
            for line in data.pinned.notes:
                self.report(line)
        data.setup("fit")
        return data

    @functools.cached_property
    def images(self) -> Tensor:
        """Training images, (n, 3, H, W)."""
        return within_memory(self.data, _IMAGES)

    def refit_images(self) -> Tensor:
        """Return training images for the reconstruction, (n, 3, H, W)."""
        return within_memory(self.data, _REFIT_IMAGES, _REFIT_BYTES)

    @functools.cached_property
    def preprocessing(self) -> PreprocessingFacts:
        return self.data.preprocessing.facts()

    @functools.cached_property
    def validation(self) -> Validation:
        """The validation split with the teacher's answers."""
        return Validation(self.network, self.data, self.device)

    @functools.cached_property
    def kept_survey(self) -> KeptSurvey:
        """The plans that were timed and probed so far."""
        return KeptSurvey(
            TwinFiles(self.run), self.key, self.choice.processor, again=self.options.again
        )

    @functools.cached_property
    def survey(self) -> Survey:
        return Survey(
            self.network,
            self.checkpoint.spec,
            self.checkpoint.class_names,
            self.preprocessing,
            self.images,
            self.report,
            kept=self.kept_survey.timed,
            keep=self.kept_survey.keep_time,
        )

    @functools.cached_property
    def choice(self) -> Choice:
        """The 8-bit types."""
        return target.choose(self.processor or "auto")

    def continuing(self, record: Twin) -> Making:
        """Return the making of a record that was begun, perhaps on another kind of processor.

        Its trainings go on with the 8-bit types that it was begun with, and so does its export.
        """
        if record.processor in {None, self.choice.processor}:
            return self
        self.report(
            f"the 8-bit types stay those of {record.processor}, for that twin was begun there; "
            f"this CPU is {target.this_processor()}"
        )
        return dataclasses.replace(self, processor=record.processor)

    @property
    def device(self) -> torch.device:
        """The device of its training: CUDA if there is a GPU and the run was not kept to the CPU.

        If the run named its GPUs, it is the first of them. "auto" may be MPS, which has no float64:
        :class:`GraphNetwork` rounds biases in it.
        """
        if self._trainer.get("accelerator") == "cpu" or not torch.cuda.is_available():
            return torch.device("cpu")
        named = self._trainer.get("devices")
        if isinstance(named, str) and "," in named:  # as Lightning reads it
            named = [int(part) for part in named.split(",") if part.strip().isdecimal()]
        first = named[0] if isinstance(named, list) and named else 0
        is_there = isinstance(first, int) and 0 <= first < torch.cuda.device_count()
        return torch.device("cuda", first if is_there else 0)

    @property
    def seed(self) -> int:
        """Seed of the trainings: by default that of the run's."""
        if self.options.seed is not None:
            return self.options.seed
        seed = self.run.read_config().get("seed_everything")
        return seed if isinstance(seed, int) and not isinstance(seed, bool) else 0

    @property
    def epochs(self) -> int:
        """Epochs of the distillation."""
        if self.options.epochs is not None:
            return self.options.epochs
        return max(_LEAST_EPOCHS, math.ceil(self._trained_epochs / _TRAINING_SHARE))

    @functools.cached_property
    def _trained_epochs(self) -> int:
        """Epochs of the run's training, which may have ended before the last one; 0 if unknown."""
        try:
            return read_progress(self.run.last_checkpoint)[0]
        except UsageError:  # there is none, or a callback of the user's wrote it
            asked = self._trainer.get("max_epochs")
            return asked if isinstance(asked, int) and asked > 0 else 0

    @property
    def limit_train_batches(self) -> int | float:
        """Batches of an epoch, or the share of them, as in the run's training."""
        limit = self._trainer.get("limit_train_batches")
        if isinstance(limit, int | float) and not isinstance(limit, bool) and limit > 0:
            return limit
        return 1.0

    @property
    def quantized_epochs(self) -> int:
        """Epochs under fake quantization."""
        if self.options.quantized_epochs is not None:
            return self.options.quantized_epochs
        return max(_LEAST_QUANTIZED_EPOCHS, math.ceil(self.epochs / 2))

    def rate(self, phase: Phase, *, is_near: bool) -> float:
        """Return the peak learning rate of a training.

        Args:
            phase: of the training.
            is_near: the student answers most images as the teacher does before it.
        """
        options = self.options
        asked = options.lr if phase == "distillation" else options.quantized_lr
        return (_NEAR_RATES if is_near else _RATES)[phase] if asked is None else asked

    @functools.cached_property
    def key(self) -> str:
        """Hash of everything that decides the result, but for the machine."""
        options = self.options
        values: dict[str, object] = {
            "checkpoint": self.checkpoint.sha256,
            "epochs": [self.epochs, self.quantized_epochs],
            "rates": [options.lr, options.quantized_lr],
            "max_minutes": options.max_minutes,
            "probe_steps": options.probe_steps,
            "max_accuracy_drop": options.max_accuracy_drop,
            "seed": self.seed,
            "best_by": "loss",  # by agreement in checkpoints of earlier versions
        }
        # Epochs that are asked for are trained, also where fewer would do by default.
        equal = [
            name
            for name in ("epochs", "quantized_epochs")
            if getattr(options, name) is not None and getattr(self, name) == self._default(name)
        ]
        if equal:
            values["asked"] = equal
        return _hash(values)

    def _default(self, name: str) -> int:
        """Return the number of epochs that an option has where it is not given."""
        without: dict[str, Any] = {name: None}
        options = dataclasses.replace(self.options, **without)
        count: int = getattr(dataclasses.replace(self, options=options), name)
        return count

    def folder(self, phase: Phase, record: Twin) -> str:
        """Return the name of a training's folder: another plan or making has another one."""
        plan = record.plan
        paths = [(each.kind, each.by, each.paths) for each in plan.replaced] if plan else []
        return f"{phase}-{_hash([record.key, record.making, paths])[:8]}"

    def quantized(self, network: nn.Module) -> AbstractContextManager[FakeQuantization]:
        """Quantize a network within a block."""
        return FakeQuantization.of(
            network, self.checkpoint, self.images, self.preprocessing, self.choice
        )

    def student(self, record: Twin) -> nn.Module:
        """Return the untrained student of a record's plan.

        Raises:
            UsageError: the network has no such parts.
        """
        try:
            return self.survey.student(plan_of(record.plan.replaced if record.plan else []))
        except ValueError as error:
            raise UsageError(
                str(self.run.twin),
                expected="parts of the run's network",
                found=str(error),
                remedy="begin anew with again=true",
            ) from error

    @property
    def _trainer(self) -> dict[str, Any]:
        trainer = self.run.read_config().get("trainer")
        return trainer if isinstance(trainer, dict) else {}


def _hash(values: object) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
