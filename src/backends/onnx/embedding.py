"""An ONNX file with its preprocessing and the softmax inside, by standard operators only.

``image``, uint8 (height, width, 3), RGB, of any size, to ``probabilities``, float (K,).

The graph is made of the steps of :mod:`src.run.preprocessing_steps`; the caller does the first two:
it turns the image upright and makes it RGB. ``Resize`` computes as Pillow does: with ``antialias``
the filter is stretched with the scale, with ``exclude_outside`` its weights at a border add up to
one. On uint8, ONNX Runtime computes in fixed point and rounds between the two axes, as
Pillow does; its weights come from float32, which moves a percent of the values, or a tenth where a
ratio of sides makes ties, by one of 255. https://onnx.ai/onnx/operators/onnx__Resize.html
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from src.backends.onnx import file, oldest_version
from src.backends.onnx.runtime import INPUT, OUTPUT
from src.run.facts import PreprocessingFacts
from src.run.file_input import NORMALISED, FileInput
from src.run.preprocessing_steps import (
    CropMiddle,
    Filter,
    Normalise,
    ResizeBoth,
    ResizeShorter,
    Scale,
    Step,
    ToRgb,
    Upright,
    WithoutEnds,
    spatial_steps,
    steps_of,
)

if TYPE_CHECKING:
    import onnx

PICTURE, PROBABILITIES = "image", "probabilities"
EMBEDDED = "preprocessing_embedded"  # the metadata's word for it, so that none does it twice
_PREFIX = "preprocessing/"
_RESIZE_WITH_ANTIALIAS = 18  # the operator set that brought it

# Pillow's names to those of Resize; Pillow's bicubic has a = -0.5, where Resize has -0.75.
# https://github.com/python-pillow/Pillow/blob/main/src/libImaging/Resample.c
_MODES = {"bilinear": 'mode = "linear"', "bicubic": 'mode = "cubic", cubic_coeff_a = -0.5'}


def embed(folder: Path, target: Path) -> None:
    """Write the file in ``folder`` into ``target``, with its preprocessing and softmax inside."""
    import onnx

    network = onnx.load(folder / file.FILE)
    metadata = {item.key: item.value for item in network.metadata_props}
    preprocessing = msgspec.json.decode(metadata["preprocessing"], type=PreprocessingFacts)
    takes = NORMALISED
    if "input" in metadata:  # not in a file of an earlier version
        takes = msgspec.json.decode(metadata["input"], type=FileInput)
    model = _joined(network, preprocessing, takes)
    oldest_version.name_oldest(model)
    onnx.helper.set_model_props(model, {**metadata, EMBEDDED: "true"})
    onnx.checker.check_model(model, full_check=True)
    onnx.save_model(model, target / file.FILE)


def _joined(
    network: onnx.ModelProto, preprocessing: PreprocessingFacts, takes: FileInput
) -> onnx.ModelProto:
    """Return the network between its preprocessing and the softmax."""
    import onnx
    from onnx import compose, parser

    # The exporter named this set or a newer one, so the network's operators are the same in it.
    oldest_version.name_at_least(network, _RESIZE_WITH_ANTIALIAS)
    [opset] = [item.version for item in network.opset_import if item.domain in {"", "ai.onnx"}]
    head = f'<ir_version: {network.ir_version}, opset_import: ["" : {opset}]>'
    before = compose.add_prefix(
        parser.parse_model(head + _before(preprocessing, takes)), _PREFIX, rename_inputs=False
    )
    after = parser.parse_model(head + _AFTER)
    first = compose.merge_models(before, network, [(_PREFIX + INPUT, INPUT)])
    model = compose.merge_models(first, after, [(OUTPUT, "scores")])
    # Each of the three named its operators' version, and merging keeps all.
    versions = {item.domain or "": item.version for item in model.opset_import}
    del model.opset_import[:]
    model.opset_import.extend(onnx.helper.make_opsetid(*item) for item in versions.items())
    model.graph.name = "picture_to_probabilities"
    model.producer_name = network.producer_name
    model.producer_version = network.producer_version
    return model


def _before(preprocessing: PreprocessingFacts, takes: FileInput) -> str:
    """Return the graph from an image to the network's input, step by step."""
    size = preprocessing.image_size
    constants = [
        "int64[1] zero = {0}, int64[2] outer = {1, 3}",
        f"int64[4] shape = {{1, 3, {size}, {size}}}",
    ]
    nodes, name = "", "batch"
    steps = steps_of(preprocessing)
    declared, last = f"float[1, 3, {size}, {size}]", "Identity"
    if takes.is_pixels:
        steps = spatial_steps(steps)
        # A network of pixels begins with the opposite transposition, and both cancel out.
        declared, last = f"uint8[1, {size}, {size}, 3]", "Transpose <perm = [0, 2, 3, 1]>"
    for step in steps:
        more, step_nodes, result = _nodes_of(step)
        constants += more
        nodes += step_nodes.replace("GIVEN", name)
        name = result or name
    if takes.is_pixels:
        nodes, name = f"{nodes}\n    whole = Reshape ({name}, shape)", "whole"
    return f"""
before (uint8[height, width, 3] {PICTURE}) => ({declared} {INPUT})
<{", ".join(constants)}>
{{
    planes = Transpose <perm = [2, 0, 1]> ({PICTURE})
    batch = Unsqueeze (planes, zero)
    {nodes}
    {INPUT} = {last} ({name})
}}"""


def _nodes_of(step: Step) -> tuple[list[str], str, str]:  # noqa: PLR0911  # one a kind of step
    """Return a step's constants, its nodes, which take ``GIVEN``, and the name of their result.

    Tensors are (1, 3, H, W): uint8 until ``Scale``, float32 from there on.
    """
    match step:
        case Upright() | ToRgb():
            return [], "", ""
        case WithoutEnds():
            ratio = f"int64[1] ratio = {{{step.longest_ratio}}}"
            return [ratio, "int64[1] two = {2}, int64[2] axes = {2, 3}"], _WITHOUT_ENDS, "part"
        case ResizeBoth():
            sides = f"int64[2] new_sides = {{{step.size}, {step.size}}}"
            return [sides], _OLD_SIDES + _resize(step.filter), "resized"
        case ResizeShorter():
            nodes = _OLD_SIDES + _NEW_SIDES + _resize(step.filter)
            return [f"int64[1] resized_to = {{{step.size}}}"], nodes, "resized"
        case CropMiddle():
            square = f"int64[2] square = {{{step.size}, {step.size}}}"
            more = "float half = {0.5}, int64[2] both_axes = {2, 3}"
            return [square, more], _CROP_MIDDLE, "fitted"
        case Scale():
            return [f"float scale = {{{step.factor!r}}}"], _SCALE, "scaled"
        case Normalise():
            mean, std = _column(step.mean), _column(step.std)
            columns = [f"float[1, 3, 1, 1] mean = {{{mean}}}, float[1, 3, 1, 1] std = {{{std}}}"]
            return columns, _NORMALISE, "normalised"


def _resize(name: Filter) -> str:
    nodes = _RESIZE.replace("MODE", _MODES[name])
    return nodes.replace("FIRST", _VERTICAL_FIRST if _pillow() >= 13 else _NEVER)  # noqa: PLR2004


# One axis after the other, as Pillow does it, which rounds in between. From version 13 on it
# begins with the vertical where that loses more than twice as many rows as columns are lost;
# before, always with the horizontal. https://github.com/python-pillow/Pillow/pull/9549
_ONE_AXIS = (
    "Resize <MODE, antialias = 1, exclude_outside = 1, "
    'coordinate_transformation_mode = "half_pixel">'
)
_RESIZE = f"""
    old_rows, old_columns = Split <num_outputs = 2> (old_sides)
    new_rows, new_columns = Split <num_outputs = 2> (new_sides)
    FIRST
    if_vertical = Concat <axis = 0> (new_rows, old_columns)
    if_horizontal = Concat <axis = 0> (old_rows, new_columns)
    halfway = Where (vertical_first, if_vertical, if_horizontal)
    first_sizes = Concat <axis = 0> (outer, halfway)
    sizes = Concat <axis = 0> (outer, new_sides)
    first_pass = {_ONE_AXIS} (GIVEN, , , first_sizes)
    resized = {_ONE_AXIS} (first_pass, , , sizes)"""

_VERTICAL_FIRST = """
    lost_rows = Sub (old_rows, new_rows)
    lost_columns = Sub (old_columns, new_columns)
    twice_lost_columns = Add (lost_columns, lost_columns)
    least = Max (twice_lost_columns, zero)
    vertical_first = Greater (lost_rows, least)"""
_NEVER = "vertical_first = Less (zero, zero)"

_OLD_SIDES = """
    old_sides = Shape <start = 2> (GIVEN)"""

# All in whole numbers, which is what torchvision computes: the longer side is rounded down.
_NEW_SIDES = """
    shorter = ReduceMin <keepdims = 1> (old_sides)
    enlarged = Mul (old_sides, resized_to)
    new_sides = Div (enlarged, shorter)"""

_WITHOUT_ENDS = """
    sides = Shape <start = 2> (GIVEN)
    shortest = ReduceMin <keepdims = 1> (sides)
    longest = Mul (shortest, ratio)
    beyond = Sub (sides, longest)
    not_negative = Max (beyond, zero)
    step = Mul (shortest, two)
    two_steps = Add (step, step)
    steps = Div (not_negative, two_steps)
    end = Mul (steps, step)
    other_end = Sub (sides, end)
    part = Slice (GIVEN, end, other_end, axes)"""

# Round is to even, as Python's round() in torchvision.
_CROP_MIDDLE = """
    uncut_sides = Shape <start = 2> (GIVEN)
    excess = Sub (uncut_sides, square)
    excess_float = Cast <to = 1> (excess)
    margin_float = Mul (excess_float, half)
    margin_whole = Round (margin_float)
    margin = Cast <to = 7> (margin_whole)
    far = Add (margin, square)
    fitted = Slice (GIVEN, margin, far, both_axes)"""

_SCALE = """
    whole = Reshape (GIVEN, shape)
    values = Cast <to = 1> (whole)
    scaled = Mul (values, scale)"""

_NORMALISE = """
    centred = Sub (GIVEN, mean)
    normalised = Div (centred, std)"""

_AFTER = f"""
after (float[batch, classes] scores) => (float[classes] {PROBABILITIES})
<int64[1] first = {{0}}>
{{
    shares = Softmax <axis = 1> (scores)
    {PROBABILITIES} = Squeeze (shares, first)
}}"""


def _pillow() -> int:
    """The version that resizes in this project's own preprocessing."""
    import PIL

    return int(PIL.__version__.partition(".")[0])


def _column(values: tuple[float, ...]) -> str:
    return ", ".join(repr(float(value)) for value in values)
