"""The shape of ``rounds.json``: a measurement of which the figures are not made yet."""

from __future__ import annotations

from typing import Any

from src.run.schema import (
    Wrong,
    all_of,
    fields,
    listed,
    mapping,
    number,
    optional,
    same_length,
    text,
    truth,
    whole,
)
from src.run.shapes.benchmark import ANY_ROW, DATASET, ENVIRONMENT, MEMORY, OPTIONS, TIMED_ROW
from src.run.shapes.parts import CHECKPOINT, COUNT, POSITIVE

_PART = number(-1e12, 1e12)  # of cores, images or seconds
_SUM = number(0, 1e300)  # of which the sum of a few is finite
_BINS = 15  # of the calibration error


def _numeral(value: Any, place: str) -> None:
    """A whole number as the name of a batch size or a round."""
    if not (isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 9):  # noqa: PLR2004
        raise Wrong(place, "a number", value)


_disturbance = fields(
    {
        "seconds": POSITIVE,
        "steal_share": _PART,
        "other_cores": _PART,
        "frequency_hz": optional(POSITIVE),
        "frequency_spread": optional(_PART),
    }
)
_turn = fields(
    {
        "seconds": listed(POSITIVE, 1),
        "elapsed_seconds": POSITIVE,
        "cpu_seconds": number(0, 1e12),
        "device_seconds": optional(listed(POSITIVE, 1)),
        "energy_joules": optional(number(0, 1e12)),
        "disturbance": optional(_disturbance),
        "process": COUNT,
    }
)
_calibration = fields({"gaps": listed(_PART, _BINS, _BINS), "images": COUNT})
_scorecard = fields(
    {
        "targets": listed(COUNT),
        "predicted": listed(COUNT),
        "before": listed(COUNT),
        "in_top5": listed(truth),
        "calibration": _calibration,
        "calibration_before": _calibration,
        "distance": fields(
            {
                "signal": _SUM,
                "noise": _SUM,
                "kl": number(-1e300, 1e300),
                "largest": listed(_SUM),
            }
        ),
        "rounding": fields({"differences": listed(_SUM), "spreads": listed(_SUM)}),
    }
)
_row = fields(
    {
        "figures": ANY_ROW,
        "rounds": mapping(mapping(_turn, key=_numeral), key=_numeral),
        "warm": mapping(truth, key=_numeral),
        "joules": mapping(optional(number(0, 1e12)), key=_numeral),
        "memory": mapping(fields({}, MEMORY), key=_numeral),
        "scorecard": _scorecard,
    }
)


def _raw_row(value: Any, place: str) -> None:
    _row(value, place)
    card = value["scorecard"]
    same_length((card[name] for name in ("targets", "predicted", "in_top5")), f"{place}.scorecard")
    compared = [card["before"], card["distance"]["largest"], *card["rounding"].values()]
    same_length(compared, f"{place}.scorecard")
    for name, images in (("calibration", card["targets"]), ("calibration_before", card["before"])):
        if card[name]["images"] != len(images):
            raise Wrong(f"{place}.scorecard.{name}.images", f"{len(images)}", card[name]["images"])
    if value["figures"]["status"] == "ok":
        there = card["targets"] and value["rounds"] and all(value["rounds"].values())
        kept = [value["warm"], *([value["memory"]] if value["memory"] else [])]
        if not there or any(value["rounds"].keys() != each.keys() for each in kept):
            raise Wrong(place, "answers and rounds, as its status is ok,", "none")


def _rows_are_whole(value: Any, _: str) -> None:
    for index, row in enumerate(value["rows"]):
        if value["complete"] and row["figures"]["status"] == "ok":
            TIMED_ROW(row["figures"], f"rows[{index}].figures")
        for name in ("targets", "predicted", "before"):
            if max(row["scorecard"][name], default=0) >= value["classes"]:
                raise Wrong(f"scorecard.{name}", f"classes below {value['classes']}", "another")


ROUNDS = all_of(
    fields(
        {
            "checkpoint": CHECKPOINT,
            "options": OPTIONS,
            "environment": ENVIRONMENT,
            "measured_at": text,
            "measured_seconds": number(0, 1e12),
            "dataset": DATASET,
            "complete": truth,
            "classes": whole(1, 10**7),
            "rows": listed(_raw_row),
        }
    ),
    _rows_are_whole,
)
