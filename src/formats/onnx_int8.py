"""ONNX in int8: static quantization (QDQ), calibrated on training images, for one kind of CPU.

The 8-bit types depend on ``export.onnx_int8.target``. If the plain recipe changes too many
predictions, other recipes are tried until one keeps the accuracy budget.
https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import msgspec

from src.backends.base import ExportSource
from src.backends.onnx import file as _onnx
from src.formats.base import TensorSensitivity
from src.formats.onnx_fp32 import OnnxFp32
from src.quantization import account, target
from src.quantization.onnx import sentences
from src.quantization.onnx.candidates import OnnxCandidates
from src.quantization.onnx.equalization import equalise
from src.quantization.onnx.quantizer import Quantizer
from src.quantization.onnx.recipe import OnnxRecipe
from src.quantization.search import SearchSeconds, search
from src.quantization.target import Target
from src.run.facts import ExportDetails
from src.run.file_input import Batch
from src.system.ranges import require_ranges


@dataclass(frozen=True)
class OnnxInt8Options:
    """Recipe of the static int8 file.

    Args:
        target: processor that the file is for: auto (this one), vnni (x86 with an int8 dot
            product), avx2 (x86 without) or arm.
        search_seconds: time limit in seconds of the search for a recipe within the accuracy
            budget; 0 takes the plain recipe without evaluating it. The recipe that is being tried
            at the limit is finished. Raise it if the report says that the time was up.
    """

    target: Target = "auto"
    search_seconds: SearchSeconds = 120.0

    def __post_init__(self) -> None:
        require_ranges(self, "export.onnx_int8")


class OnnxInt8(OnnxFp32):
    """QDQ quantization of weights and activations, with the recipe that a search chose."""

    requires = (*OnnxFp32.requires, "sympy")
    devices = ("cpu", "browser")
    precision = "int8"
    tolerance = None
    Options = OnnxInt8Options

    def export(self, source: ExportSource, folder: Path) -> ExportDetails:
        options = source.options_of(self.name, OnnxInt8Options)
        choice = target.choose(options.target)
        quantizer = Quantizer(source, choice)
        if source.selection is None or options.search_seconds == 0:
            recipe = OnnxRecipe()
            model = quantizer.quantize(recipe)
            reason = account.reason_for_no_search(self.name, options.search_seconds)
            details = account.of_no_search(
                recipe.values(), sentences.of_no_search(choice, recipe, reason)
            )
        else:
            images, labels = (part.numpy() for part in source.selection)
            images = source.fp32_graph.batch(images)
            candidates = OnnxCandidates(quantizer, source, choice, images, labels)
            outcome = search(
                candidates, max_drop=source.max_accuracy_drop, seconds=options.search_seconds
            )
            recipe, model = outcome.best.recipe, outcome.model
            details = account.of_search(
                outcome,
                recipe.values(),
                sentences.of_search(choice, outcome, len(images)),
                images=len(images),
                reference_name="the fp32 file",
                format_name=self.name,
            )
        _onnx.write(model, source, folder, quantization=recipe.values())
        return msgspec.structs.replace(details, more={**choice.details(), **details.more})

    def sensitivity(self, folder: Path, exports: Path, images: Batch) -> list[TensorSensitivity]:
        """Return the errors of :func:`src.quantization.onnx.quantization_error.tensor_errors`.

        Raises:
            FileNotFoundError: ``exports`` has no fp32 file to compare with.
        """
        import onnx

        from src.quantization.onnx import quantization_error

        original = exports / "onnx_fp32" / _onnx.FILE
        if not original.is_file():
            raise FileNotFoundError("it is compared with onnx_fp32, which was not exported")
        file = folder / _onnx.FILE
        metadata = {item.key: item.value for item in onnx.load(file).metadata_props}
        # Equalised, its tensors are others than those of onnx_fp32, by a factor a channel.
        change = equalise if json.loads(metadata["quantization"])["equalised"] else None
        errors = quantization_error.tensor_errors(original, file, images, change)
        return [TensorSensitivity(**error._asdict()) for error in errors]
