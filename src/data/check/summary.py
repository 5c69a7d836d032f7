"""Text about the survey of a data set."""

from __future__ import annotations

from src.data.check.survey import DARK, Copy, Extent, SplitSurvey, Survey
from src.data.pipeline.split import Split

_MOST = 20  # groups and names in a list
_CLASSES = 40  # classes in the table
_IMBALANCE = 3.0  # ratio of the largest class to the smallest from which on a hint is given


def lines(survey: Survey) -> list[str]:
    """Return the text for a terminal or a log, without the verdict."""
    total = sum(part.images for part in survey.splits.values())
    text = [f"{survey.dataset}: {total} images in {len(survey.class_names)} classes", ""]
    text += _sizes(survey.splits)
    text += ["", *_counts(survey.splits, survey.class_names)]
    if survey.notes:
        text += ["", *survey.notes]
    if survey.unreadable:
        text += ["", f"unreadable: {len(survey.unreadable)}"]
        text += [f"  {error}" for error in _first(list(survey.unreadable.values()))]
    if survey.dark:
        text += ["", f"almost black, no level above {DARK} of 255: {len(survey.dark)}"]
        text += [f"  {name}" for name in _first(survey.dark)]
        text += ["  12 bits in a file of 16 look like this: scale such pixels to the whole range"]
    for remark, names in survey.remarks.items():
        text += ["", f"{remark}: {len(names)}"]
        text += [f"  {name}" for name in _first(names)]
    for title, groups in (
        ("leaks, the same image in more than one split", survey.leaks),
        ("contradictions, the same image in more than one class", survey.contradictions),
        ("repeated, the same image more than once in a split", survey.repeated),
    ):
        if groups:
            text += ["", f"{title}: {len(groups)}"]
            text += [f"  {group}" for group in _first([_group(copies) for copies in groups])]
    return text


def verdict(survey: Survey) -> str | None:
    """Return the reason not to train on the data, in a line; None if there is none."""
    problems = []
    if survey.leaks:
        problems.append(f"{len(survey.leaks)} images are in more than one split")
    if survey.unreadable:
        problems.append(f"{len(survey.unreadable)} files cannot be read")
    return " and ".join(problems) or None


def _sizes(splits: dict[Split, SplitSurvey]) -> list[str]:
    header = f"{'split':<8}{'images':>9}  {'width least/median/largest':>28}  {'height':>22}"
    text = [header]
    for split, part in splits.items():
        width, height = _extent(part.width), _extent(part.height)
        text.append(f"{split:<8}{part.images:>9}  {width:>28}  {height:>22}")
    return text


def _extent(side: Extent | None) -> str:
    return "-" if side is None else f"{side.least}/{side.median}/{side.largest}"


def _counts(splits: dict[Split, SplitSurvey], class_names: list[str]) -> list[str]:
    width = min(32, max(8, *(len(name) for name in class_names)))
    text = [f"{'class':<{width}}" + "".join(f"{split:>9}" for split in splits)]
    for label, name in enumerate(class_names[:_CLASSES]):
        counts = "".join(f"{part.per_class[label]:>9}" for part in splits.values())
        text.append(f"{name[:width]:<{width}}{counts}")
    if len(class_names) > _CLASSES:
        text.append(f"and {len(class_names) - _CLASSES} classes more")
    trained = splits["train"].per_class
    least, largest = min(trained), max(trained)
    text.append(f"images a class in train: {least} to {largest}")
    if largest > _IMBALANCE * max(1, least):
        text.append("uneven: consider data.balance=weights")
    return text


def _group(copies: list[Copy]) -> str:
    return " = ".join(f"{copy.name} ({copy.split}, {copy.class_name})" for copy in copies)


def _first(texts: list[str]) -> list[str]:
    more = len(texts) - _MOST
    return texts[:_MOST] + ([f"and {more} more"] if more > 0 else [])
