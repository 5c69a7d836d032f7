"""ONNX in int8: static quantization (QDQ), calibrated on training images, for one kind of CPU.

The types follow ``export.onnx_int8.target``. If the plain recipe changes too many answers, others
are tried until one keeps the accuracy budget.
https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.backends.base import ExportSource
from src.backends.onnx import file as _onnx
from src.errors import UsageError
from src.formats.base import TensorSensitivity
from src.formats.onnx_fp32 import OnnxFp32
from src.quantization import account, target
from src.quantization.onnx import gemm_convolutions
from src.quantization.onnx.equalization import equalise
from src.quantization.onnx.quantizer import Builder
from src.quantization.onnx.trial_runs import Trial
from src.quantization.recipe import Recipe
from src.quantization.search import Faster, search
from src.quantization.target import Target
from src.system import machine

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Int8Options:
    """Recipe of the static int8 file.

    Args:
        target: the processor that the file is for: auto (this one), vnni (x86 with an int8 dot
            product), avx2 (x86 without) or arm.
        search_seconds: what may be spent on looking for a recipe that keeps the accuracy
            budget, when the plain one doesn't; 0 takes the plain one without judging it. The
            recipe that is being tried when they have passed is finished.
    """

    target: Target = "auto"
    search_seconds: float = 120.0

    def __post_init__(self) -> None:
        if self.search_seconds < 0:
            raise UsageError(
                "export.onnx_int8.search_seconds",
                expected="seconds, or 0 for no search",
                found=str(self.search_seconds),
                remedy="leave it out for its default",
            )


class OnnxInt8(OnnxFp32):
    """QDQ quantization of weights and activations, with the recipe that a search chose."""

    requires = (*OnnxFp32.requires, "sympy")
    devices = ("cpu",)
    precision = "int8"
    tolerance = None
    Options = Int8Options

    def export(self, source: ExportSource, folder: Path) -> dict[str, Any]:
        options = source.options_of(self.name, Int8Options)
        choice = target.choose(options.target)
        builder = Builder(source, choice)
        if source.judging is None or options.search_seconds == 0:
            model = builder.build(Recipe())
            details = account.of_no_search(choice, _why_no_search(options))
        else:
            images, labels = (part.numpy() for part in source.judging)
            trial = Trial(source.fp32_graph.path, images, labels, source.scratch)
            found = search(
                builder.build,
                trial.judgement,
                builder.rank,
                reference=trial.reference,
                max_drop=source.max_accuracy_drop,
                seconds=options.search_seconds,
                equalisable=builder.equalisable,
                faster=Faster(
                    trial.speedup,
                    builder.has_gelu,
                    # What is fast here may be slow on another processor.
                    gemm_convolutions.suited if choice.is_here and machine.has_amx() else None,
                    builder.cuts if choice.is_here else (),
                ),
            )
            model = found.model
            details = account.of_search(choice, found, trial.reference, len(images))
        _onnx.write(model, source, folder, quantization=details["recipe"])
        return details

    def sensitivity(
        self, folder: Path, exports: Path, images: NDArray[np.float32]
    ) -> list[TensorSensitivity]:
        """See :func:`src.quantization.onnx.quantization_error.damage`.

        Raises:
            FileNotFoundError: ``exports`` has no fp32 file to compare with.
        """
        import onnx

        from src.quantization.onnx import quantization_error

        original = exports / "onnx_fp32" / _onnx.FILE
        if not original.is_file():
            raise FileNotFoundError("it is compared with onnx_fp32, which was not exported")
        file = folder / _onnx.FILE
        metadata = {each.key: each.value for each in onnx.load(file).metadata_props}
        # Equalised, its tensors are others than those of onnx_fp32, by a factor a channel.
        change = equalise if json.loads(metadata["quantization"])["equalised"] else None
        rows = quantization_error.damage(original, file, images, change)
        return [TensorSensitivity(**row) for row in rows]


def _why_no_search(options: Int8Options) -> str:
    if options.search_seconds == 0:
        return "export.onnx_int8.search_seconds is 0"
    return (
        "there are no images to judge by, for the training split has none beyond those that are "
        "calibrated on, or export.judging_images is 0"
    )
