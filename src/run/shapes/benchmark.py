"""The shape of ``benchmark.json``.

A history of the format, of which every version is read:

1. The first.
2. ``verdict`` may be ``same``; an accuracy has ``rounding_error`` and ``beyond_rounding``, and no
   ``verdict`` of its own; a data set has a ``sha256``; the peaks of the memory stand in each cell
   of ``latency``, no longer in the row; a recommendation has ``chosen_from`` and ``tested``. A cell
   says of each round which process of its row it was measured in; in version 1 a row had one.
"""

from __future__ import annotations

from typing import Any

from src.run.schema import (
    Wrong,
    all_of,
    fields,
    listed,
    mapping,
    number,
    one_of,
    optional,
    path_inside,
    round_number,
    same_length,
    text,
    truth,
    whole,
    word,
)
from src.run.shapes.parts import (
    COUNT,
    DETAILS,
    DIFFERENCE,
    HEALTH,
    NETWORK,
    ORIGIN,
    POSITIVE,
    PREPROCESSING,
    SHARE,
    STATUS,
    as_many_names,
)

VERSION = 2  # that is written
VERSIONS = (1, 2)  # that are read

MEMORY = {
    "peak_rss_bytes": optional(whole(-(10**15), 10**15)),
    "peak_device_bytes": optional(COUNT),
    "memory_reason": text,
}
_INTERVAL = {"value": POSITIVE, "low": POSITIVE, "high": POSITIVE}
_BEHIND_IT = {"processes": whole(1)}
_OF_PROCESSES = {"processes": whole(1), "process_of_round": mapping(COUNT, key=round_number)}
_cell = fields(
    {
        "batch_size": whole(1, 10**6),
        "mean_s": POSITIVE,
        "p50_s": POSITIVE,
        "p90_s": optional(POSITIVE),
        "p99_s": optional(POSITIVE),
        "iqr_s": number(0, 1e9),
        "images_per_second": POSITIVE,
        "device_p50_s": optional(POSITIVE),
        "joules_per_image": optional(number(0, 1e12)),
        "busy_cores": number(0, 1e9),
        "samples": whole(1),
        "seconds": mapping(listed(POSITIVE, 1), key=round_number, least=1),
        "unstable": listed(one_of("steal", "busy", "clock", "cold", "spread")),
        "disturbance": optional(
            fields(
                {
                    "seconds": number(0, 1e12),
                    "steal_share": number(),
                    "other_cores": number(),
                    "frequency_hz": optional(number()),
                },
                {"frequency_spread": optional(number())},
            )
        ),
        "speedup": optional(fields(_INTERVAL, _BEHIND_IT)),
        "speedup_same_runtime": optional(fields({"format": word, **_INTERVAL}, _BEHIND_IT)),
    },
    {**_OF_PROCESSES, **MEMORY},
)


def _rounds_are_of_processes(cell: Any, place: str) -> None:
    """In version 2: each round has a process, and each interval says of how many it is."""
    fields(_OF_PROCESSES)(cell, place)
    known = cell["process_of_round"]
    if known.keys() != cell["seconds"].keys():
        raise Wrong(f"{place}.process_of_round", "the rounds of seconds", sorted(known)[:3])
    if cell["processes"] != len(set(known.values())):
        expected = f"{len(set(known.values()))}, as rounds have processes,"
        raise Wrong(f"{place}.processes", expected, cell["processes"])
    for name in ("speedup", "speedup_same_runtime"):
        if cell[name] is not None:
            fields({"processes": whole(1, cell["processes"])})(cell[name], f"{place}.{name}")


_COMPARED = {
    "delta_top1": DIFFERENCE,
    "delta_low": DIFFERENCE,
    "delta_high": DIFFERENCE,
    "mcnemar_p": SHARE,
    "agreement": SHARE,
    "lost": COUNT,
    "gained": COUNT,
    "images_needed": optional(COUNT),
    "delta_ece": DIFFERENCE,
    "worst_class": optional(
        fields({"name": text, "index": COUNT, "images": COUNT, "delta": DIFFERENCE})
    ),
    "per_class": listed(
        fields(
            {
                "name": text,
                "index": COUNT,
                "images": COUNT,
                "before": optional(SHARE),
                "after": optional(SHARE),
            }
        )
    ),
    "max_abs_logit_diff": optional(number()),
    "p99_abs_logit_diff": optional(number()),
    "logit_sqnr_db": optional(number()),
    "kl": optional(number()),
    "flips": listed(fields({"position": COUNT, "true": COUNT, "before": COUNT, "after": COUNT})),
}
_ROUNDING = {"rounding_error": optional(number()), "beyond_rounding": COUNT}
_alone = fields({"images": whole(1), "top1": SHARE, "top5": SHARE, "ece": SHARE})
_FUNCTION = ("logit_sqnr_db", "kl", "delta_ece")
_LATER = {"departures": listed(one_of(*_FUNCTION))}
ACCURACY = all_of(_alone, fields(_COMPARED, {**_ROUNDING, **_LATER}))


def _accuracy(value: Any, place: str) -> None:
    _alone(value, place)
    if _COMPARED.keys() & value.keys():
        ACCURACY(value, place)


_profile = fields(
    {"time": mapping(SHARE), "nodes": mapping(COUNT), "operators": mapping(SHARE)},
    {"by_precision": mapping(mapping(SHARE)), "call_seconds": optional(POSITIVE)},
)
_EVERY_ROW = {
    "format": word,
    "device": one_of("cpu", "cuda"),
    "precision": word,
    "status": STATUS,
    "reason": optional(text),
    "size_bytes": optional(COUNT),
    "files": listed(path_inside),
    "latency": listed(_cell),
    "accuracy": optional(_accuracy),
    "verdict": optional(one_of("same", "pass", "fail", "inconclusive")),
}
_MEASURED = {
    "size_bytes": whole(1, 10**15),
    "accuracy": _accuracy,
    "load_seconds": number(0, 1e9),
    "first_inference_seconds": number(0, 1e9),
    "idle_between_turns": truth,
    "profile": _profile,
    "effective": fields({}, {"runtime": text, "threads": whole(1, 10**6)}),
}
_SOME_ROWS = {
    "details": optional(DETAILS),
    "usage": optional(text),
    "runs_with": listed(text),
    "sha256": mapping(optional(text), key=path_inside),
    "as_exported": truth,
    "nice": whole(-20, 20),
    "trace": fields({"file": path_inside, "bytes": COUNT}),
    "trace_reason": text,
    "damage_reason": text,
    "damage": listed(fields({"tensor": text, "kind": text, "sqnr_db": number()})),
}
ANY_ROW = fields(_EVERY_ROW, _SOME_ROWS)
TIMED_ROW = fields(
    {name: check for name, check in _MEASURED.items() if name != "accuracy"}  # of one not scored
)
_measured_row = fields({**_EVERY_ROW, **_MEASURED}, _SOME_ROWS)


def _row(value: Any, place: str) -> None:
    ANY_ROW(value, place)
    if value["status"] == "ok":
        _measured_row(value, place)
        if value["verdict"] is not None:
            ACCURACY(value["accuracy"], f"{place}.accuracy")
        return
    for name in ("latency", "accuracy"):
        if value[name]:
            expected = f"nothing for a row that is {value['status']}"
            raise Wrong(f"{place}.{name}", expected, value[name])


_objective = one_of("latency", "size", "throughput", "memory")
_recommendation = fields(
    {
        "format": optional(word),
        "objective": _objective,
        "batch_size": optional(whole(1)),
        "equals": listed(word),
        "inconclusive": listed(fields({"format": word, "images_needed": optional(COUNT)})),
    },
    {"chosen_from": COUNT, "tested": COUNT, "with_function": optional(word)},
)


def _curve(value: Any, place: str) -> None:
    epochs, values = listed(number(-1e9, 1e9), 1), listed(number(-1e15, 1e15))
    fields({"epochs": epochs, "values": values})(value, place)
    same_length([value["epochs"], value["values"]], place)


ENVIRONMENT = fields(
    {
        "cpu": text,
        "isa": listed(text),
        "int8_dot_product": truth,
        "usable_cores": whole(1, 10**6),
        "machine_cores": optional(whole(1, 10**6)),
        "threads": whole(1, 10**6),
        "frequency_governor": optional(text),
        "virtual_machine": optional(truth),
        "memory_bytes": COUNT,
        "container": fields({"cores": optional(number(0, 1e6)), "memory_bytes": optional(COUNT)}),
        "gpu": optional(fields({"name": text})),
        "system": text,
        "python": text,
        "packages": mapping(text),
    },
    {"git_commit": optional(text)},
)


def _is_of_its_version(value: Any, _: str) -> None:
    for index, row in enumerate(value["rows"] if value.get("schema_version") != 1 else ()):
        for position, cell in enumerate(row["latency"]):
            _rounds_are_of_processes(cell, f"rows[{index}].latency[{position}]")


def _rows_are_distinct(value: Any, _: str) -> None:
    seen = set()
    for row in value["rows"]:
        key = (row["format"], row["device"])
        if key in seen:
            raise Wrong("rows", "one row of each format on each device", " on ".join(key))
        seen.add(key)


def _recommended_rows_are_there(value: Any, _: str) -> None:
    rows = {(row["format"], row["device"]): row for row in value["rows"] if row["status"] == "ok"}
    for device, advice in value["recommendation"].items():
        one_of("cpu", "cuda")(device, "a name in recommendation")
        name = advice["format"]
        if name is None:
            continue
        row = rows.get((name, device))
        if row is None or (name != value["baseline"] and "delta_top1" not in row["accuracy"]):
            raise Wrong(f"recommendation.{device}.format", "a measured row", name)


def _answers_are_of_classes(value: Any, _: str) -> None:
    classes = whole(0, value["num_classes"] - 1)
    for row in value["rows"]:
        accuracy = row["accuracy"] or {}
        for flip in accuracy.get("flips", ()):
            for name in ("true", "before", "after"):
                classes(flip[name], f"flips.{name}")
        for entry in accuracy.get("per_class", ()):
            classes(entry["index"], "per_class.index")


OPTIONS = fields({"max_accuracy_drop": SHARE})
DATASET = fields(
    {"name": text, "split": text, "images": COUNT},
    {"sha256": optional(text), "also_in_calibration": COUNT},
)
BENCHMARK = all_of(
    fields(
        {
            **NETWORK,
            "command": optional(text),
            "training": optional(
                fields({}, {"train_loss": _curve, "val_loss": _curve, "val_top1": _curve})
            ),
            "measured_at": text,
            "measured_seconds": number(0, 1e12),
            "options": OPTIONS,
            "dataset": DATASET,
            "calibration": fields({"split": text, "images": COUNT}),
            "environment": ENVIRONMENT,
            "baseline": word,
            "rows": listed(_row),
            "recommendation": mapping(_recommendation),
            "recommended": mapping(optional(word)),
        },
        {
            "origin": optional(ORIGIN),
            "preprocessing": PREPROCESSING,
            "health": optional(HEALTH),
            "function_bounds": fields(dict.fromkeys(_FUNCTION, number())),
        },
    ),
    as_many_names,
    _is_of_its_version,
    _rows_are_distinct,
    _recommended_rows_are_there,
    _answers_are_of_classes,
)
