"""Bounds beyond which a file that keeps top-1 has lost the trained network's function.

Top-1 looks at the largest logit only. A file may keep it and still give other probabilities, which
whoever sets a threshold, ranks answers or averages them will notice ("Accuracy is Not All You
Need", arXiv 2407.09141).
"""

from __future__ import annotations

from src.run.accuracy import FunctionFigure
from src.run.results import FunctionBounds

# A noise of a third of the logits' root mean square. The int8 files of networks without outliers
# that docs/training.md tells of have 26 dB and more.
LEAST_SQNR_DB = 10.0
MOST_KL = 0.1  # nats, the mean over the images
MOST_ECE_GAIN = 0.05  # of 1: confidence is off by as much more than the baseline's

BOUNDS = FunctionBounds(logit_sqnr_db=LEAST_SQNR_DB, kl=MOST_KL, delta_ece=MOST_ECE_GAIN)


def departures(
    *,
    logit_sqnr_db: float | None = None,
    kl: float | None = None,
    delta_ece: float | None = None,
) -> list[FunctionFigure]:
    """Return the names of the figures beyond their bounds; none where the function is kept.

    Args:
        logit_sqnr_db: of the row's logits, compared with the baseline's on the same images. A
            missing figure is within its bound.
        kl: nats.
        delta_ece: a share of 1.
    """
    beyond: dict[FunctionFigure, bool] = {
        "logit_sqnr_db": logit_sqnr_db is not None and logit_sqnr_db < LEAST_SQNR_DB,
        "kl": kl is not None and kl > MOST_KL,
        "delta_ece": delta_ece is not None and delta_ece > MOST_ECE_GAIN,
    }
    return [name for name, is_beyond in beyond.items() if is_beyond]
