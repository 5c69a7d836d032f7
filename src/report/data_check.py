"""What the check of a data set found, as lines of text."""

from __future__ import annotations

from typing import Any

_MOST = 20  # groups and names that are listed
_CLASSES = 40  # lines of classes
_UNEVEN = 3.0  # times as many images in the largest class as in the smallest


def lines(survey: dict[str, Any]) -> list[str]:
    """The text for a terminal or a log, without the verdict.

    Args:
        survey: as :func:`src.data.check.survey.survey` gives it.
    """
    splits, classes = survey["splits"], survey["classes"]
    total = sum(part["images"] for part in splits.values())
    text = [f"{survey['dataset']}: {total} images in {len(classes)} classes", ""]
    text += _sizes(splits)
    text += ["", *_counts(splits, classes)]
    if survey["notes"]:
        text += ["", *survey["notes"]]
    if survey["unreadable"]:
        text += ["", f"unreadable: {len(survey['unreadable'])}"]
        text += [f"  {error}" for error in _first(list(survey["unreadable"].values()))]
    titles = {
        "leaks": "leaks, the same picture in more than one split",
        "contradictions": "contradictions, the same picture in more than one class",
        "repeated": "repeated, the same picture more than once in a split",
    }
    for kind, title in titles.items():
        groups = survey[kind]
        if groups:
            text += ["", f"{title}: {len(groups)}"]
            text += [f"  {group}" for group in _first([_group(each) for each in groups])]
    return text


def verdict(survey: dict[str, Any]) -> str | None:
    """Why one should not train on this as it is, in a line; None if nothing is wrong."""
    wrong = []
    if survey["leaks"]:
        wrong.append(f"{len(survey['leaks'])} pictures are in more than one split")
    if survey["unreadable"]:
        wrong.append(f"{len(survey['unreadable'])} files cannot be read")
    return " and ".join(wrong) or None


def _sizes(splits: dict[str, Any]) -> list[str]:
    header = f"{'split':<8}{'images':>9}  {'width least/median/largest':>28}  {'height':>22}"
    text = [header]
    for split, part in splits.items():
        sides = ["/".join(map(str, part[side] or ["-"])) for side in ("width", "height")]
        text.append(f"{split:<8}{part['images']:>9}  {sides[0]:>28}  {sides[1]:>22}")
    return text


def _counts(splits: dict[str, Any], classes: list[str]) -> list[str]:
    width = min(32, max(8, *(len(name) for name in classes)))
    text = [f"{'class':<{width}}" + "".join(f"{split:>9}" for split in splits)]
    for label, name in enumerate(classes[:_CLASSES]):
        counts = "".join(f"{part['per_class'][label]:>9}" for part in splits.values())
        text.append(f"{name[:width]:<{width}}{counts}")
    if len(classes) > _CLASSES:
        text.append(f"and {len(classes) - _CLASSES} classes more")
    trained = splits["train"]["per_class"]
    least, largest = min(trained), max(trained)
    text.append(f"images a class in train: {least} to {largest}")
    if largest > _UNEVEN * max(1, least):
        text.append("uneven: consider data.balance=weights")
    return text


def _group(members: list[dict[str, str]]) -> str:
    return " = ".join(f"{each['name']} ({each['split']}, {each['class']})" for each in members)


def _first(texts: list[str]) -> list[str]:
    more = len(texts) - _MOST
    return texts[:_MOST] + ([f"and {more} more"] if more > 0 else [])
