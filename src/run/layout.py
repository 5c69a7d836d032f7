"""Records as the plain values of their JSON files, and back.

The files are flatter than the records in three places: what compares an accuracy with the
baseline's stands beside the accuracy itself, the peak memory beside the latency of its batch size,
and a format's own details beside those of every format.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from src.run.accuracy import Accuracy, PairedAccuracy
from src.run.facts import ExportDetails
from src.run.latency import Cell, Memory
from src.run.record import Record

Values = dict[str, Any]  # an object of a JSON file

_ALONE = frozenset(Accuracy.__struct_fields__) - {"paired"}
_MEMORY = frozenset(Memory.__struct_fields__)
_DETAILS = frozenset(ExportDetails.__struct_fields__) - {"more"}
# An accuracy with any of them is compared with the baseline's, and must have them all.
_PAIRED = frozenset(
    field.name for field in msgspec.structs.fields(PairedAccuracy) if field.required
)
GROUPS = ("paired", "peak_memory", "more")  # fields of records that the files do not have


def as_dict(record: Record) -> Values:
    """Return a record as the plain values of its file: JSON without a type."""
    values: Values = msgspec.to_builtins(record)
    match record:
        case Accuracy():
            return _flat(values, "paired")
        case Cell():
            return _flat(values, "peak_memory")
        case ExportDetails():
            return _flat(values, "more")
        case _:
            return _flattened(values)


def grouped(content: object, kind: type[Record]) -> object:
    """Return the plain values of a record of this kind with the groups that records have.

    Anything may be in it: what is not as expected stays as it is.
    """
    if not isinstance(content, dict):
        return content
    if kind in _GROUPED:
        return _GROUPED[kind](content)
    return _grouped(content)


def _grouped(content: object) -> object:
    if not isinstance(content, dict):
        return content
    changed = dict(content)
    if isinstance(accuracy := content.get("accuracy"), dict):
        changed["accuracy"] = _grouped_accuracy(accuracy)
    if isinstance(details := content.get("details"), dict):
        changed["details"] = _grouped_details(details)
    if isinstance(cells := content.get("latency"), list):
        changed["latency"] = [
            _grouped_cell(cell) if isinstance(cell, dict) else cell for cell in cells
        ]
    if isinstance(answers := content.get("instruction_sets"), list):  # an object in raw answers
        changed["instruction_sets"] = [_grouped(entry) for entry in answers]
    if isinstance(figures := content.get("figures"), dict):
        changed["figures"] = _grouped(figures)
    if isinstance(rows := content.get("rows"), list):
        changed["rows"] = [_grouped(row) for row in rows]
    if isinstance(formats := content.get("formats"), dict):
        changed["formats"] = {name: _grouped(entry) for name, entry in formats.items()}
    return changed


def _grouped_accuracy(values: Mapping[str, Any]) -> Values:
    alone = {name: value for name, value in values.items() if name in _ALONE}
    if not _PAIRED & values.keys():
        return alone
    return {**alone, "paired": {name: values[name] for name in values if name not in _ALONE}}


def _grouped_cell(values: Mapping[str, Any]) -> Values:
    memory = {name: values[name] for name in values if name in _MEMORY}
    alone = {name: values[name] for name in values if name not in {*_MEMORY, "peak_memory"}}
    return {**alone, "peak_memory": memory} if memory else alone


def _grouped_details(values: Mapping[str, Any]) -> Values:
    known = {name: value for name, value in values.items() if name in _DETAILS}
    return {**known, "more": {name: values[name] for name in values if name not in _DETAILS}}


_GROUPED: dict[type[Record], Callable[[Mapping[str, Any]], Values]] = {
    Accuracy: _grouped_accuracy,
    Cell: _grouped_cell,
    ExportDetails: _grouped_details,
}


def _flattened(values: Values) -> Values:
    """Return the plain values of a file, or of a part of it, without groups."""
    changed = dict(values)
    if values.get("accuracy"):
        changed["accuracy"] = _flat(values["accuracy"], "paired")
    if values.get("details") is not None:
        changed["details"] = _flat(values["details"], "more")
    if values.get("latency"):
        changed["latency"] = [_flat(cell, "peak_memory") for cell in values["latency"]]
    if isinstance(answers := values.get("instruction_sets"), list):
        changed["instruction_sets"] = [_flattened(entry) for entry in answers]
    if values.get("figures"):
        changed["figures"] = _flattened(values["figures"])
    if "rows" in values and "measured_at" in values:  # a table has rows as well
        changed["rows"] = [_flattened(row) for row in values["rows"]]
    if "formats" in values:
        changed["formats"] = {name: _flattened(entry) for name, entry in values["formats"].items()}
    return changed


def _flat(values: Mapping[str, Any], group: str) -> Values:
    """Return values with those of a group beside them instead of below."""
    alone = {name: value for name, value in values.items() if name != group}
    return {**alone, **values.get(group, {})}
