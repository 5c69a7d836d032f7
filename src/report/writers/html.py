"""``report.html``: one page that needs nothing but itself, from ``benchmark.json`` alone."""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from src.report import export_notes, health, notes, operators
from src.report.advice import sentences
from src.report.charts import figures
from src.report.charts.chart import Chart
from src.report.charts.learning_curves import curves_of
from src.report.charts.measurements import charts
from src.report.charts.style import NARROW, WIDE, house, inline
from src.report.table import (
    MISSING,
    accuracy_columns,
    columns,
    footnotes,
    measured,
    more_columns,
)
from src.report.writers.html_table import grid, plain
from src.run.folder import LOG_FOLDER
from src.system import quoting

Row = dict[str, Any]

MOST_PICTURES = 12  # of a row: each is in the page
_COMMIT = re.compile(r"[0-9a-f]{6,64}")
_KINDS = (("fail", "lost"), ("pass", "gained"), ("inconclusive", "still wrong"))


def environment() -> Environment:
    """The templates, in which every name is text: none of it becomes markup."""
    return Environment(
        loader=PackageLoader("src.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page(results: Row, flipped: Path) -> str:
    """The page of one run.

    Args:
        results: the content of ``benchmark.json``.
        flipped: the folder of the pictures that some row answers otherwise than the baseline.
    """
    found = {chart.name: drawn(chart) for chart in charts(results)}
    tradeoff, training = found.pop("tradeoff", None), found.pop("training", None)
    named = {name: text for name, text, there in _SECTIONS if there(results)}
    return (
        environment()
        .get_template("report.html")
        .render(
            title=results["run"],
            about=notes.about(results),
            sentences=list(sentences(results)),
            sections=named.items(),
            baseline=results["baseline"],
            missing=MISSING,
            table=grid(results, columns(results), everything=True),
            notes=[*footnotes(results, unmeasured=False), *notes.definitions(results)],
            tradeoff=tradeoff,
            charts=list(found.values()),
            answers=grid(results, accuracy_columns(results)),
            answer_notes=notes.ANSWERS,
            flipped=[each for row in measured(results) if (each := _flips(results, row, flipped))],
            per_class=_per_class(results),
            damage=_damage(results),
            health_warning=health.warning(results),
            health=plain(list(health.HEADS), health.rows(results)),
            training=training,
            making=[_made(name, details) for name, details in export_notes.told(results).items()],
            operators=_operators(results),
            operator_notes=operators.notes(results),
            more=grid(results, more_columns(results)),
            more_notes=notes.MORE,
            environment=notes.environment(results),
            again=_again(results),
            hashes=_hashes(results),
            logs=LOG_FOLDER,
            usage=_usage(results),
        )
    )


_SECTIONS: tuple[tuple[str, str, Callable[[Row], bool]], ...] = (
    ("table", "Table", lambda _: True),
    ("tradeoff", "Speed against accuracy", lambda results: any(map(_timed, results["rows"]))),
    ("worse", "What got worse", lambda _: True),
    ("training", "Training", lambda results: bool(curves_of(results))),
    ("operators", "Where the time goes", lambda results: bool(operators.notes(results))),
    ("environment", "Environment", lambda _: True),
    ("again", "Reproduce", lambda _: True),
    ("use", "Use the files", lambda _: True),
)


def _timed(row: Row) -> bool:
    return bool(row["latency"])


def drawn(chart: Chart) -> Row:
    """A chart as the templates take it, for a phone and for a wider page."""
    return {
        "title": chart.title,
        "slim": inline(chart.draw(NARROW), f"{chart.name}-slim", chart.description),
        "broad": inline(chart.draw(WIDE), f"{chart.name}-broad", chart.description, "broad"),
    }


def _flips(results: Row, row: Row, folder: Path) -> Row | None:
    accuracy = row["accuracy"]
    flips = (accuracy or {}).get("flips", [])
    if not flips:
        return None
    ranked = sorted(flips, key=figures.rank)[:MOST_PICTURES]
    names = results["class_names"]
    return {
        "name": f"{row['format']} on {row['device']}",
        "lost": accuracy["lost"],
        "gained": accuracy["gained"],
        "flips": len(flips),
        "images": accuracy["images"],
        "more": len(flips) - len(ranked),
        "pictures": [
            {
                "position": flip["position"],
                "kind": _KINDS[figures.rank(flip)][0],
                "word": _KINDS[figures.rank(flip)][1],
                "data": _data(folder / f"{flip['position']}.png"),
                **{name: names[flip[name]] for name in ("true", "before", "after")},
            }
            for flip in ranked
        ],
    }


def _data(picture: Path) -> str | None:
    """A picture as the address of itself; None where there is none."""
    if not figures.is_own(picture):
        return None
    return f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode('ascii')}"


def _per_class(results: Row) -> Row | None:
    rows = figures.compared(results)
    if not rows:
        return None
    words = "Top-1 of each class by each file; benchmark.json has the figures."
    with house():
        slim = figures.classes(results, rows, NARROW, figures.FEW_CLASSES)
        broad = figures.classes(results, rows, WIDE)
    return {
        "title": "Accuracy of each class",
        "slim": inline(slim, "classes-slim", words),
        "broad": inline(broad, "classes-broad", words, "broad"),
    }


def _damage(results: Row) -> list[Row]:
    return [
        {
            "name": f"{row['format']} on {row['device']}",
            "table": plain(
                [("tensor", True), ("kind", True), ("SQNR dB", False)],
                [
                    [each["tensor"], each["kind"], f"{each['sqnr_db']:.1f}"]
                    for each in row["damage"]
                ],
            ),
        }
        for row in results["rows"]
        if row.get("damage")
    ]


def _made(name: str, details: Row) -> Row:
    found: Row = {"name": name, "sentences": details.get("summary", []), "table": None}
    if "table" in details:
        heads, rows, chosen = export_notes.table_of(details)
        found["table"] = plain([(head, unit == "text") for head, unit in heads], rows, chosen)
    return found


def _operators(results: Row) -> Row | None:
    rows = operators.traced(results)
    if not rows:
        return None
    heads, lines = operators.columns(rows)
    return plain(
        [("rank", True), *((head, True) for head in heads)],
        [[str(rank), *line] for rank, line in enumerate(lines, 1)],
    )


def _again(results: Row) -> list[tuple[str, str]]:
    folder = f"{LOG_FOLDER}/{results['run']}"
    steps = []
    commit = results["environment"].get("git_commit")
    if commit and _COMMIT.fullmatch(commit):  # anything else may be an option of git's
        steps.append(("The code:", f"git checkout {commit}"))
    if typed := _typed(results.get("command")):
        steps.append(("As it was typed:", typed))
    return [
        *steps,
        (
            "With every option as it was, from the configuration that the run keeps:",
            f"python -m src.train fit --config {quoting.shell(f'{folder}/config.yaml')}",
        ),
        ("Only the measurement, and only this page:", _stages(folder)),
    ]


def _typed(command: str | None) -> str | None:
    """A command of ours with each of its words quoted anew; None if it is none.

    Whoever wrote the file may have put another command behind it.
    """
    try:
        words = shlex.split(command or "")
    except ValueError:
        return None
    ours = words[:2] == ["python", "-m"] and words[2:3] == ["src.train"]
    return " ".join(map(quoting.shell, words)) if ours else None


def _stages(folder: str) -> str:
    folder = quoting.shell(folder)
    return f"python -m src.benchmark {folder}\npython -m src.report {folder}"


def _hashes(results: Row) -> list[tuple[str, str]]:
    return [("Checkpoint", notes.checkpoint(results))]


def _usage(results: Row) -> list[Row]:
    """How each file is used, once a format: on every device it is the same file."""
    rows = {row["format"]: row for row in results["rows"] if row.get("usage") and row["files"]}
    packages = results["environment"]["packages"]
    return [
        {
            "name": name,
            "needs": ", ".join(
                f"{package} {packages.get(package, '')}".strip()
                for package in (*row.get("runs_with", ()), "numpy", "pillow")
            ),
            "code": row["usage"].replace(
                "{folder}", quoting.in_python(f"{LOG_FOLDER}/{results['run']}/exports/{name}")
            ),
            "files": list(row.get("sha256", {}).items()),
        }
        for name, row in rows.items()
    ]
