"""OpenVINO in int8: NNCF's post-training quantization, calibrated on training images.

NNCF has one preset for networks of convolutions and ReLU, its default, and one for transformers,
which keeps the surroundings of LayerNorm and GELU in float and gives activations asymmetric
ranges. Neither is better for all networks: on the digits, the top-1 of a ConvNeXt-T fell from
97.4 % to 51.9 % with the first and stayed at 97.4 % with the second, while ResNet-34 and
EfficientNet-B0 keep their accuracy with both and run faster with the first. So both are tried, and
the faster one of those within the accuracy budget is shipped. If none is, the most sensitive layers
are kept in float. Then the search tries to make the file faster: bf16 for the float part, on a
processor that has it, and hard swishes for SiLU and GELU.

SmoothQuant, a part of the second preset, is off: EfficientNet-B0 lost 22 dB of its signal to noise
ratio by it and ConvNeXt-T gained 3 dB, and no prediction of either changed. Ranges are NNCF's
default, the mean over images. MinMax, which takes the most extreme image, left EfficientNet-B0
with a top-1 of 53 %, because a few images have activations a hundred times as large as others.

https://docs.openvino.ai/2026/openvino-workflow/model-optimization-guide/quantizing-models-post-training/basic-quantization-flow.html
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from src.backends.base import ExportSource
from src.backends.openvino import file
from src.backends.openvino.runtime import OpenVinoRuntime
from src.formats.openvino_fp32 import OpenVinoFp32
from src.quantization import account
from src.quantization.openvino import hard_swish, sentences
from src.quantization.openvino.candidates import OpenVinoCandidates
from src.quantization.openvino.quantizer import Quantizer, reduces_range
from src.quantization.openvino.recipe import OpenVinoRecipe
from src.quantization.search import SearchSeconds, search
from src.quantization.target import this_processor
from src.run.facts import ExportDetails
from src.system import machine
from src.system.ranges import require_ranges

RECIPES = (OpenVinoRecipe("convolutional"), OpenVinoRecipe("transformer"))
_SAFEST = OpenVinoRecipe("transformer")  # taken if there is no search


@dataclass(frozen=True)
class OpenVinoInt8Options:
    """Recipe of the OpenVINO int8 file.

    Args:
        search_seconds: time limit in seconds of the search for a recipe within the accuracy
            budget; 0 takes the recipe for transformers without evaluating it. The recipe that is
            being tried at the limit is finished. Raise it if the report says that the time was up.
    """

    search_seconds: SearchSeconds = 120.0

    def __post_init__(self) -> None:
        require_ranges(self, "export.openvino_int8")


class OpenVinoInt8(OpenVinoFp32):
    """NNCF's int8 graph, made with the recipe that a search chose."""

    requires = (*OpenVinoFp32.requires, "nncf")
    precision = "int8"
    tolerance = None
    Options = OpenVinoInt8Options

    def export(self, source: ExportSource, folder: Path) -> ExportDetails:
        options = source.options_of(self.name, OpenVinoInt8Options)
        quantizer = Quantizer(source)
        if source.selection is None or options.search_seconds == 0:
            recipe = _SAFEST
            graph = quantizer.quantize(recipe)
            reason = account.reason_for_no_search(self.name, options.search_seconds)
            details = account.of_no_search(str(recipe), sentences.of_no_search(recipe, reason))
        else:
            images, labels = (part.numpy() for part in source.selection)
            images = source.fp32_graph.batch(images)
            activations = hard_swish.kinds(quantizer.float_graph)
            candidates = OpenVinoCandidates(
                quantizer, RECIPES, activations, images, labels, source.scratch
            )
            outcome = search(
                candidates, max_drop=source.max_accuracy_drop, seconds=options.search_seconds
            )
            recipe, graph = outcome.best.recipe, outcome.model.graph
            details = account.of_search(
                outcome,
                str(recipe),
                sentences.of_search(outcome, len(images), activations),
                images=len(images),
                reference_name="the fp32 graph",
                format_name=self.name,
            )
        file.write(graph, source, folder, half=False, precision=recipe.precision)
        types = {"target": this_processor(), "reduce_range": reduces_range()}
        return msgspec.structs.replace(details, more={**types, **details.more})

    def load(self, folder: Path, device: str, threads: int) -> OpenVinoRuntime:
        precision = file.said_precision(folder)
        if precision == "bf16" and not machine.has_bfloat16():
            precision = "f32"  # exported on another processor; this one would emulate bf16
        return OpenVinoRuntime(folder / file.FILE, device, threads, precision)
