"""Bounds beyond which a file has lost the trained network's function, even if it keeps top-1.

Top-1 depends on the largest logit only. A file may keep it and still give other probabilities. This
matters to an application that sets a threshold, ranks answers or averages them ("Accuracy is Not
All You Need", arXiv 2407.09141).
"""

from __future__ import annotations

from src.run.accuracy import FunctionFigure
from src.run.results import FunctionBounds

# At 10 dB the noise is a third of the logits' root mean square. The int8 files in docs/training.md
# of networks without outliers have 26 dB and more.
LEAST_SQNR_DB = 10.0
MOST_KL = 0.1  # nats, the mean over the images
MOST_ECE_GAIN = 0.05  # a share of 1: increase over the baseline's expected calibration error

BOUNDS = FunctionBounds(logit_sqnr_db=LEAST_SQNR_DB, kl=MOST_KL, delta_ece=MOST_ECE_GAIN)


def departures(
    *,
    logit_sqnr_db: float | None = None,
    kl: float | None = None,
    delta_ece: float | None = None,
) -> list[FunctionFigure]:
    """Return the names of the figures beyond their bounds; empty if the function is kept.

    Args:
        logit_sqnr_db: signal-to-noise ratio of the row's logits to the baseline's on the same
            images, in dB. A missing figure is within its bound.
        kl: Kullback-Leibler divergence in nats.
        delta_ece: change of the expected calibration error, a share of 1.
    """
    beyond: dict[FunctionFigure, bool] = {
        "logit_sqnr_db": logit_sqnr_db is not None and logit_sqnr_db < LEAST_SQNR_DB,
        "kl": kl is not None and kl > MOST_KL,
        "delta_ece": delta_ece is not None and delta_ece > MOST_ECE_GAIN,
    }
    return [name for name, is_beyond in beyond.items() if is_beyond]
