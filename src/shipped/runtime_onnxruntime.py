"""An ONNX file in ONNX Runtime, on the CPU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort

if TYPE_CHECKING or __package__:  # a part of a package
    from . import machine
else:  # in the folder of a model
    import machine

Array = np.ndarray[Any, np.dtype[Any]]

# With "1", slower kernels sum products of int8 in 32 bits where the processor has no instruction
# for it. Without, pairs of products are summed in 16 bits, where full-range weights saturate. On
# Windows and macOS, which do not tell all instruction sets, right answers come before speed.
EXACT_SUMS = "session.x64quantprecision"


class Runtime:
    """The opened file: a batch in, the network's answer out. All files ``runtime_*.py`` have it.

    Args:
        path: the file.
        threads: of one operator; None leaves it to the runtime.

    Attributes:
        metadata: the values that the file itself has of ``class_names``, ``preprocessing`` and
            ``input``. It has ``preprocessing_embedded`` if it prepares its image itself.
    """

    def __init__(self, path: Path, threads: int | None) -> None:
        self._session = ort.InferenceSession(
            path, self.options(threads), providers=self.providers(threads)
        )
        self._input = self._session.get_inputs()[0].name
        texts = self._session.get_modelmeta().custom_metadata_map
        self.metadata: dict[str, Any] = {
            name: json.loads(texts[name])
            for name in ("class_names", "preprocessing", "input")
            if name in texts
        }
        if "preprocessing_embedded" in texts:
            self.metadata["preprocessing_embedded"] = True

    def options(self, threads: int | None) -> ort.SessionOptions:
        """Return the options of the session."""
        options = ort.SessionOptions()
        if threads is not None:
            options.intra_op_num_threads = threads
            options.inter_op_num_threads = 1
        if machine.may_lack_dot_product():
            options.add_session_config_entry(EXACT_SUMS, "1")
        return options

    def providers(self, threads: int | None) -> list[tuple[str, dict[str, str]]]:
        """Return the execution providers with their options, the preferred one first."""
        return [("CPUExecutionProvider", {})]

    def __call__(self, images: Array) -> Array:
        """Return the answer for a batch as the file takes it."""
        return np.asarray(self._session.run(None, {self._input: images})[0])
