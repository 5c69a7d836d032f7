"""Figures of a pipeline, computed from the raw samples of its stages."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from src.benchmark.statistics import paired
from src.benchmark.statistics.latency import summarize
from src.benchmark.statistics.shares import wilson
from src.run.latency import Interval
from src.run.pipeline import (
    STAGES,
    AnswerSums,
    Decoder,
    DecoderAnswers,
    Pipeline,
    PipelineTurn,
    Stage,
    StageTime,
)
from src.shipped import mixture
from src.worker.answer import Logits

PipelineRounds = Mapping[int, PipelineTurn]  # by number of the round


def figures(
    decoder: Decoder,
    rounds: PipelineRounds,
    speedup: Interval | None,
    over_reference: Interval | None,
    answers: DecoderAnswers | None,
    *,
    against_baseline: DecoderAnswers | None = None,
    warm: bool = True,
) -> Pipeline:
    """Return the figures of one decoder, in SI units. Every image file counts once.

    Args:
        decoder: the decoder.
        rounds: the samples.
        speedup: of the whole over the baseline's with the reference decoder.
        over_reference: of the whole over the row's own with the reference decoder.
        answers: the comparison with the reference decoder; None for the reference itself.
        against_baseline: the comparison with the baseline after the reference decoder; None where
            the baseline did not answer all images.
        warm: the warm-up of every process reached a steady speed.
    """
    files = [turn.files for turn in rounds.values() if turn.files is not None]
    known = files if len(files) == len(rounds) else None
    whole = summarize(1, rounds, warm=warm, speedup=speedup, files=known)
    calls = [len(turn.seconds) for turn in rounds.values()]
    weights = np.concatenate(mixture.weights_of(calls, known)[0])
    stages = {stage: _stage_time(stage, rounds, weights) for stage in STAGES}
    return Pipeline(
        decoder=decoder,
        whole=whole,
        stages=stages,
        over_reference=over_reference,
        answers=answers,
        against_baseline=against_baseline,
        files_of_round=dict(zip(whole.seconds, known, strict=True)) if known else None,
    )


def added(
    sums: AnswerSums,
    logits: Logits,
    reference: Logits,
    targets: NDArray[np.int64],
    otherwise: int,
) -> AnswerSums:
    """Return the counts with another batch of n images.

    Args:
        sums: the counts so far.
        logits: of the images by the decoder, (n, K).
        reference: of the same images by the reference decoder, (n, K).
        targets: the labels, (n,).
        otherwise: number of images that the decoder gives other pixels.
    """
    before, after = reference.argmax(axis=1), logits.argmax(axis=1)
    was_right, right = before == targets, after == targets
    return AnswerSums(
        images=sums.images + len(targets),
        otherwise=sums.otherwise + otherwise,
        right=sums.right + int(right.sum()),
        flips=sums.flips + int((before != after).sum()),
        lost=sums.lost + int((was_right & ~right).sum()),
        gained=sums.gained + int((right & ~was_right).sum()),
    )


def complete(sums: AnswerSums | None, answers: AnswerSums | None) -> AnswerSums | None:
    """Return the counts beside the baseline if they are of all images; None otherwise.

    A baseline that fails while the images are scored has answered the first ones only.

    Args:
        sums: the counts beside the baseline.
        answers: the counts beside the row itself, of all images.
    """
    return sums if sums and answers and sums.images == answers.images else None


def compared(sums: AnswerSums, max_drop: float) -> DecoderAnswers:
    """Return the comparison of the answers, tested as those of a quantized file.

    Args:
        sums: the counts of all scored images, at least one.
        max_drop: top-1 accuracy that may be lost, as a share of 1.
    """
    low, high = paired.score_interval(sums.lost, sums.gained, sums.images)
    test = paired.non_inferiority(sums.lost, sums.gained, sums.images, max_drop)
    flips_low, flips_high = wilson(sums.flips / sums.images, sums.images)
    return DecoderAnswers(
        images=sums.images,
        otherwise=sums.otherwise,
        top1=sums.right / sums.images,
        delta_top1=(sums.gained - sums.lost) / sums.images,
        delta_low=low,
        delta_high=high,
        mcnemar_p=paired.mcnemar_p(sums.lost, sums.gained),
        flips=sums.flips,
        flips_low=max(flips_low, 0.0),
        flips_high=min(flips_high, 1.0),
        lost=sums.lost,
        gained=sums.gained,
        images_needed=test.images_needed if sums.otherwise else None,
        verdict=test.verdict if sums.otherwise else "same",
    )


def _stage_time(stage: Stage, rounds: PipelineRounds, weights: NDArray[np.float64]) -> StageTime:
    samples = np.concatenate([turn.stages[stage] for turn in rounds.values()])
    return StageTime(
        mean_s=mixture.mean(samples, weights),
        p50_s=mixture.percentile(samples, weights, 50),
        seconds={
            str(number): [round(value, 7) for value in turn.stages[stage]]
            for number, turn in rounds.items()
        },
    )
