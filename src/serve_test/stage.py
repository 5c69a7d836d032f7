"""The load test of one exported file of a run, and its record ``serve_test.json``."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from src import formats
from src.backends.base import Unavailable
from src.benchmark.environment import description
from src.errors import LightshipError, UsageError
from src.export import reference_outputs
from src.predict.exported import chosen_format, files_now
from src.run import fingerprint
from src.run.circumstances import Environment
from src.run.file_input import BatchMaker
from src.run.folder import Run
from src.run.layout import as_dict
from src.run.manifest import Manifest
from src.run.serve_test import VERSION, ServeTest
from src.serve_test import setups
from src.serve_test.campaign import Campaign
from src.serve_test.choice import choose
from src.serve_test.cores import Placement
from src.serve_test.options import ServeTestOptions
from src.serve_test.setups import Setup
from src.serve_test.slot import Open, time_calls
from src.serve_test.state import State
from src.serve_test.storage import Storage
from src.serve_test.streams import ProcessStreams
from src.system.console import Report
from src.worker.errors import WorkerError
from src.worker.guarded_process import Limits
from src.worker.process import WorkerProcess

DEFAULT_LIMIT = 10  # times the median of a single call
_MOST_SECONDS = 1e12  # in the record


@dataclass(frozen=True)
class Subject:
    """The file under load and the conditions, which decide the figures."""

    run: Run
    name: str
    options: ServeTestOptions
    sha256: dict[str, str | None]
    environment: Environment
    placement: Placement
    command: str
    own_environment: str | None  # its identity, for a format that has one

    @property
    def key(self) -> str:
        """Hash of everything that decides the figures; more runs or more time only add to them."""
        machine = msgspec.structs.replace(self.environment.lasting, git_commit=None)
        options = self.options
        content = [
            VERSION,
            self.name,
            self.sha256,
            as_dict(machine),
            self.placement.stream_cores,
            self.placement.generator is not None,
            [options.device, options.samples, options.p99_limit, options.largest_batch],
            [options.threads, options.streams, sorted(options.windows)],
        ]
        if self.own_environment is not None:
            content.append(self.own_environment)
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def serve_test(
    run: Run,
    options: ServeTestOptions,
    command: str,
    report: Report,
    open_streams: Open | None = None,
) -> ServeTest:
    """Put an exported file under load, and store what is known after each probe.

    A record of other conditions, or one to be measured again, stays ``serve_test.json`` until the
    new one is done; see :class:`src.serve_test.storage.Storage`.

    Args:
        run: the run of the file.
        options: see :class:`ServeTestOptions`.
        command: the command line, for the record.
        report: gets the progress.
        open_streams: starts the streams of a configuration; by default worker processes.

    Raises:
        UsageError: the format was not exported, its files were changed, or it cannot run here.
        LightshipError: its process failed.
    """
    manifest = run.read_manifest()
    name = chosen_format(run, manifest, options.format, options.device)
    placement = Placement.here()
    own = formats.get(name).environment
    try:
        subject = Subject(
            run=run,
            name=name,
            options=options,
            sha256=fingerprint.of(files_now(run, manifest, name)),
            environment=description.describe(placement.stream_cores),
            placement=placement,
            command=command,
            own_environment=own.identity if own else None,
        )
        if open_streams is None:
            open_streams = _Opener(subject, manifest).open
        return _Session(subject, open_streams, report).run()
    except Unavailable as reason:
        raise UsageError(
            "format",
            expected=f"one that runs on {options.device} here",
            found=f"{name}: {reason}",
            remedy="name another format, or another device",
        ) from reason
    except WorkerError as error:
        raise LightshipError(f"{name}: {error}") from error


class _Opener:
    """Starts the worker processes of a configuration."""

    def __init__(self, subject: Subject, manifest: Manifest) -> None:
        self._subject = subject
        self._python: Path | None = None  # of all processes
        self._classes = len(manifest.class_names)
        self._batch_maker = BatchMaker(manifest.formats[subject.name].takes, manifest.preprocessing)
        self._images, _ = reference_outputs.read(subject.run.own("exports", "probe.npz"))

    @contextlib.contextmanager
    def open(self, setup: Setup) -> Iterator[ProcessStreams]:
        """Start the streams, and end them after the block."""
        options, subject = self._subject.options, self._subject
        limits = Limits(
            threads=setup.threads,
            answer_seconds=options.timeout_seconds,
            resident_bytes=options.memory_limit,
            group="",
            # A stream that shares the generator's core must not keep it from sending.
            high_priority=subject.placement.generator is not None,
        )
        folder = subject.run.own("exports", subject.name)
        self._python = self._python or formats.get(subject.name).python()

        def start() -> WorkerProcess:
            file = (subject.name, folder, options.device, limits, self._batch_maker)
            return WorkerProcess(*file, python=self._python)

        with subject.placement.starting_streams():
            streams = ProcessStreams(
                start,
                setup.streams,
                _repeated(self._images, setup.largest),
                self._classes,
                options.timeout_seconds,
                at_once=subject.placement.stream_cores,
            )
        with contextlib.closing(streams):
            yield streams


def _repeated(images: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Return ``count`` images, (count, 3, H, W), the given ones in turn."""
    return images[np.arange(count) % len(images)]


@dataclass
class _Session:
    """One command: the states of all configurations, and their record."""

    subject: Subject
    open_streams: Open
    report: Report
    states: list[State] = field(default_factory=list)
    limit: float = 0.0
    notes: Sequence[str] = ()
    is_complete: bool = False
    enough_seconds: float | None = None

    def run(self) -> ServeTest:
        subject, options = self.subject, self.subject.options
        mixes = formats.get(subject.name).mixes_batch
        cores = subject.placement.stream_cores
        candidates = setups.setups(options, cores, mixes_batch=mixes)
        storage = Storage.open(subject.run, subject.key, options.again, self.report)
        known = storage.known
        if known is not None and _is_enough(known, options):
            self.report("all is in serve_test.json")
            return known
        states = [State(setup) for setup in candidates]
        if known is not None:
            earlier = {state.setup: state for state in map(State.of, known.configurations)}
            states = [earlier.get(setup, State(setup)) for setup in candidates]
            self.report(f"going on from {storage.source}")
        self.limit = self._limit(known, states[0])
        kept = setups.within(candidates, self.limit)
        if not kept:
            raise UsageError(
                "windows",
                expected=f"a window below the limit of {self.limit:.3g} s",
                found=str(options.windows),
                remedy="add 0, or raise p99_limit",
            )
        self.states = [state for state in states if state.setup in kept]
        self.notes = [
            *storage.notes,
            *self._sharing(),
            *setups.notes(candidates, options, cores, self.limit, mixes_batch=mixes),
        ]
        ending = Campaign(
            self.states,
            self.open_streams,
            subject.placement.generating,
            options.samples,
            options.runs,
            options.max_seconds,
            self.limit,
            self.report,
            lambda: storage.save(self._record()),
        ).run()
        self.is_complete, self.enough_seconds = ending
        if not self.is_complete:
            for state in self.states:
                if not state.bounds:
                    state.reason = state.reason or "the time was over (max_seconds)"
        record = self._record()
        storage.finish(record)
        return record

    def _limit(self, known: ServeTest | None, plainest: State) -> float:
        """Return the limit of the p99; by default it needs the time of a single call."""
        if self.subject.options.p99_limit is not None:
            return self.subject.options.p99_limit
        if known is not None and known.p99_limit_s is not None:
            return known.p99_limit_s
        self.report("timing single calls")
        with self.open_streams(plainest.setup) as streams:
            call, _ = time_calls(plainest, lambda: streams)
        return DEFAULT_LIMIT * call

    def _sharing(self) -> Iterator[str]:
        if self.subject.placement.generator is None:
            yield (
                "The load generator shares the cores of the streams, because there is no core for "
                "it alone. Rates are lower than with a core of its own."
            )

    def _record(self) -> ServeTest:
        subject = self.subject
        configurations = [state.record() for state in self.states]
        choice = choose(configurations)
        return ServeTest(
            schema_version=VERSION,
            run=subject.run.name,
            command=subject.command,
            measured_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            format=subject.name,
            device=subject.options.device,
            sha256=subject.sha256,
            key=subject.key,
            own_environment=subject.own_environment,
            environment=subject.environment,
            worker_cores=subject.placement.stream_cores,
            own_core=subject.placement.generator is not None,
            samples=subject.options.samples,
            runs=subject.options.runs,
            max_seconds=min(subject.options.max_seconds, _MOST_SECONDS),
            p99_limit_s=self.limit,
            is_complete=self.is_complete,
            enough_seconds=self.enough_seconds,
            configurations=configurations,
            chosen=choice.position,
            gain=choice.gain,
            notes=list(self.notes),
        )


def _is_enough(known: ServeTest, options: ServeTestOptions) -> bool:
    """Return True if a record is complete, also for these runs and this time."""
    has_time = known.max_seconds is None or options.max_seconds <= known.max_seconds
    return known.is_complete and options.runs <= known.runs and has_time
