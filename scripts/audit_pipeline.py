"""A/A of the time from an image file to its label.

A file under two names and a decoder under two names have a true speed-up of 1; a planted decoder
takes 5 % of the whole longer, all of it in its own stage.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from audit_coverage import NOMINAL, Cell, Check, Sessions, found, held, shown

from src.benchmark.options import BenchmarkOptions
from src.data.pipeline import encoded
from src.run.pipeline import REFERENCE, Decoder

FILE, TWIN, SLOW = "onnx_fp32", "again", "slow_decoder"
TWIN_DECODER: Decoder = "pillow_draft"
KEY = "pipeline"  # of the kept sessions
WIDEST = 0.05  # half width of an interval that can find the planted decoder
# The preset's processes, turns and rounds, with one batch size; half of the time is the pipeline's.
OPTIONS = BenchmarkOptions(
    memory=False,
    batch_sizes=[1],
    objective="pipeline",
    baseline=FILE,
    decoders=[REFERENCE, TWIN_DECODER],
)
# At most, with loading, checking and scoring three rows, on two cores.
SESSION_SECONDS = OPTIONS.max_seconds + 25

# Measures rows by name, of formats whose files are those of another: ``{name: whose files}``.
Measure = Callable[[dict[str, str], BenchmarkOptions], dict[str, Any]]


def same_and_slower(
    measure: Measure, kept: Sessions, sessions: int, simulations: int
) -> Iterator[Check]:
    """Measure sessions that are not kept yet, and check the intervals of all.

    Args:
        measure: measures one session.
        kept: earlier sessions, to which the new ones are added.
        sessions: number of sessions to check.
        simulations: measurements to put together from their processes.
    """
    names = dict.fromkeys((FILE, TWIN, SLOW), FILE)
    while len(kept.of(KEY)) < sessions:
        with same_decoder_twice():
            rows = measure(names, OPTIONS)
        kept.add(KEY, {name: cells_of(rows[name]) for name in names})
        last, number = kept.of(KEY)[-1], len(kept.of(KEY))
        print(f"A/A of the pipeline {number}/{sessions}", flush=True)
        for name in (TWIN, SLOW):
            print(f"  {name}:", shown([last[name][0]["speedup"]]), flush=True)
    yield from checks(kept.of(KEY)[:sessions], simulations)


def checks(measured: Sequence[Mapping[str, Sequence[Cell]]], simulations: int) -> Iterator[Check]:
    """Check sessions: by name, the whole, that of the other decoder, and the means by stage."""
    same_file = [(session[FILE][0], session[TWIN][0]) for session in measured]
    yield from held(f"the pipeline of {FILE} under two names", same_file, simulations, WIDEST)
    same_decoder = [(session[FILE][0], session[FILE][1]) for session in measured]
    yield from held("a decoder under two names", same_decoder, simulations, WIDEST)
    slow = [session[SLOW][0]["speedup"] for session in measured]
    yield found("a decoder that takes 5 % of the whole longer", slow)
    yield in_its_stage([(session[FILE][2], session[SLOW][2]) for session in measured])


def cells_of(row: Mapping[str, Any]) -> list[Cell]:
    """Return the whole with the reference, that with the other decoder, and the stages' means.

    The speed-up of the first is over the baseline, that of the second over the reference.

    Raises:
        RuntimeError: the row failed, or its pipeline was not timed.
    """
    if row["status"] != "ok" or len(row["pipeline"]) != len(OPTIONS.decoders):
        reason = row.get("pipeline_reason") or row["reason"]
        raise RuntimeError(f"{row['format']}: {row['status']} ({reason})")
    plain, other = row["pipeline"]
    means = {stage: times["mean_s"] for stage, times in plain["stages"].items()}
    return [plain["whole"], other["whole"] | {"speedup": other["over_reference"]}, means]


def in_its_stage(means: Sequence[tuple[Cell, Cell]]) -> Check:
    """Check that the stage that grew the most is the planted one, in nearly all sessions."""
    grown = [max(plain, key=lambda stage: slow[stage] - plain[stage]) for plain, slow in means]
    seen = grown.count("decode")
    shares = [(slow["decode"] - plain["decode"]) / sum(plain.values()) for plain, slow in means]
    return (
        "the same decoder", f"decoding grows the most in at least {NOMINAL:.0%} of the sessions",
        f"{seen} of {len(means)}, by {statistics.median(shares):.1%} of the whole (median)",
        seen >= NOMINAL * len(means),
    )  # fmt: skip


@contextmanager
def same_decoder_twice() -> Iterator[None]:
    """Time ``TWIN_DECODER`` on files that it decodes as the reference does, as another decoder.

    It is left out of such a measurement otherwise.
    """
    applies = encoded.applies
    encoded.applies = lambda decoder, _: decoder == TWIN_DECODER
    try:
        yield
    finally:
        encoded.applies = applies
