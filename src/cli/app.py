"""The command line of ``src.train``: LightningCLI with the option groups of this project."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.cli import LightningArgumentParser
from lightning.pytorch.loggers import Logger

import src.models.any_network  # noqa: F401  # so that --model finds all architectures by class name
from src.callbacks.atomic_checkpoints import with_atomic_checkpoint_io
from src.callbacks.atomic_config import AtomicSaveConfig
from src.callbacks.benchmark import BenchmarkCallback
from src.callbacks.checkpoint import BestCheckpoint, LastCheckpoint
from src.callbacks.evaluation import EvaluationTable
from src.callbacks.export import ExportCallback
from src.callbacks.finetune import ClassWeights, FinetuneOptions
from src.callbacks.profiler import ProfilerCallback
from src.callbacks.resumed_options import ResumedOptions
from src.callbacks.save_on_signal import StopOnSignal
from src.cli import (
    data_defaults,
    default_callbacks,
    grammar,
    option_conflicts,
    parser_errors,
    processes,
    run_splits,
    schedule_check,
    twin_formats,
)
from src.cli.announcement import announce, announce_loaded_weights
from src.cli.parser import Parser, SubcommandCLI, prefer_integers, without_enumerations
from src.cli.resume_command import as_typed, resume_command
from src.cli.rollback import RunRollback
from src.cli.run_lock import RunLock
from src.cli.run_selection import RunRequest, is_rank_zero, open_run
from src.data.dataset_module import DatasetModule
from src.data.preprocessing import Preprocessing
from src.models import input_check
from src.models.classifier import Classifier
from src.models.network import without_published_weights
from src.models.precision import choose_precision, require_hardware
from src.run import folder as runs
from src.run import started_in
from src.system import atomic_files, library_errors, log_filters, paths, torch_threads
from src.system.signals import Stopped, resume_advice
from src.twin.callback import TwinCallback

CONFIGS = Path(__file__).parents[2] / "configs"


class CLI(SubcommandCLI):
    """``fit``, ``validate``, ``test`` and ``predict``, each with all groups of options."""

    run: runs.Run | None = None
    argv: Sequence[str] = ()  # the command line as the user typed it
    on_run: ClassVar[Callable[[runs.Run], object] | None] = None  # called before training
    _stop_callback: StopOnSignal | None = None
    _is_trial = False  # with trainer.fast_dev_run, which changes no run that it goes on from
    _arguments: Sequence[str] = ()  # of the command line, translated by the grammar

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._rollback = RunRollback()
        with self._one_line_option_errors(), RunLock() as self._lock, self._rollback.on_failure():
            super().__init__(*args, **kwargs)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        prefer_integers(parser)
        parser.add_lightning_class_args(BestCheckpoint, "checkpoint")
        # Before the export, so that the profile of the training is complete when an export starts.
        parser.add_lightning_class_args(ProfilerCallback, "profiler")
        # Before the export, which writes its files.
        parser.add_lightning_class_args(TwinCallback, "twin")
        parser.add_lightning_class_args(ExportCallback, "export")
        parser.add_lightning_class_args(BenchmarkCallback, "benchmark")
        parser.add_class_arguments(FinetuneOptions, "finetune")
        # One budget: an export may lose as much accuracy as the measurement accepts.
        parser.link_arguments("benchmark.max_accuracy_drop", "export.max_accuracy_drop")
        parser.link_arguments("benchmark.max_accuracy_drop", "twin.max_accuracy_drop")
        parser.link_arguments(
            "data.class_names", "model.init_args.class_names", apply_on="instantiate"
        )
        parser.link_arguments(
            "data.preprocessing",
            "model.init_args.image_size",
            compute_fn=_image_size,
            apply_on="instantiate",
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        # The inherited method warns when it gets arguments. These are argv, translated.
        with parser_errors.parsing():
            self.config = without_enumerations(parser.parse_args(args))
        self._arguments = [args] if isinstance(args, str) else list(args)
        config = paths.expand_all(self.config[self.config.subcommand])
        option_conflicts.check(config, self.config.subcommand, args)
        twin_formats.add(config, args, CONFIGS)
        data_defaults.adopt(config, str(self.config.subcommand), args, CONFIGS / "data")

    def _parse_ckpt_path(self) -> None:
        # The inherited method overrides the command line with the checkpoint's hyperparameters, so
        # that an option beside ckpt_path would be ignored silently.
        return

    def instantiate_classes(self) -> None:
        # A checkpoint replaces all weights, so published ones need not be at hand.
        with without_published_weights(self.config[self.subcommand].get("ckpt_path") is not None):
            super().instantiate_classes()

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        settings = self._get(self.config_init, "trainer")
        self._open_run(Path(settings["default_root_dir"] or "."))
        kwargs["logger"] = self._loggers(settings["logger"])
        kwargs["callbacks"] = self._callbacks(settings)
        kwargs["plugins"] = with_atomic_checkpoint_io(
            default_callbacks.as_list(settings["plugins"])
        )
        # The project's samplers distribute images themselves: see src/data/pipeline/samplers.py.
        kwargs["use_distributed_sampler"] = False
        bar = settings["enable_progress_bar"]
        kwargs["enable_progress_bar"] = default_callbacks.on_terminal() if bar is None else bar
        if settings["profiler"] is None:
            kwargs["profiler"] = self._get(self.config_init, "profiler").profiler
        trains_in_sync = self.subcommand == "fit" and settings["sync_batchnorm"]
        require_hardware(settings["accelerator"], settings["precision"], trains_in_sync)
        if settings["precision"] is None:
            kwargs["precision"] = choose_precision(settings["accelerator"], self.model)
        trainer = super().instantiate_trainer(**kwargs)
        default_callbacks.put_saving_last(trainer)
        processes.check(trainer)
        torch_threads.limit(trainer.num_devices, is_launched=trainer.strategy.launcher is not None)
        return trainer

    def _open_run(self, root: Path) -> None:
        """Make or find the run folder, and replace its name in ``ckpt_path`` by a file in it."""
        config = self.config_init[self.subcommand]
        request = RunRequest.of(root, self.model, str(self.subcommand), config)
        self._is_trial = request.is_trial
        selected = open_run(request, self._rollback, self._lock)
        self.run = selected.run
        if selected.checkpoint is not None:
            config.ckpt_path = str(selected.checkpoint)
        # A config.yaml may exist: the run folder is created early, or training resumes in it.
        self.save_config_kwargs = {"overwrite": True}
        if self.subcommand != "fit":
            self.save_config_callback = None
            # Lightning warns that the checkpoint's fine-tuning callbacks are missing here.
            warnings.filterwarnings("ignore", message=".*callbacks used to create the checkpoint")

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        arguments = super()._prepare_subcommand_kwargs(subcommand)
        # EvaluationTable prints the metrics instead of Lightning: see _callbacks.
        return arguments | ({"verbose": False} if "verbose" in arguments else {})

    def _run_subcommand(self, subcommand: str) -> None:
        with resume_advice(self._resume_advice):
            try:
                super()._run_subcommand(subcommand)
            except Stopped as stopped:
                if self._stop_callback is not None:
                    self._stop_callback.export_after_interrupt(self.trainer, stopped)
                raise

    def _one_line_option_errors(self) -> AbstractContextManager[None]:
        return library_errors.explain_option_errors(
            lambda: grammar.user_options(self._arguments, CONFIGS),
            self._options,
            started=lambda: self._rollback.has_started() or not hasattr(self, "config"),
        )

    def _options(self) -> dict[str, object]:
        """Return the value of every option, by the option's name on the command line."""
        flat = vars(self.config[self.subcommand].as_flat())
        return {name.replace(".init_args.", "."): value for name, value in flat.items()}

    def _resume_advice(self) -> str:
        if self.subcommand != "fit" or self.run is None or self._is_trial:
            return ""
        if not self.run.last_checkpoint.is_file():
            return "no checkpoint is saved yet"
        found = {"model.lr": self.model.lr, "data.batch_size": self.datamodule.batch_size}
        model, options, earlier = self.model.name, self._options(), self._rollback.earlier
        return f"go on with: {resume_command(self.argv, self.run, model, options, found, earlier)}"

    def _callbacks(self, settings: Any) -> list[Callback]:
        last = LastCheckpoint()
        self._stop_callback = StopOnSignal(last)
        is_chosen = bool(self.config_init[self.subcommand].get("optimizer"))
        callbacks = [
            *default_callbacks.as_list(settings["callbacks"]),
            *self._finetuning(),
            ResumedOptions(optimizer_is_chosen=is_chosen),
            *default_callbacks.common_callbacks(
                self.run, self._rollback.started, last, self._stop_callback
            ),
        ]
        if self.config_init[self.subcommand].get("verbose"):  # only validate and test have it
            callbacks.append(EvaluationTable())
        if self.subcommand == "predict":
            root = Path(settings["default_root_dir"] or ".")
            callbacks.append(default_callbacks.prediction_writer(self.run, root))
        bars = default_callbacks.progress_bars(callbacks, settings["enable_progress_bar"])
        return [*callbacks, *bars]

    def _finetuning(self) -> list[Callback]:
        if self.subcommand != "fit":
            return []
        best = self._get(self.config_init, "checkpoint")
        options: FinetuneOptions = self._get(self.config_init, "finetune")
        return [ClassWeights(), *options.callbacks(best.monitor, best.mode)]

    def _loggers(self, configured: Any) -> list[Logger]:
        folder = self.run.folder if self.run else None
        if folder is None and self.subcommand == "fit":
            # A trial writes nothing, and in other processes rank 0's path replaces this one.
            folder = Path(runs.LOG_FOLDER) / self.model.name / "none"
        return default_callbacks.loggers(configured, folder)

    @staticmethod
    def configure_optimizers(
        lightning_module: Any, optimizer: torch.optim.Optimizer, lr_scheduler: Any = None
    ) -> Any:
        """Combine a user's optimizer with the user's schedule, or else with warm-up and cosine."""
        for group in optimizer.param_groups:
            # ReduceLROnPlateau does not note it: see src/callbacks/resumed_options.py.
            group.setdefault("initial_lr", group["lr"])
        if lr_scheduler is None:
            return [optimizer], [lightning_module.schedule(optimizer)]
        return schedule_check.combine(lightning_module, optimizer, lr_scheduler)

    def before_fit(self) -> None:
        data = self.datamodule
        run_splits.adopt(data, self.config_init.fit.ckpt_path, self.run)
        self._require_fitting_images(data.smallest_batch(self.trainer.world_size), training=True)
        if not is_rank_zero():
            return
        if self.run is not None and not self._is_trial:
            self.run.remove_unfinished()
            atomic_files.write_text(self.run.command, f"{as_typed(self.argv)}\n")
            started_in.note(self.run, Path.cwd())
            run_splits.store(data, self.run)
            if (on_run := type(self).on_run) is not None:
                on_run(self.run)
        announce(self.model, data.preprocessing.input_shape, self.trainer.precision)
        has_best = self.run is not None and self.run.best_checkpoint.is_file()
        notices = option_conflicts.notices(self.config.fit, self._arguments, has_best=has_best)
        for line in [*notices, *twin_formats.notices(self.config.fit)]:
            print(line)
        announce_loaded_weights(self.model)

    def after_fit(self) -> None:
        self._get(self.config_init, "twin").require_success()

    def before_validate(self) -> None:
        run_splits.adopt_to_evaluate(self.datamodule, str(self.subcommand), self.config_init)
        self._require_fitting_images(1, training=False)

    before_test = before_predict = before_validate

    def _require_fitting_images(self, batch_size: int, *, training: bool) -> None:
        network, side = self.model.network, self.datamodule.preprocessing.image_size
        input_check.require_fitting(self.model.name, network, side, batch_size, training=training)


def _image_size(preprocessing: Preprocessing) -> int:
    return preprocessing.image_size


def main(argv: Sequence[str], on_run: Callable[[runs.Run], object] | None = None) -> None:
    """Run one command line, without the program's name.

    Args:
        argv: the command line.
        on_run: called with the run before it is trained.

    Raises:
        LightshipError: the user made a mistake, or the training diverged.
    """
    log_filters.silence_lightning()
    # Activations and optimizer states drift into denormal numbers. Processors compute with these
    # slowly, and they do not affect the result.
    torch.set_flush_denormal(True)
    CLI.argv = argv
    CLI.on_run = on_run
    CLI(
        Classifier,
        DatasetModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        save_config_callback=AtomicSaveConfig,
        parser_class=Parser,
        args=grammar.translate(argv, CONFIGS),
    )
