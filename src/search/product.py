"""The steps of a search by the commands that a user runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from src.benchmark.statistics.latency import call_seconds
from src.benchmark.statistics.verdict import keeps_budget
from src.errors import UsageError
from src.forecast import stage as forecasts
from src.forecast.candidate import Request
from src.forecast.records import Candidate
from src.run.circumstances import Environment
from src.run.folder import Run
from src.run.row import Row
from src.search import training
from src.search.judging_options import adopt_options
from src.search.limits import BATCH_SIZE
from src.search.records import JudgedFile
from src.search.training import Command, run_logged
from src.search.trials import Judged, Trained, TrialError


@dataclass(frozen=True)
class ProductTrials:
    """Forecasts, trains and judges by ``src.forecast``, ``src.train``, ``export``, ``benchmark``.

    Args:
        folder: of the search; it has a folder ``logs``.
        forecast_folder: of ``forecast.json``, which other forecasts may use as well.
        environment: the machine and the versions.
        command: the command line, for the record of the forecast.
        forecast_training: runs the short training of a forecast.
        run_command: runs a command.
    """

    folder: Path
    forecast_folder: Path
    environment: Environment
    command: str
    forecast_training: forecasts.Train
    run_command: Command

    def known_forecast(self, request: Request) -> Candidate | None:
        """Return the cost of a candidate from ``forecast.json``, where formats may have failed."""
        known = forecasts.known(self.forecast_folder).get(request.key(self.environment))
        return known if known and known.status == "ok" else None

    def forecast(self, request: Request) -> Candidate:
        """Measure and return the cost of a candidate, and write it into ``forecast.json``."""
        made = forecasts.forecast(
            [request],
            self.environment,
            self.command,
            self.forecast_folder,
            self.forecast_training,
            _quiet,
        )
        return made.candidates[0]

    def train(self, request: Request, key: str, epoch: int, epochs: int) -> Trained:
        """Train until an epoch, from ``last.ckpt`` if there is one."""
        return training.train(self.folder, request, key, epoch, epochs, self.run_command)

    def adopt_options(self, request: Request, run: str) -> None:
        """Write this command's options of export and measurement into a run's config.yaml."""
        adopt_options(self.folder, request, run, self.run_command)

    def judge(self, run: str, formats: Sequence[str]) -> Judged:
        """Export and measure a run, and return its files."""
        from src.data.restore import data_of  # imports torch and Lightning

        if not self.is_present(run):
            raise TrialError(f"{run or 'the run'} is missing; the next search trains it again")
        opened = Run.open(self.folder / run)
        log = Path(run).parent.parent.parent.name
        folder = str(opened.folder)
        try:
            self._run("src.export", [folder, f"--formats={json.dumps(list(formats))}"], log)
        except TrialError:
            if not _exported(opened, formats):
                raise
        # The record says which row failed. The figures of the others are wanted all the same.
        # A search compares calls, and so does the page of the run, unless the user says otherwise.
        objective = [] if _names_objective(opened) else ["--objective=latency"]
        self._run("src.benchmark", [folder, "--strict=false", *objective], log)
        results = opened.read_benchmark()
        timed = {row.format for row in results.rows if row.is_ok}
        files = [
            _judged_file(row, Path(run), results.baseline)
            for row in results.rows
            # An earlier search with other options may have left further files in the run.
            if row.format in {*formats, results.baseline}
            # A format that was timed on another device needs no second line.
            and (row.is_ok or (row.format in formats and row.format not in timed))
        ]
        return Judged(files, data_of(opened).count("val"))

    def is_present(self, folder: str) -> bool:
        """Return True if a file's folder, or a run with its last checkpoint, is there."""
        path = self.folder / folder
        if path.parent.name == "exports":
            return path.is_dir()
        return bool(folder) and Run.of(path).last_checkpoint.is_file()

    def _run(self, module: str, words: Sequence[str], name: str) -> None:
        run_logged(self.run_command, self.folder, module, words, name)


def _exported(run: Run, formats: Sequence[str]) -> bool:
    """Return True if at least one of the formats was exported."""
    try:
        manifest = run.read_manifest()
    except UsageError:
        return False
    return any(entry.status == "ok" for name, entry in manifest.formats.items() if name in formats)


def _names_objective(run: Run) -> bool:
    """Return True if the training of a run names the objective of its recommendation."""
    options = run.read_config().get("benchmark")
    return isinstance(options, dict) and options.get("objective") is not None


def _quiet(phase: str, detail: str = "", done: int = 0, total: int = 0) -> None:
    """Take the progress of a single forecast, which the search reports itself."""


def _judged_file(row: Row, run: Path, baseline: str) -> JudgedFile:
    cell = row.cell(BATCH_SIZE)
    if not row.is_ok or row.accuracy is None or cell is None:
        reason = row.reason or f"not timed with {BATCH_SIZE} image: add it to benchmark.batch_sizes"
        return JudgedFile(
            format=row.format,
            device=row.device,
            status="failed" if row.is_ok else row.status,
            reason=reason,
        )
    return JudgedFile(
        format=row.format,
        device=row.device,
        status="ok",
        folder=str(run / "exports" / row.format),
        size_bytes=row.size_bytes,
        latency=call_seconds(cell),
        peak_rss_bytes=_not_negative(cell.peak_memory.peak_rss_bytes if cell.peak_memory else None),
        top1=row.accuracy.top1,
        images=row.accuracy.images,
        keeps_budget=keeps_budget(row, baseline),
    )


def _not_negative(value: int | None) -> int | None:
    return None if value is None else max(0, value)
