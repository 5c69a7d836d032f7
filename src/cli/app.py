"""The command line: LightningCLI with the groups that this project adds to it."""

from __future__ import annotations

import shlex
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ProgressBar, TQDMProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

import src.models  # noqa: F401  # so that --model finds the architectures by class name
from src.callbacks.atomic_checkpoints import with_whole_checkpoints
from src.callbacks.atomic_config import WholeConfig
from src.callbacks.benchmark import BenchmarkCallback
from src.callbacks.checkpoint import BestCheckpoint, LastCheckpoint, UntrainedCheckpoint
from src.callbacks.evaluation import EvaluationTable
from src.callbacks.export import ExportCallback
from src.callbacks.finetune import ClassWeights, FinetuneOptions
from src.callbacks.out_of_memory import MemoryAdvice
from src.callbacks.predictions import PredictionWriter
from src.callbacks.profiler import ProfilerCallback
from src.callbacks.progress import EpochLines
from src.callbacks.run_folder_check import FolderPresence
from src.callbacks.run_paths import RunPaths
from src.callbacks.save_on_signal import StopOnSignal
from src.callbacks.skipped import SkippedImages
from src.callbacks.tf32 import Tf32
from src.callbacks.throughput import Throughput
from src.cli import grammar, option_conflicts, parser_errors, pretrained_defaults, rehearsal
from src.cli.attempt import Attempt
from src.cli.parser import Parser
from src.data.dataset_module import DatasetModule
from src.errors import UsageError
from src.export.source import Checkpoint
from src.models import input_check
from src.models.classifier import Classifier
from src.models.network import count
from src.models.precision import choose_precision, require_hardware
from src.run import folder as runs
from src.run import started_in
from src.system import atomic_files, library_errors, log_filters, paths
from src.system.console import open_console
from src.system.signals import Stopped, telling

CONFIGS = Path(__file__).parents[2] / "configs"


class CLI(LightningCLI):
    """``fit``, ``validate``, ``test`` and ``predict``, each with all groups of options."""

    run: runs.Run | None = None
    typed = ""  # the command line, as the user typed it
    _stopping: StopOnSignal | None = None
    _words: Sequence[str] = ()  # the same, translated
    on_run: ClassVar[Callable[[runs.Run], object] | None] = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._attempt = Attempt()
        with self._in_one_line(), self._attempt.undone():
            super().__init__(*args, **kwargs)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_lightning_class_args(BestCheckpoint, "checkpoint")
        # Before the export: at the end it is closed and tells of the training first.
        parser.add_lightning_class_args(ProfilerCallback, "profiler")
        parser.add_lightning_class_args(ExportCallback, "export")
        parser.add_lightning_class_args(BenchmarkCallback, "benchmark")
        parser.add_class_arguments(FinetuneOptions, "finetune")
        # One budget, set once: what an export may choose is what the measurement lets pass.
        parser.link_arguments("benchmark.max_accuracy_drop", "export.max_accuracy_drop")
        parser.link_arguments(
            "data.class_names", "model.init_args.class_names", apply_on="instantiate"
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        # The inherited one warns when it is given arguments: ours are argv, translated.
        with parser_errors.parsing():
            self.config = parser.parse_args(args)
        self._words = [args] if isinstance(args, str) else list(args)
        config = paths.expand_all(self.config[self.config.subcommand])
        option_conflicts.check(config, self.config.subcommand, args)
        pretrained_defaults.adopt_preprocessing(config, args, CONFIGS / "data")

    def _parse_ckpt_path(self) -> None:
        # The inherited one lays the checkpoint's hyperparameters over the command line's, so
        # that an option given with ckpt_path would be ignored without a word.
        return

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        settings = self._get(self.config_init, "trainer")
        self._open_run(Path(settings["default_root_dir"] or "."))
        kwargs["logger"] = self._loggers(settings["logger"])
        kwargs["callbacks"] = self._callbacks(settings)
        kwargs["plugins"] = with_whole_checkpoints(_as_list(settings["plugins"]))
        # Our own loaders give each process its images: see src/data/pipeline/samplers.py.
        kwargs["use_distributed_sampler"] = False
        bar = settings["enable_progress_bar"]
        kwargs["enable_progress_bar"] = _on_terminal() if bar is None else bar
        if settings["profiler"] is None:
            kwargs["profiler"] = self._get(self.config_init, "profiler").profiler
        require_hardware(settings["accelerator"], settings["precision"])
        if settings["precision"] is None:
            kwargs["precision"] = choose_precision(settings["accelerator"], self.model)
        trainer = super().instantiate_trainer(**kwargs)
        # The last checkpoint holds what all others have noted, the best one's score among it.
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        callbacks.sort(key=lambda each: isinstance(each, LastCheckpoint | StopOnSignal))
        return trainer

    def _open_run(self, root: Path) -> None:
        """Make or find the run folder, and what ``best`` and ``last`` mean in it."""
        config = self.config_init[self.subcommand]
        self.run = self._run(root, self.model.name, config.ckpt_path)
        if self.run and config.ckpt_path in {"best", "last"}:
            best = config.ckpt_path == "best"
            path = self.run.best_checkpoint if best else self.run.last_checkpoint
            if _is_rank_zero():
                print(f"ckpt_path={config.ckpt_path} is {path}")
            config.ckpt_path = str(path)
            if self.subcommand == "fit":
                self._attempt.goes_on_in(self.run)
        # The run's folder may exist: it was made to reserve it, or training goes on in it.
        self.save_config_kwargs = {"overwrite": True}
        if self.subcommand != "fit":
            self.save_config_callback = None
            # Those of a fine-tuning, which have nothing to do here.
            warnings.filterwarnings("ignore", message=".*callbacks used to create the checkpoint")

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        given = super()._prepare_subcommand_kwargs(subcommand)
        # The table is ours: see _callbacks.
        return given | ({"verbose": False} if "verbose" in given else {})

    def _run_subcommand(self, subcommand: str) -> None:
        with telling(self._how_to_go_on):
            try:
                super()._run_subcommand(subcommand)
            except Stopped as stopped:
                if self._stopping is not None:
                    self._stopping.hand_over(self.trainer, stopped)
                raise

    def _in_one_line(self) -> AbstractContextManager[None]:
        """What a library says of an option, wherever it says so."""
        return library_errors.of_options(
            lambda: grammar.given(self._words, CONFIGS),
            self._options,
            started=lambda: self._attempt.started.is_started or not hasattr(self, "config"),
        )

    def _options(self) -> dict[str, Any]:
        """Each option of this command line and its value, by its name there."""
        flat = vars(self.config[self.subcommand].as_flat())
        return {name.replace(".init_args.", "."): value for name, value in flat.items()}

    def _how_to_go_on(self) -> str:
        if self.subcommand != "fit" or self.run is None:
            return ""
        if not self.run.last_checkpoint.is_file():
            return "no checkpoint is saved yet"
        more = "" if self.typed.endswith(" ckpt_path=last") else " ckpt_path=last"
        return f"go on with: {self.typed}{more}"

    def _run(self, root: Path, model: str, ckpt_path: str | None) -> runs.Run | None:
        """The run folder of this command: a new one, or the newest that has the checkpoint.

        None where there is none: a trial run, another process than the first, and a checkpoint
        that lies in no run, which is only looked at.
        """
        if ckpt_path in {"best", "last"}:
            found = runs.newest(root, model, having=f"checkpoints/{ckpt_path}.ckpt")
            if found is None:
                raise UsageError(
                    "ckpt_path",
                    expected=f"a run of {model} with checkpoints/{ckpt_path}.ckpt",
                    found=f"none in {root / runs.LOG_FOLDER / model}",
                    remedy="train without ckpt_path first, or name the file",
                )
            self._require_fitting(found.folder / "checkpoints" / f"{ckpt_path}.ckpt")
            return found
        if ckpt_path is None and self.subcommand != "fit":
            raise UsageError(
                "ckpt_path",
                expected="best, last or a checkpoint's path, for new weights know nothing",
                found="nothing",
                remedy="add ckpt_path=best",
            )
        if ckpt_path is not None and not Path(ckpt_path).is_file():
            raise UsageError(
                "ckpt_path",
                expected="best, last or a checkpoint's path",
                found=f"{ckpt_path}, which is no file",
                remedy="see lightning_logs/",
            )
        if ckpt_path is not None:
            self._require_fitting(Path(ckpt_path))
        if ckpt_path is not None and self.subcommand != "fit":
            return runs.around(Path(ckpt_path))
        if self.config.fit.trainer.fast_dev_run:
            return None
        if not _is_rank_zero():
            return None  # the folder that rank 0 made is broadcast
        made = runs.create(root, model)
        self._attempt.makes(made)
        return made

    def _require_fitting(self, checkpoint: Path) -> None:
        Checkpoint.read(checkpoint).require_for(self.model.spec, self.model.class_names)

    def _callbacks(self, settings: Any) -> list[Callback]:
        last = LastCheckpoint()
        self._stopping = StopOnSignal(last)
        callbacks = [
            *_as_list(settings["callbacks"]),
            *self._finetuning(),
            EpochLines(),
            SkippedImages(),
            Throughput(),
            Tf32(),
            MemoryAdvice(),
            FolderPresence(),
            UntrainedCheckpoint(last),
            self._attempt.started,
            RunPaths(self.run.folder if self.run else None),
            last,
            self._stopping,
        ]
        if self.config_init[self.subcommand].get("verbose"):  # of validate and test
            callbacks.append(EvaluationTable())
        if self.subcommand == "predict":
            # A checkpoint outside a run has no folder of ours beside it.
            folder = self.run.folder if self.run else Path(settings["default_root_dir"] or ".")
            callbacks.append(PredictionWriter(folder / "predictions.csv"))
        has_bar = any(isinstance(callback, ProgressBar) for callback in callbacks)
        if not has_bar and settings["enable_progress_bar"] is not False and _on_terminal():
            # Unlike Rich's, it is gone when training ends, before the next stage shows its own.
            callbacks.append(TQDMProgressBar(leave=False))
        return callbacks

    def _finetuning(self) -> list[Callback]:
        if self.subcommand != "fit":
            return []
        best = self._get(self.config_init, "checkpoint")
        options: FinetuneOptions = self._get(self.config_init, "finetune")
        return [ClassWeights(), *options.callbacks(best.monitor, best.mode)]

    def _loggers(self, configured: Any) -> list[Logger]:
        is_outside_runs = self.subcommand != "fit" and self.run is None
        theirs = [logger for logger in _as_list(configured) if isinstance(logger, Logger)]
        if is_outside_runs or any(isinstance(logger, TensorBoardLogger) for logger in theirs):
            return theirs
        folder = self.run.folder if self.run else Path(runs.LOG_FOLDER) / self.model.name / "none"
        ours = TensorBoardLogger(
            str(folder.parent.parent),
            name=folder.parent.name,
            version=folder.name,
            default_hp_metric=False,
        )
        return [ours, *theirs]

    @staticmethod
    def configure_optimizers(
        lightning_module: Any, optimizer: torch.optim.Optimizer, lr_scheduler: Any = None
    ) -> Any:
        """A replaced optimizer keeps the warm-up and cosine unless these are replaced too."""
        if lr_scheduler is None:
            return [optimizer], [lightning_module.schedule(optimizer)]
        rehearsal.try_schedule(optimizer, lr_scheduler)
        return LightningCLI.configure_optimizers(lightning_module, optimizer, lr_scheduler)

    def before_fit(self) -> None:
        data = self.datamodule
        smallest = data.smallest_batch(self.trainer.world_size)
        self._require_fitting_images(smallest, training=True)
        if _is_rank_zero():
            if self.run is not None:
                self.run.remove_unfinished()
                atomic_files.write_text(self.run.command, f"{self.typed}\n")
                started_in.note(self.run, Path.cwd())
                told = type(self).on_run
                if told is not None:
                    told(self.run)
            shape = data.preprocessing.input_shape
            complexity = count(self.model.network, shape)
            open_console().print(
                f"{self.model.name}: {complexity.parameters / 1e6:.2f} M parameters, "
                f"{complexity.macs / 1e9:.3f} GMACs for {shape[1]}x{shape[2]} pixels, "
                f"{len(self.model.class_names)} classes; precision {self.trainer.precision}",
                soft_wrap=True,
            )
            best = self.run is not None and self.run.best_checkpoint.is_file()
            for line in option_conflicts.notices(self.config.fit, has_best=best):
                print(line)
            for line in self.model.loaded.lines() if self.model.loaded else []:
                open_console().print(line, soft_wrap=True, markup=False)

    def before_validate(self) -> None:
        self._require_fitting_images(1, training=False)

    before_test = before_predict = before_validate

    def _require_fitting_images(self, batch_size: int, *, training: bool) -> None:
        network, side = self.model.network, self.datamodule.preprocessing.image_size
        input_check.require_fitting(self.model.name, network, side, batch_size, training=training)


def main(argv: Sequence[str], on_run: Callable[[runs.Run], object] | None = None) -> None:
    """Run one command line, without the program's name.

    Args:
        argv: the command line.
        on_run: told of the run before it is trained.

    Raises:
        LightshipError: what a user can mend, or a training that diverged.
    """
    log_filters.hush()
    # Denormal numbers, which activations and optimizer states drift into, take the
    # processor's slow path and never matter to the result.
    torch.set_flush_denormal(True)
    CLI.typed = shlex.join(["python", "-m", "src.train", *argv])
    CLI.on_run = on_run
    CLI(
        Classifier,
        DatasetModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        save_config_callback=WholeConfig,
        parser_class=Parser,
        args=grammar.translate(argv, CONFIGS),
    )


def _is_rank_zero() -> bool:
    return bool(rank_zero_only.rank == 0)  # type: ignore[attr-defined]  # set at its import


def _on_terminal() -> bool:
    return sys.stderr.isatty()


def _as_list(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    return [] if value is None or isinstance(value, bool) else [value]
