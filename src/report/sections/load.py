"""One exported file under load: a table of its configurations, and the result in sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from src.report.document import MISSING, Cell, Column, Section, number, tabulate
from src.run.latency import Interval
from src.run.serve_test import Configuration, Probe, ServeTest

TITLE = "Under load"


def section(record: ServeTest) -> Section:
    """Return the section."""
    choice = record.choice
    table = tabulate(
        "Highest rate that each configuration holds",
        _columns(),
        record.configurations,
        name_of,
        lambda configuration: configuration is choice,
    )
    return Section(TITLE, [*sentences(record)], table, [*notes(record)])


def name_of(configuration: Configuration) -> str:
    """Return the configuration in words."""
    threads = "thread" if configuration.threads == 1 else "threads"
    streams = "stream" if configuration.streams == 1 else "streams"
    return (
        f"{configuration.streams} {streams} of {configuration.threads} {threads}, "
        f"{_batching(configuration)}"
    )


def sentences(record: ServeTest) -> Iterator[str]:
    """Yield the configuration to use, and what batching gains."""
    limit = f"p99 <= {number(record.p99_limit_s, 1e3, 1)} ms"
    choice, gain = record.choice, record.gain
    if choice is None or choice.highest is None:
        yield f"No configuration of {record.format} was shown to hold a rate at {limit}."
        return
    rate = choice.highest
    yield (
        f"{record.format} with {name_of(choice)} holds {_rate(rate.value)} requests a second "
        f"[{_rate(rate.low)}, {_rate(rate.high)}] at {limit}{_gained(record, choice)}."
    )
    if not choice.batches and any(configuration.batches for configuration in record.configurations):
        yield _no_help(gain)


def notes(record: ServeTest) -> Iterator[str]:
    """Yield the meaning of the figures, and what is missing."""
    yield (
        "Requests come at the times of a Poisson process, whether earlier ones are answered or "
        "not (open loop), and a latency counts from the scheduled time. A probe measures "
        f"{record.samples:,} requests or more at one rate after a warm-up. The rate is the highest "
        "one whose p99 was within the limit; p50 and p99 are of the probe nearest to it."
    )
    yield (
        "A stream is a process that answers one batch at a time. A batch leaves when it is full, "
        "or when its oldest request has waited for the window. The interval is over runs with "
        "processes and schedules of their own; with one run it is only the gap between the rates "
        "that held and did not."
    )
    yield (
        f"The streams had {record.worker_cores} "
        f"{'core' if record.worker_cores == 1 else 'cores'} of {record.environment.cpu}, the load "
        f"generator {'one of its own' if record.own_core else 'none of its own'}. The requests "
        "are the file's input in memory: no decoding and no network is part of the latency."
    )
    tried = sum(configuration.highest is not None for configuration in record.configurations)
    if record.choice is not None and tried > 1:
        yield (
            f"The configuration is the best of the {tried} that held a rate, chosen by the same "
            "probes, so its rate is a little too high on average; again=true with it alone has no "
            "such choice."
        )
    probes = [probe for each in record.configurations for probe in each.probes]
    lagged = sum(probe.verdict == "lagged" for probe in probes)
    if lagged:
        yield (
            f"{lagged} of {len(probes)} probes say nothing, because the load generator itself was "
            "late."
        )
    for configuration in record.configurations:
        if configuration.reason:
            yield f"{name_of(configuration)}: {configuration.reason}."
    if not record.is_complete:
        yield f"The measurement is not complete. {_rest(record)}"
    yield from record.notes


def remedy(record: ServeTest, option: str, going_on: str) -> str:
    """Return the second half of a sentence on a test that has shown no rate; empty if it is done.

    Args:
        record: of the test.
        option: name of its time limit in the user's command.
        going_on: phrase on the command that goes on.
    """
    if record.is_complete:
        return ""
    if record.enough_seconds is None:
        return f"; {going_on} goes on with it"
    return f": the time was over; {option}={record.enough_seconds:.0f} is enough for all of it"


def _rest(record: ServeTest) -> str:
    """Return a sentence on the command that measures what is missing."""
    # With again=true, a command begins anew.
    how = ", without again=true," if "again=" in record.command and record.choice else ""
    if record.enough_seconds is not None:
        limit = f"max_seconds={record.enough_seconds:.0f}"
        return f"The time was over: the same command with {limit}{how} measures the rest."
    return f"The same command{how} goes on with it, and tries again what was given up."


def _batching(configuration: Configuration) -> str:
    if not configuration.batches:
        return "no batching"
    return f"batching {1e3 * configuration.window_s:g} ms"


def _gained(record: ServeTest, choice: Configuration) -> str:
    """Return the gain of batching, as a part of a sentence; without an interval both rates."""
    gain = record.gain
    if not choice.batches:
        return ""
    if gain is not None:
        interval = f"[{gain.low:.2f}, {gain.high:.2f}]"
        return f", {gain.value:.2f} {interval} times as many as without batching"
    single = [
        other.highest.value
        for other in record.configurations
        if other.highest is not None and not other.batches
    ]
    return f", and {_rate(max(single))} without batching" if single else ""


def _no_help(gain: Interval | None) -> str:
    if gain is None:
        return "Batching was not shown to raise the rate."
    interval = f"{gain.value:.2f} [{gain.low:.2f}, {gain.high:.2f}] times the rate"
    verb = "lowers" if gain.high < 1 else "does not measurably raise"
    return f"Batching {verb} the rate: {interval}."


def _columns() -> list[Column[Configuration]]:
    return [
        Column("threads", lambda each: Cell(str(each.threads), value=each.threads)),
        Column("streams", lambda each: Cell(str(each.streams), value=each.streams)),
        Column("window\nms", _seconds(lambda each: each.window_s)),
        Column("largest\nbatch", lambda each: Cell(str(each.largest_batch))),
        Column("call\nms", _seconds(lambda each: each.call_s)),
        Column("requests/s", _highest, best=max),
        Column("p50\nms", _seconds(_at_highest(lambda probe: probe.p50_s))),
        Column("p99\nms", _seconds(_at_highest(lambda probe: probe.p99_s))),
        Column("mean\nbatch", _mean_batch),
        Column("runs", lambda each: Cell(str(len(each.bounds)))),
    ]


def _seconds(amount: Callable[[Configuration], float | None]) -> Callable[[Configuration], Cell]:
    def cell(configuration: Configuration) -> Cell:
        seconds = amount(configuration)
        return Cell(number(seconds, 1e3, 2), value=seconds)

    return cell


def _at_highest(amount: Callable[[Probe], float]) -> Callable[[Configuration], float | None]:
    def of(configuration: Configuration) -> float | None:
        probe = configuration.at_highest
        return None if probe is None else amount(probe)

    return of


def _highest(configuration: Configuration) -> Cell:
    rate = configuration.highest
    if rate is None:
        return Cell(MISSING)
    return Cell(_rate(rate.value), f"[{_rate(rate.low)}, {_rate(rate.high)}]", value=rate.value)


def _mean_batch(configuration: Configuration) -> Cell:
    probe = configuration.at_highest
    size = None if probe is None else probe.mean_batch
    return Cell(number(size, 1, 2), value=size)


def _rate(rate: float) -> str:
    """Return a rate with three digits that count."""
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"  # noqa: PLR2004
