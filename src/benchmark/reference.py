"""The trained network's own logits of a few images, by which each file is checked."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from src.errors import UsageError
from src.export import reference_outputs
from src.export.stage import PROBE
from src.run import fingerprint
from src.run.folder import Run
from src.run.manifest import Manifest
from src.system.project_commands import typed

Images = NDArray[np.float32]


def reference_of(run: Run, manifest: Manifest) -> tuple[Images, Images]:
    """Return images (n, 3, H, W) and the trained network's logits (n, K) for them.

    Raises:
        UsageError: the reference outputs are missing, or not as the export wrote them.
    """
    remedy = f"run {typed('src.export')} {run.quoted}"
    path = run.require(run.own("exports", PROBE), remedy)
    written = manifest.probe_files
    if written and not fingerprint.is_as_written(run.exports, written):
        raise UsageError(
            str(path),
            expected="the images and logits that the export wrote",
            found="another file",
            remedy=remedy,
        )
    return reference_outputs.read(path)
