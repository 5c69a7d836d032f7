"""What a format offers: how it is exported, loaded and described."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from src.backends.base import ExportSource, Runtime


class Format(Protocol):
    """A module of this package.

    ``tolerance`` is the largest difference of a logit from eager's that this format's
    arithmetic explains, as a share of eager's largest logit. It is None for a format that
    changes the numbers on purpose (quantization): its accuracy is measured instead. Beyond it a
    row fails. What fp32 rounding itself explains is far less: see
    :mod:`src.benchmark.statistics.rounding`.

    Such a format may also have a function ``damage(folder, exports, images)``, which tells what
    departs the most from the file it was made from: ``tensor``, ``kind`` and ``sqnr_db`` of each.

    A format may have a function ``usage(preprocessing)``, which gives lines of Python that classify
    ``picture.png`` with its files and without this project, with ``{folder}`` for their folder.

    A format that calls a C++ compiler when it exports or loads, which takes it from half a minute
    to minutes, has ``compiles = True``: its tests run by default with one architecture only.

    A format whose answer for an image depends on the other images of its batch has
    ``mixes_batch = True``: it is scored, and predicts, one image at a time.

    A format whose files are not the same bytes each time the same weights are exported on the same
    machine says why in ``varies``, as a part of a sentence.

    A format may have a function ``embed(folder, target)``, which writes the file in ``folder``
    into ``target`` with the preprocessing and the softmax inside: one uint8 picture of any size
    (height, width, 3) in, probabilities (K,) out.
    """

    requires: tuple[str, ...]  # packages to export, by import name
    runs_with: tuple[str, ...]  # packages to load and run what was exported
    devices: tuple[str, ...]  # of "cpu" and "cuda", where it can run
    precision: str  # of the weights and products: "fp32", "int8", ...
    tolerance: float | None

    def export(self, source: ExportSource, folder: Path) -> dict[str, Any] | None:
        """Write everything that is needed to run into the empty ``folder``.

        Returns:
            What should be known about how the file was made, as plain values in base units, or
            None. The report shows: ``summary``, a list of sentences; ``within_budget``, whether
            it kept ``max_accuracy_drop`` on the selection images (None: not evaluated); ``table``,
            what was tried, with ``head`` (pairs of a name and a unit: "text", "share",
            "seconds" or "truth"), ``rows`` of such values, and ``chosen``, the index of a row.
            Further keys are kept as they are.

        Raises:
            Unavailable: it cannot be exported here.
        """

    def load(self, folder: Path, device: str, threads: int) -> Runtime:
        """The runtime of an exported folder, which sees nothing but that folder.

        Raises:
            Unavailable: it cannot run on ``device`` here.
        """
