"""The oldest versions that an ONNX file can name, so that old runtimes read it.

A runtime refuses a file whose operator set or IR version is newer than its own, even where every
operator in the file is old. Exporters name the newest versions that they know. An operator's
meaning is that of its last change up to the named set. So with an older set, as long as it is not
older than the last change of any operator in the file, the file means the same to every runtime.
Some changes only added types, or an attribute. A file that uses none of these means the same with
the operator before that change.

https://onnx.ai/onnx/repo-docs/Versioning.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx
    from onnx.defs import OpSchema

LEAST_SET = 13  # before it, operators take as attributes what they take as inputs today
_LEAST_IR = 7  # of this set
# The first release of ONNX Runtime that reads an operator set and its IR version, as was tried.
_RUNTIMES = {
    13: "1.7", 14: "1.8", 15: "1.9", 16: "1.11", 17: "1.12", 18: "1.14", 19: "1.15", 20: "1.17",
    21: "1.18", 22: "1.21", 23: "1.23",
}  # fmt: skip
# Operators whose changes after LEAST_SET added types, or an attribute without effect by default.
# https://github.com/onnx/onnx/blob/main/docs/Changelog.md
_ALIKE = frozenset(
    """
    Add AveragePool Cast Constant ConstantOfShape Conv DequantizeLinear Div Equal Flatten
    GlobalAveragePool GlobalMaxPool HardSigmoid HardSwish Identity InstanceNormalization LRN MaxPool
    Mul QuantizeLinear ReduceMax Relu Reshape Shape Squeeze Sub Transpose Unsqueeze Where
    """.split()  # noqa: SIM905
)
_STANDARD = {"", "ai.onnx"}


def name_oldest(model: onnx.ModelProto) -> None:
    """Name the oldest operator set and IR version with which the file is the same.

    Sets of operators that no node uses are removed: a runtime refuses a set that it does not know.
    """
    nodes = list(_nodes(model.graph))
    _remove_idle(nodes, model.graph)
    used = {node.domain for node in nodes} | {function.domain for function in model.functions}
    for function in model.functions:
        used |= {node.domain for node in function.node}
    imports = {
        item.domain: item.version
        for item in model.opset_import
        if item.domain in _STANDARD or item.domain in used
    }
    [domain] = [each for each in imports if each in _STANDARD]
    # The nodes of functions have a set of their own, which the file's has to be.
    if not model.functions:
        types = _types(model)
        oldest = (
            _oldest(node, imports[domain], types) for node in nodes if node.domain in _STANDARD
        )
        imports[domain] = max([LEAST_SET, *oldest])
    _name(model, imports)


def name_at_least(model: onnx.ModelProto, opset: int) -> None:
    """Name a newer operator set; the caller knows that the operators are the same in it."""
    _name(
        model,
        {
            item.domain: max(item.version, opset) if item.domain in _STANDARD else item.version
            for item in model.opset_import
        },
    )


def _name(model: onnx.ModelProto, imports: Mapping[str, int]) -> None:
    import onnx

    del model.opset_import[:]
    model.opset_import.extend(onnx.helper.make_opsetid(*item) for item in imports.items())
    least = onnx.helper.find_min_ir_version_for(model.opset_import, ignore_unknown=True)
    model.ir_version = max(_LEAST_IR, least)


def read_by(model: onnx.ModelProto) -> str:
    """Return a phrase on the runtimes that read a file."""
    [opset] = [item.version for item in model.opset_import if item.domain in _STANDARD]
    others = sorted({item.domain for item in model.opset_import} - _STANDARD)
    named = f"ONNX operator set {opset}, IR version {model.ir_version}"
    if others or opset not in _RUNTIMES:
        return " and ".join([named, *(f"the operators of {domain}" for domain in others)])
    return f"onnxruntime {_RUNTIMES[opset]} or newer ({named})"


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes of a graph and of the graphs in their attributes."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def _remove_idle(nodes: Sequence[onnx.NodeProto], graph: onnx.GraphProto) -> None:
    """Remove ``allowzero`` where a new shape has no zero: many runtimes do not know it."""
    from onnx import numpy_helper

    shapes = {each.name: each for each in graph.initializer}
    for node in nodes:
        if node.op_type != "Reshape" or node.input[1] not in shapes:
            continue
        if (numpy_helper.to_array(shapes[node.input[1]]) != 0).all():
            kept = [each for each in node.attribute if each.name != "allowzero"]
            del node.attribute[:]
            node.attribute.extend(kept)


def _types(model: onnx.ModelProto) -> Mapping[str, str]:
    """Return the types of the tensors whose type can be told, as schemas name them."""
    import onnx
    from onnx.helper import tensor_dtype_to_np_dtype

    inferred = onnx.shape_inference.infer_shapes(model).graph
    types = {item.name: item.data_type for item in inferred.initializer}
    for value in (*inferred.input, *inferred.output, *inferred.value_info):
        types[value.name] = value.type.tensor_type.elem_type
    names = {onnx.TensorProto.FLOAT: "float", onnx.TensorProto.DOUBLE: "double"}
    return {
        name: f"tensor({names.get(kind) or tensor_dtype_to_np_dtype(kind).name})"
        for name, kind in types.items()
        if kind
    }


def _oldest(node: onnx.NodeProto, opset: int, types: Mapping[str, str]) -> int:
    """Return the operator set of the last change of a node's operator that the file depends on."""
    from onnx import defs

    schema = defs.get_schema(node.op_type, opset)
    while node.op_type in _ALIKE and schema.since_version > LEAST_SET:
        try:
            older = defs.get_schema(node.op_type, schema.since_version - 1)
        except defs.SchemaError:  # the operator came with this version
            break
        if not _takes(older, node, types):
            break
        schema = older
    return schema.since_version


def _takes(schema: OpSchema, node: onnx.NodeProto, types: Mapping[str, str]) -> bool:
    """Return whether an operator's version has a node's attributes, inputs, outputs and types."""
    from onnx.defs import OpSchema

    variadic = OpSchema.FormalParameterOption.Variadic
    attributes = {each.name: each for each in node.attribute}
    if not attributes.keys() <= schema.attributes.keys():
        return False
    if "ceil_mode" in attributes and attributes["ceil_mode"].i:  # was computed in another way
        return False
    for names, formal in ((node.input, schema.inputs), (node.output, schema.outputs)):
        for place, name in enumerate(names):
            if place >= len(formal) and formal[-1].option != variadic:
                return False
            if name and types.get(name) not in formal[min(place, len(formal) - 1)].types:
                return False
    return True
