"""ONNX in int8 of the twin: a network that is fast in int8, trained under fake quantization.

The ranges of the activations are those that the twin was trained with, so the file computes what
the training computed, to the rounding of the runtime's kernels.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec

from src.backends.base import ExportSource
from src.backends.onnx import file, twin
from src.backends.onnx.runtime import OnnxRuntime
from src.formats.onnx_fp32_twin import OnnxFp32Twin
from src.quantization.evaluation import speedup_in_turn
from src.quantization.onnx import gemm_convolutions
from src.quantization.onnx.recipe import OnnxRecipe
from src.quantization.onnx.twin import TrainedQuantization
from src.run.facts import ExportDetails
from src.system import machine


class OnnxInt8Twin(OnnxFp32Twin):
    """QDQ quantization of the twin, with the scales of its training."""

    requires = (*OnnxFp32Twin.requires, "sympy")
    precision = "int8"

    def export(self, source: ExportSource, folder: Path) -> ExportDetails:
        import onnx

        graph = twin.required(source)
        trained = TrainedQuantization.of(source, graph)
        quantizer, choice = trained.quantizer, trained.choice
        recipe = OnnxRecipe()
        model = quantizer.quantize(recipe)
        if machine.has_amx() and choice.is_here:
            names = tuple(gemm_convolutions.suited(model))
            other = dataclasses.replace(recipe, gemm_convolutions=names)
            by_gemm = quantizer.quantize(other)
            opened = []
            for number, each in enumerate((by_gemm, model)):
                path = source.scratch / f"twin_{number}.onnx"
                onnx.save_model(each, path)
                opened.append(OnnxRuntime(path, "cpu", machine.usable_cores()))
            if speedup_in_turn(opened[0], opened[1], source.example[:1].numpy()) > 1:
                recipe, model = other, by_gemm
        file.write(model, source, folder, quantization=recipe.values())
        made = twin.details(graph)
        summary = [*(made.summary or []), trained.sentence()]
        return msgspec.structs.replace(
            made, summary=summary, more={**choice.details(), **made.more, "recipe": recipe.values()}
        )
