"""The first answers of a model, before a request waits for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from batching import LOG

CALLS = 3  # TorchScript optimises in the first two


def warm_up(model: Any, file: Path, largest_batch: int, is_ending: Callable[[], bool]) -> None:
    """Answer an image alone and in a full batch, before the service is ready.

    OpenVINO compiles its graph for batches with the first one, and TorchScript optimises in its
    first calls. A request would wait for both. An image that cannot be prepared here is left out,
    such as one of more pixels than a request may have, and so is a batch without an answer: its
    images are answered one by one later.

    Args:
        model: of a stream.
        file: the bundle's own image; without it, the first requests are slower.
        largest_batch: images of a batch at most.
        is_ending: returns True once the service has been told to end.

    Raises:
        Exception: the model has no answer for one image. Its runtime names the cause.
    """
    if not file.is_file() or is_ending():
        return
    try:
        prepared = model.prepare(file)
    except ValueError as error:  # UnreadableImageError of a bundle
        LOG.warning("no answer before the first request: %s: %s", file.name, error)
        return
    for size in sorted({1, largest_batch}):
        for _ in range(CALLS):
            if is_ending():
                return
            try:
                model.answer([prepared] * size)
            except Exception:
                if size == 1:
                    raise
                LOG.exception("no answer for a batch of %d", size)
                break
