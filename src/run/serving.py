"""The measurement under load that is valid for a run's present files, and settings made from it."""

from __future__ import annotations

from src.run import fingerprint
from src.run.folder import Run
from src.run.record import BatchSize, Cores, Positive, Record, Seconds, Text
from src.run.serve_test import ServeTest


def current_serve_test(run: Run) -> ServeTest | None:
    """Return the measurement under load if it is of the file as it is now; None otherwise.

    Raises:
        UsageError: a file of the run is not as its stage writes it.
    """
    record = run.read_serve_test()
    if record is None or not run.manifest.is_file():
        return None
    export = run.read_manifest().formats.get(record.format)
    if export is None:
        return None
    present = fingerprint.now(run.own("exports", record.format), export.files)
    return record if record.is_of(record.format, fingerprint.of(present)) else None


class ServingSettings(Record, frozen=True, kw_only=True):
    """The content of a bundle's ``serving.json``: how a service should run the file."""

    threads: Cores
    streams: Cores
    window_s: Seconds
    largest_batch: BatchSize
    p99_limit_s: Positive
    rate: Positive  # requests per second that held, at the low end of the interval
    cpu: Text  # the processor that this was measured on
    worker_cores: Cores

    @classmethod
    def of(cls, record: ServeTest) -> ServingSettings | None:
        """Return the settings of a measurement; None if no configuration held a rate."""
        choice = record.choice
        if choice is None or choice.highest is None:
            return None
        return cls(
            threads=choice.threads,
            streams=choice.streams,
            window_s=choice.window_s,
            largest_batch=choice.largest_batch,
            p99_limit_s=record.p99_limit_s,
            rate=min(choice.highest.low, choice.highest.value),
            cpu=record.environment.cpu,
            worker_cores=record.worker_cores,
        )
