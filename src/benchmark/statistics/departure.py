"""Bounds beyond which a file that keeps top-1 has lost the trained network's function.

Top-1 looks at the largest logit only. A file may keep it and still give other probabilities, which
whoever sets a threshold, ranks answers or averages them will notice ("Accuracy is Not All You
Need", arXiv 2407.09141).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# A noise of a third of the logits' root mean square. The int8 files of networks without outliers
# that docs/training.md tells of have 26 dB and more.
LEAST_SQNR_DB = 10.0
MOST_KL = 0.1  # nats, the mean over the images
MOST_ECE_GAIN = 0.05  # of 1: confidence is off by as much more than the baseline's

FIGURES = ("logit_sqnr_db", "kl", "delta_ece")
BOUNDS = dict(zip(FIGURES, (LEAST_SQNR_DB, MOST_KL, MOST_ECE_GAIN), strict=True))


def departures(accuracy: Mapping[str, Any]) -> list[str]:
    """Return those of ``FIGURES`` that are beyond their bounds; none where the function is kept.

    Args:
        accuracy: ``logit_sqnr_db``, ``kl`` in nats and ``delta_ece`` as a share of 1, each compared
            with the baseline on the same images. What is missing or None is within bounds.
    """
    sqnr, kl, ece = (accuracy.get(name) for name in FIGURES)
    beyond = {
        "logit_sqnr_db": sqnr is not None and sqnr < LEAST_SQNR_DB,
        "kl": kl is not None and kl > MOST_KL,
        "delta_ece": ece is not None and ece > MOST_ECE_GAIN,
    }
    return [name for name, is_beyond in beyond.items() if is_beyond]
