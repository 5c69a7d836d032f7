"""The int8 twin: the parts that were tried, what it gives, and what its making cost."""

from __future__ import annotations

from collections.abc import Iterator

from src.backends.onnx.twin import against_exported, how_made, missed_budget
from src.report.document import MISSING, Head, Section, Table, number
from src.report.sections import speedups
from src.report.sections.rows import accuracy_of, measured, name_of, paired_of
from src.report.sections.verdicts import departures
from src.run.results import Results
from src.run.row import Row
from src.run.twin import Cost, TriedPlan, TwinAccount, Validated

TITLE = "The int8 twin"
_SHOWN_BLOCKS = 20
_VERDICTS = {
    "same": "the same network",
    "pass": "it keeps the budget",
    "fail": "it does not keep the budget",
    "inconclusive": "whether it keeps the budget is open",
}


def section(results: Results) -> Section | None:
    """Return the section; None if no twin of the network was begun."""
    account = results.twin
    if account is None:
        return None
    return Section(TITLE, [*sentences(results, account)], _table(account), [*_notes(account)])


def sentences(results: Results, account: TwinAccount) -> Iterator[str]:
    """Yield what the twin is, what it gives, and what it cost."""
    if account.reason is not None:
        yield f"No twin: {account.reason}."
    elif account.twin is None:
        yield "The twin is not finished: python -m src.twin goes on with it."
    else:
        yield _what_it_is(account)
        yield from _rows(results)
        yield _validated(account, account.twin)
        yield from missed_budget(account)
    yield from _costs(account)


def tried(account: TwinAccount) -> Iterator[str]:
    """Yield a line for each set of parts that was timed."""
    for plan in account.tried:
        probe = plan.probe_agreement
        learnt = "" if probe is None else f", {probe:.1%} in the probe"
        refused = "" if plan.refused is None else f"; refused: {plan.refused}"
        yield (
            f"{plan.name}: {plan.speedup:.2f} times the int8 file, {plan.agreement:.1%}{learnt}"
            f"{refused}"
        )
    yield from _blocks(account)


def _blocks(account: TwinAccount) -> Iterator[str]:
    """Yield the squeeze-excites in the order in which they are dropped."""
    if not account.blocks:
        return
    shown = ", ".join(
        f"{block.path} ({block.damage:.2g} for {block.saved:.1%})"
        for block in account.blocks[:_SHOWN_BLOCKS]
    )
    more = len(account.blocks) - _SHOWN_BLOCKS
    rest = f" and {more} more, in twin/twin.json" if more > 0 else ""
    yield (
        "Squeeze-excites in the order in which they are dropped, with the squared change of the "
        "logits without each, a share of their variance, and the time that it saves, a share of "
        f"that of the plain int8 file: {shown}{rest}."
    )


def _what_it_is(account: TwinAccount) -> str:
    plan = account.plan
    parts = f" ({plan.name})" if plan is not None and plan.replaced else ""
    return (
        f"The files of the twin compute another network than the trained one{parts}, "
        f"{how_made(account)}. The weights that were trained are in the other files."
    )


def _rows(results: Results) -> Iterator[str]:
    """Yield how each file of the twin compares with the baseline on the test images."""
    for row in measured(results):
        paired = paired_of(row)
        if not row.is_of_twin or paired is None:
            continue
        interval = f"[{100 * paired.delta_low:+.2f}, {100 * paired.delta_high:+.2f}]"
        verdict = _VERDICTS.get(row.verdict or "", "it has no verdict")
        images = accuracy_of(row).images
        other = departures(row)
        function = f"; its probabilities are others ({other})" if other else ""
        yield (
            f"{name_of(row)} gives the answer of {results.baseline} for {paired.agreement:.2%} of "
            f"{images:,} {results.dataset.split} images: {len(paired.flips)} answers change, "
            f"{paired.lost} to a wrong one and {paired.gained} to the right one. Top-1 "
            f"{100 * paired.delta_top1:+.2f} {interval} points: {verdict}{function}."
            f"{_speed(results, row)}"
        )


def _speed(results: Results, row: Row) -> str:
    gain = row.latency[0].speedup if row.latency else None
    if gain is None:
        return ""
    return f" Times {results.baseline}: {speedups.cell(gain).text}."


def _validated(account: TwinAccount, twin: Validated) -> str:
    """Return the agreement with the trained network on the validation images, step by step."""
    steps = {
        "the plain int8 file of the trained network": account.calibrated,
        "the network with its layers refitted": account.reconstructed,
        "the distilled network in float": account.distilled,
        "the twin under fake quantization": twin,
    }
    shown = ", ".join(f"{name} {value.agreement:.1%}" for name, value in steps.items() if value)
    top1 = f" Top-1 there: {twin.top1:.1%}"
    if account.teacher:
        top1 += f", of the trained network {account.teacher.top1:.1%}"
    chosen = ", by which the best epochs were chosen" if account.epochs else ""
    return (
        f"Agreement with the trained network on {twin.images:,} validation images{chosen}: "
        f"{shown}.{top1}."
    )


def _costs(account: TwinAccount) -> Iterator[str]:
    """Yield the time and the memory of the twin's making, beside those of the training."""
    own = Cost(
        seconds=account.seconds,
        peak_rss_bytes=account.peak_rss_bytes or 0,
        peak_device_bytes=account.peak_device_bytes,
    )
    training = account.training
    beside = (
        f"The training took {_cost(training)}."
        if training
        else "The cost of the training was not noted in one piece."
    )
    yield f"Its making took {_cost(own)}. {beside}"


def _cost(cost: Cost) -> str:
    parts = [f"{cost.seconds / 60:.1f} minutes"]
    if cost.peak_rss_bytes:
        parts.append(f"{cost.peak_rss_bytes / 1e9:.2f} GB of memory at its peak")
    if cost.peak_device_bytes:
        parts.append(f"{cost.peak_device_bytes / 1e9:.2f} GB of the GPU's")
    return ", ".join(parts)


def _table(account: TwinAccount) -> Table:
    heads = [
        Head("parts", is_text=True),
        Head("times the\nint8 file"),
        Head("agreement\nuntrained %"),
        Head("after a\nfew steps %"),
        Head("refused", is_text=True),
    ]
    rows = [_plan(plan) for plan in account.tried]
    return Table.of_text("Sets of parts that were tried", heads, rows, account.chosen)


def _plan(plan: TriedPlan) -> list[str]:
    return [
        plan.name,
        number(plan.speedup, 1, 2),
        number(plan.agreement, 100, 1),
        number(plan.probe_agreement, 100, 1),
        plan.refused or MISSING,
    ]


def _notes(account: TwinAccount) -> Iterator[str]:
    yield (
        "Times the int8 file: the plain int8 file with these parts, timed in turn with the "
        "plain int8 file of the trained network, before any training. Agreement: share of "
        "training images with the trained network's class, before training and after the probe "
        "of distillation. The fastest set that can be learnt is chosen."
    )
    yield from _blocks(account)
    if account.int8_speedup is not None and account.fp32_speedup is not None:
        yield (
            f"After its training, timed the same way: {account.int8_speedup:.2f} times the plain "
            f"int8 file, and in fp32 {account.fp32_speedup:.2f} times the fp32 file."
        )
    yield from against_exported(account)
    yield "Memory: resident memory of the process, without those that load images."
