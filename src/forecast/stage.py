"""The forecast stage: a short training of each candidate, its export and its measurement."""

from __future__ import annotations

import datetime as dt
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from src.forecast.candidate import Request
from src.forecast.costs import candidate_of
from src.forecast.records import VERSION, Candidate, Forecast
from src.run import reading
from src.run.circumstances import Environment
from src.run.folder import Run
from src.run.layout import as_dict
from src.system import atomic_files
from src.system.console import Report

RECORD = "forecast.json"
LOGS = "logs"
_MOST_SHOWN = 300  # characters of a reason

# Trains with the given command line, writes the path of the run folder into the first file and the
# output into the second one, and returns the exit code.
Train = Callable[[Sequence[str], Path, Path], int]


def forecast(
    requests: Sequence[Request],
    environment: Environment,
    command: str,
    folder: Path,
    train: Train,
    report: Report,
    *,
    again: bool = False,
    own_width_only: Sequence[str] = (),
) -> Forecast:
    """Measure each candidate that ``folder`` has no figures of, and write ``forecast.json``.

    The file is written after each candidate, so that a command that was killed goes on. Candidates
    with a failure are measured again. All others that the file has stay in it.

    Args:
        requests: the candidates.
        environment: the machine and the versions.
        command: the command line, for the record.
        folder: an existing folder, for the record and for the output of each training.
        train: runs a short training.
        report: gets the progress.
        again: measure these candidates again although their figures are known.
        own_width_only: networks that have no other width, for the record.

    Raises:
        UsageError: ``forecast.json`` in the folder is not a forecast.
    """
    stored = known(folder)
    wanted = {request.key(environment): request for request in requests}
    found: dict[str, Candidate] = {}
    if not again:
        found = {key: stored[key] for key in wanted if key in stored and _is_whole(stored[key])}
    if found:
        report(f"known already: {', '.join(wanted[key].name for key in found)}")

    def record(candidates: Sequence[Candidate]) -> Forecast:
        return Forecast(
            schema_version=VERSION,
            command=command,
            made_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            environment=environment,
            baseline="eager",
            own_width_only=list(own_width_only),
            candidates=list(candidates),
        )

    def with_others() -> list[Candidate]:
        """Return what is found, and what the file has beside it now."""
        newest = known(folder) | found
        return [newest[key] for key in {**wanted, **newest} if key in newest]

    (folder / LOGS).mkdir(exist_ok=True)
    missing = [key for key in wanted if key not in found]
    for number, key in enumerate(missing):
        report("measuring", wanted[key].name, number, len(missing))
        found[key] = _measure(wanted[key], key, folder / LOGS, train)
        _write(folder, record(with_others()))
    _write(folder, record(with_others()))
    return record([found[key] for key in wanted])


def known(folder: Path) -> dict[str, Candidate]:
    """Return the candidates of ``forecast.json`` by their key, also those with a failure.

    Raises:
        UsageError: ``forecast.json`` in the folder is not a forecast.
    """
    path = folder / RECORD
    if not path.is_file():
        return {}
    return {each.key: each for each in reading.read(path, Forecast, (VERSION,)).candidates}


def _is_whole(candidate: Candidate) -> bool:
    return candidate.status == "ok" and all(file.status != "failed" for file in candidate.files)


def _write(folder: Path, made: Forecast) -> None:
    reading.require_readable(made)
    atomic_files.write_json(folder / RECORD, as_dict(made))


def _measure(request: Request, key: str, logs: Path, train: Train) -> Candidate:
    """Return the figures of a candidate, or the reason why there are none."""
    log = logs / f"{request.name}.txt"
    with tempfile.TemporaryDirectory(prefix="lightship-") as scratch:
        run_file = Path(scratch) / "run"
        code = train(request.argv(Path(scratch)), run_file, log)
        run = Run(Path(run_file.read_text("utf-8"))) if run_file.is_file() else None
        if run is not None and run.benchmark.is_file():
            return candidate_of(request.model, key, run, request.width)
        reason = last_line(log) or f"exit code {code}"
        return Candidate(
            model=request.model,
            width=request.width,
            image_size=request.image_size,
            key=key,
            status="failed",
            reason=f"{reason} (see {os.path.relpath(log)})",
            files=[],
        )


def last_line(log: Path) -> str:
    """Return the last line of an output that is an error, or else the last line."""
    lines = [line.strip() for line in _lines(log) if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return ([*lines, *errors] or [""])[-1].removeprefix("error: ")[:_MOST_SHOWN]


def _lines(log: Path) -> Iterator[str]:
    if log.is_file():
        with log.open(encoding="utf-8", errors="replace") as file:
            yield from file


def sorted_by_latency(made: Forecast) -> Forecast:
    """Return the forecast with its candidates in the order of their fastest file."""

    def fastest(candidate: Candidate) -> float:
        return min(
            (timing.p50_s for file in candidate.files if (timing := file.compared)),
            default=float("inf"),
        )

    return msgspec.structs.replace(made, candidates=sorted(made.candidates, key=fastest))
