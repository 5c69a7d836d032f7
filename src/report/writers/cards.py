"""A card in each export folder: what the file is, what goes in, comes out and was measured."""

from __future__ import annotations

import dataclasses
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from src.report.table import columns, measured
from src.run import fingerprint
from src.run.folder import Run
from src.run.layout import as_dict
from src.run.preprocessing_steps import (
    CropMiddle,
    Normalise,
    ResizeBoth,
    ResizeShorter,
    Scale,
    Step,
    ToRgb,
    Upright,
    WithoutEnds,
    steps_of,
)
from src.system import atomic_files, quoting

NAME = "README.md"
MOST_CLASSES = 50  # names; a file has them all in it

_UNKNOWN = dict.fromkeys(("dataset", "images", "licence", "pretrained"))


def write(run: Run) -> None:
    """A ``README.md`` beside each exported file, from the manifest and what was measured of it.

    It is of the file as it is now: what was measured of another one under the same name, before it
    was exported again or changed, is left out. The card is no part of the export: no figure of a
    size holds it.
    """
    manifest = as_dict(run.read_manifest())
    results = as_dict(run.read_benchmark()) if run.benchmark.is_file() else None
    for name, entry in manifest["formats"].items():
        folder = run.exports / name
        if entry["status"] == "ok" and folder.is_dir():
            present = fingerprint.taken(folder, [file["path"] for file in entry["files"]])
            entry["files"] = [dataclasses.asdict(file) for file in present]
            atomic_files.write_text(folder / NAME, card(name, manifest, results))


def card(name: str, manifest: dict[str, Any], results: dict[str, Any] | None) -> str:
    """The card of one format, in Markdown.

    Args:
        name: the format.
        manifest: the content of ``exports/manifest.json``, with the files as they are now.
        results: the content of ``benchmark.json``; None if nothing was measured yet.
    """
    entry = manifest["formats"][name]
    shown = manifest["class_names"][:MOST_CLASSES]
    environment = Environment(
        loader=PackageLoader("src.report"),
        autoescape=False,  # noqa: S701  # Markdown, not HTML: finalize escapes
        finalize=_finalized,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["code"] = lambda text: _Markdown(quoting.markdown_code(str(text)))
    environment.filters["cell"] = lambda text: _Markdown(quoting.markdown(text, in_table=True))
    environment.filters["block"] = lambda text: _Markdown(quoting.markdown_block(text, "python"))
    return environment.get_template("card.md").render(
        name=name,
        manifest=manifest,
        entry=entry,
        origin={**_UNKNOWN, **(manifest.get("origin") or {})},
        size=manifest["preprocessing"]["image_size"],
        channels=manifest["input_shape"][0],
        steps=_Markdown(", ".join(map(_words, steps_of(manifest["preprocessing"])))),
        classes=", ".join(shown),
        more=len(manifest["class_names"]) - len(shown),
        megabytes=f"{sum(file['bytes'] or 0 for file in entry['files']) / 1e6:.1f}",
        usage=(entry.get("usage") or "").replace("{folder}/", ""),
        needs=", ".join([*entry.get("runs_with", []), "numpy", "pillow"]),
        rows=_measured(name, manifest, results) if results else [],
        results=results,
    )


def _words(step: Step) -> str:  # noqa: PLR0911  # one a kind of step
    """What a step does, in Markdown: numbers and names of filters, which need no escaping."""
    match step:
        case Upright():
            return "turned upright by its EXIF orientation"
        case ToRgb():
            deep = f"16 bits are divided by {step.deep_divisor} and rounded"
            return f"in RGB of 8 bits ({deep}, transparency is dropped)"
        case WithoutEnds():
            return f"without the ends if it is over {step.longest_ratio} times as long as wide"
        case ResizeBoth():
            sides = f"both sides to {step.size} pixels, whatever the aspect ratio"
            return f"resized ({step.filter}, antialiased) with {sides}"
        case ResizeShorter():
            side = f"the shorter side to {step.size} pixels"
            return f"resized ({step.filter}, antialiased) with {side}"
        case CropMiddle():
            return f"then the middle {step.size}x{step.size}"
        case Scale():
            return "scaled to 0 to 1" if step.factor == 1 / 255 else f"times {step.factor:g}"
        case Normalise():
            mean, std = (", ".join(f"{x:g}" for x in each) for each in (step.mean, step.std))
            return f"then `(value - mean) / std` by channel, mean {mean}, std {std}"


class _Markdown(str):
    """Text that is Markdown already."""

    __slots__ = ()


def _finalized(value: Any) -> Any:
    """What the template shows: every text is escaped unless it is Markdown already."""
    if isinstance(value, str) and not isinstance(value, _Markdown):
        return quoting.markdown(value)
    return value


def _measured(
    name: str, manifest: dict[str, Any], results: dict[str, Any]
) -> list[tuple[str, list[tuple[str, str]]]]:
    """Each device's figures of this very file, as the report's table has them."""
    exported = {file["path"]: file.get("sha256") for file in manifest["formats"][name]["files"]}
    return [
        (
            row["device"],
            [(each.head.replace("\n", " "), each.cell(row)) for each in columns(results)[2:]],
        )
        for row in measured(results)
        if row["format"] == name and row.get("sha256") == exported and None not in exported.values()
    ]
