"""What the files of a run have in common."""

from __future__ import annotations

from typing import Any

from src.run.schema import (
    Wrong,
    anything,
    fields,
    listed,
    names_of_classes,
    number,
    one_of,
    optional,
    path_inside,
    same_length,
    short,
    text,
    truth,
    whole,
)

SHARE = number(0, 1)
DIFFERENCE = number(-1, 1)
POSITIVE = number(1e-12, 1e12)  # seconds, bytes and what is made of them
COUNT = whole(0, 10**15)
SIDE = whole(1, 32768)  # pixels
STATUS = one_of("ok", "skipped", "failed")
THREE = listed(number(-1e6, 1e6), 3, 3)
SCALES = listed(number(1e-6, 1e6), 3, 3)

_layer = fields(
    {"name": text, "kind": text, "ratio": number(0, 1e30), "largest": number(0, 1e39)},
    {"dead": optional(SHARE)},
)
HEALTH = fields(
    {
        "images": COUNT,
        "logit_median": number(0, 1e39),
        "logit_largest": number(0, 1e39),
        "vanishing": optional(SHARE),
        "dead": optional(SHARE),
        "layers": listed(_layer),
        "problems": listed(text),
    }
)
CHECKPOINT = fields({"path": path_inside, "sha256": text, "epoch": whole(0, 10**9)})
ORIGIN = fields(
    {},
    {
        "dataset": optional(text),
        "images": optional(COUNT),
        "licence": optional(text),
        "pretrained": optional(truth),
    },
)
PREPROCESSING = fields(
    {"image_size": SIDE, "resize": one_of("squash", "crop"), "mean": THREE, "std": SCALES},
    {
        "interpolation": one_of("bilinear", "bicubic"),
        "crop_share": optional(number(0.01, 1)),
        "scale": number(1e-6, 1),
    },
)


def _table(value: Any, place: str) -> None:
    """What an export tried: cells of the kinds that their head names."""
    kinds = {"text": text, "share": number(), "seconds": number(), "truth": truth}
    fields(
        {
            "head": listed(listed(text, 2, 2), 1, 100),
            "rows": listed(listed(anything)),
            "chosen": optional(whole()),
        }
    )(value, place)
    for name, unit in value["head"]:
        one_of(*kinds)(unit, f"{place}.head of {name!r}")
    for row in value["rows"]:
        same_length([row, value["head"]], f"{place}.rows")
        for cell, (name, unit) in zip(row, value["head"], strict=True):
            optional(kinds[unit])(cell, f"{place}.rows, {name!r}")


DETAILS = fields({}, {"summary": listed(text), "within_budget": optional(truth), "table": _table})


def as_many_names(value: Any, _: str) -> None:
    names = len(value["class_names"])
    if value["num_classes"] != names:
        raise Wrong("num_classes", f"{names}, as there are names", value["num_classes"])


NETWORK = {
    "run": text,
    "model": short,
    "parameters": COUNT,
    "macs": COUNT,
    "input_shape": listed(SIDE, 3, 3),
    "num_classes": whole(1, 10**7),
    "class_names": names_of_classes,
    "checkpoint": CHECKPOINT,
}
