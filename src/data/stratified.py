"""An order of images of which each part has all classes, whatever the order of the data set is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def stratified(labels: NDArray[np.int64], seed: int = 0) -> NDArray[np.int64]:
    """Return all positions of ``labels`` (n,) in an order of which each part has all classes.

    The images of a class are shuffled and spread evenly over the whole, from a random start. So the
    first m have each class in proportion, to within one image.
    """
    generator = np.random.default_rng(seed)
    places = np.empty(len(labels))
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        start = generator.random()
        places[members] = (np.arange(len(members)) + start) / len(members)
    return np.argsort(places, kind="stable").astype(np.int64)
